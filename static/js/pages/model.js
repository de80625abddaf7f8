// A model's live page: history from the API, then the socket; range, zoom and comparison stand in the address.
import { all, make, setState, setText } from "../lib/dom.js";
import { bytes, count, duration, hitRatio, ms, percent } from "../lib/format.js";
import { getJson } from "../lib/http.js";
import { t } from "../lib/i18n.js";
import { live } from "../lib/live.js";
import { makeCharts } from "../lib/model_charts.js";
import { KEYS, rowOf, storeOf } from "../lib/model_rows.js";
import { savePicture, saveText } from "../lib/pictures.js";
import { RANGES, follows, readRange, versionsOf, windowOf, writeRange, zoomed } from "../lib/ranges.js";
import { TimeStore } from "../lib/store.js";

const NO_INSTANCE = {
  asleep: t("No instance runs: the model sleeps, and the next request wakes it."),
  quarantined: t("No instance runs: its instances could not be started. The page of its version says why, and tries again."),
  failed: t("No instance runs: the file is not the one that was uploaded. The page of its version says more."),
};

// Minutes are rolled up about once a minute; asking more often would show nothing new.
const REFRESH_LONG_MS = 60_000;
const MOST_MARKS = 200;

const page = document.getElementById("live-page");
const model = page.dataset.model;
const version = Number(page.dataset.default) || null;
const part = (id) => document.getElementById(id);
if (version) begin();

function begin() {
  const charts = makeCharts();
  let state = readRange(location.search);
  let before = state.range === "custom" ? { ...state, range: "live", from: null, to: null } : state;
  let paused = false;
  let store = new TimeStore(KEYS, 1);
  let other = null;
  let marks = [];
  let pending = [];
  let loading = null;

  const shown = () => windowOf(state, now());
  const draw = () => { for (const chart of charts.values()) chart.show(store, shown(), other, marks); };
  const isFollowing = () => follows(state) && !paused && !versionsOf(state.compare);

  async function load() {
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    mark();
    const [start, end] = shown();
    const versions = versionsOf(state.compare);
    const ask = (name, number, shiftS = 0) => getJson(historyUrl(name, number, start - shiftS, end - shiftS), signal);
    try {
      const [history, total, decisions] = await Promise.all([ask(model, versions?.[0] ?? 0), ask("", 0), getJson(decisionsUrl(start, end), signal)]);
      store = storeOf(history, total);
      marks = marksOf(decisions.results ?? []);
      other = null;
      if (versions) other = { store: storeOf(await ask(model, versions[1]), total), shiftS: 0 };
      else if (state.compare === "earlier") {
        const shiftS = Math.round(end - start);
        const [earlier, earlierTotal] = await Promise.all([ask(model, 0, shiftS), ask("", 0, shiftS)]);
        other = { store: storeOf(earlier, earlierTotal), shiftS };
      }
      if (isFollowing()) pending.filter(([at]) => at > start).forEach(([at, row]) => store.push(at, row));
      setText(part("range-words"), history.resolution_s === 1 ? t("One point a second") : t("One point each {time}", { time: duration(history.resolution_s) }));
      draw();
    } catch (error) {
      if (error.name !== "AbortError") setText(part("range-words"), t("The history could not be read: {reason}", { reason: error.message }));
    }
  }

  function mark() {
    all("[data-range]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.range === state.range)));
    part("zoom-reset").hidden = state.range !== "custom";
    part("compare").value = state.compare;
    if (state.range === "custom") { part("from").value = asField(state.from); part("to").value = asField(state.to); }
  }

  function choose(next) {
    if (next.range === "custom" && state.range !== "custom") before = state;
    state = next;
    history.replaceState(null, "", `${location.pathname}${writeRange(state, location.search)}${location.hash}`);
    load();
  }

  function pause() {
    paused = !paused;
    part("pause").setAttribute("aria-pressed", String(paused));
    setText(part("pause"), paused ? t("Resume") : t("Pause"));
    if (!paused) load();
  }

  all("[data-range]").forEach((button) => button.addEventListener("click", () => choose({ ...state, range: button.dataset.range, from: null, to: null })));
  page.addEventListener("chartzoom", (event) => choose(zoomed(state, event.detail.from, event.detail.to)));
  part("zoom-reset").addEventListener("click", () => choose({ ...before, compare: state.compare }));
  part("custom").addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    const [from, to] = ["from", "to"].map((id) => new Date(part(id).value).getTime() / 1000);
    if (to > from) choose(zoomed(state, from, to));
    else setText(part("range-words"), t("The end must lie after the beginning."));
  });
  part("compare").addEventListener("change", (event) => choose({ ...state, compare: event.target.value }));
  part("pause").addEventListener("click", pause);
  part("csv").addEventListener("click", () => saveText(store.csv(), `${model}.csv`, "text/csv"));
  part("png").addEventListener("click", () => savePicture([...charts.values()], `${model}.png`));
  setInterval(() => state.range !== "custom" && !follows(state) && !paused && !document.hidden && load(), REFRESH_LONG_MS);
  // After a gap in the socket the database knows what was missed.
  let first = true;
  live.addEventListener("snapshot", () => { if (!first && !paused) load(); first = false; });
  live.onSecond((said) => {
    const second = said.models[model];
    showNow(said, second);
    if (!second) return;
    const row = rowOf(second, 1);
    pending.push([said.at, row]);
    if (pending.length > 30) pending.shift();
    if (!isFollowing() || document.hidden) return;
    store.push(said.at, row);
    store.trim(now() - RANGES[state.range] - 5);
    draw();
  });
  load();
}

function now() { return live.state && live.status === "live" ? live.state.at : Date.now() / 1000; }

// Unix seconds as a field for a local date and time takes them.
function asField(unixS) {
  const moment = new Date(unixS * 1000);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function historyUrl(name, number, start, end) {
  return `/api/v1/metrics/history?${new URLSearchParams({ model: name, version: number, start: Math.floor(start), end: Math.ceil(end) })}`;
}

function decisionsUrl(start, end) {
  const moments = { since: new Date(start * 1000).toISOString(), until: new Date(end * 1000).toISOString() };
  return `/api/v1/decisions?${new URLSearchParams({ model, page_size: MOST_MARKS, ...moments })}`;
}

// Each decision as a mark on the time axis.
function marksOf(decisions) {
  return decisions.map((one) => ({ at: new Date(one.at).getTime() / 1000, words: `${one.knob} ${one.from_value} → ${one.to_value}` }));
}

function showNow(state, second) {
  const figures = second && {
    requests: count(second.requests), p50_ms: ms(second.p50_ms), p99_ms: ms(second.p99_ms), errors: count(second.errors),
    rejections: count(second.rejections), queue_depth: count(second.queue_depth), hit: percent(hitRatio(second)), busy: percent(second.busy_ratio),
  };
  if (figures) all("[data-now]").forEach((node) => setText(node, figures[node.dataset.now]));
  const known = state.versions.find((one) => one.model === model && one.version === version);
  if (known) {
    setState(document.getElementById("model-state"), known.state, known.message);
    setText(document.getElementById("instances-words"), t("{ready} ready of {wanted} wanted; {restarts} replaced since loading", { ready: known.instances_ready, wanted: known.instances_wanted, restarts: known.restarts }));
  }
  showInstances(state.instances.filter((one) => one.model === model), known?.state);
}

function noInstance(state) { return NO_INSTANCE[state] ?? t("No instance runs. Load the model, or wait until its version is loaded."); }

function showInstances(instances, state) {
  const body = document.getElementById("instances");
  if (!instances.length) {
    body.replaceChildren(make("tr", {}, make("td", { colspan: 8, class: "muted full" }, noInstance(state))));
    return;
  }
  const wanted = new Set(instances.map((one) => one.instance_id));
  all("tr", body).forEach((row) => wanted.has(row.dataset.id) || row.remove());
  for (const one of instances) {
    const row = all("tr", body).find((other) => other.dataset.id === one.instance_id) ?? newRow(body, one.instance_id);
    const [name, state, device, pid, up, memory, executions, each] = row.children;
    setText(name.firstChild, one.instance_id);
    setState(state.firstChild, one.state, one.message);
    setText(device, one.device);
    setText(pid, one.pid === null ? "–" : String(one.pid));
    setText(up, duration(one.uptime_s));
    setText(memory, bytes(one.memory_bytes));
    setText(executions, count(one.executions));
    setText(each, ms(one.service_ewma_ms));
  }
}

function newRow(body, id) {
  const cell = (label) => make("td", { class: "num", "data-label": label });
  const row = make("tr", { "data-id": id }, make("td", { class: "two" }, make("span", { class: "mono" })), make("td", {}, make("span", { class: "state" })), make("td", { "data-label": t("Device") }), cell(t("Process")), cell(t("Up")), cell(t("Memory")), cell(t("Executions")), cell(t("Time each")));
  body.append(row);
  return row;
}
