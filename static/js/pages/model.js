// A model's live page: history from the API, then the socket; range, zoom and comparison stand in the address.
import { all, setState, setText } from "../lib/dom.js";
import { comparedWords, hideComparison, showComparison } from "../lib/comparison_table.js";
import { count, duration, hitRatio, localTime, ms, percent } from "../lib/format.js";
import { getJson } from "../lib/http.js";
import { t } from "../lib/i18n.js";
import { showInstances } from "../lib/instance_rows.js";
import { live } from "../lib/live.js";
import { makeCharts } from "../lib/model_charts.js";
import { KEYS, rowOf, storeOf } from "../lib/model_rows.js";
import { savePicture, saveText } from "../lib/pictures.js";
import { RANGES, REFRESHES_MS, comparedAt, follows, readRange, refreshMs, shiftOf, versionsOf, windowOf, writeRange, zoomed } from "../lib/ranges.js";
import { TimeStore } from "../lib/store.js";
import { defaultOf } from "../lib/versions.js";

// Coarse enough that two lines beside each other can be told apart.
const COMPARED_POINTS = 100;
const MOST_MARKS = 200;
// Charts of what cannot be set beside another: stacked areas; and of versions, what is measured of the model as a whole.
const ALONE = ["sizes"], OF_THE_MODEL = ["memory"];

const page = document.getElementById("live-page");
const model = page.dataset.model;
const part = (id) => document.getElementById(id);
if (page.dataset.default) begin();

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
  const draw = (range = shown()) => { for (const chart of charts.values()) chart.show(store, range, other, marks); };
  const isFollowing = () => follows(state) && !paused && !state.compare;

  async function load() {
    loading?.abort();
    const mine = loading = new AbortController();
    mark();
    const range = shown();
    const [start, end] = range;
    const versions = versionsOf(state.compare), shiftS = shiftOf(state.compare, range) ?? 0;
    const isCompared = state.compare !== "";
    const ask = (name, number, shift = 0) => getJson(historyUrl(name, number, start - shift, end - shift, isCompared), mine.signal);
    const twice = isCompared && [ask(model, versions?.[1] ?? 0, shiftS), ask("", 0, shiftS)];
    try {
      const [history, total, decisions, ...beside] = await Promise.all([ask(model, versions?.[0] ?? 0), ask("", 0), getJson(decisionsUrl(start, end), mine.signal), ...(twice || [])]);
      store = storeOf(history, total);
      marks = marksOf(decisions.results ?? []);
      other = isCompared ? { store: storeOf(...beside), shiftS } : null;
      if (isCompared) showComparison(state.compare, range, shiftS, beside[0].whole, history.whole);
      if (isFollowing()) pending.filter(([at]) => at > start).forEach(([at, row]) => store.push(at, row));
      setText(part("range-words"), history.resolution_s === 1 ? t("One point a second") : t("One point each {time}", { time: duration(history.resolution_s) }));
      draw(range);
    } catch (error) {
      if (error.name !== "AbortError") setText(part("range-words"), t("The history could not be read: {reason}", { reason: error.message }));
    } finally {
      if (loading === mine) loading = null;
    }
  }

  function mark() {
    all("[data-range]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.range === state.range)));
    part("zoom-reset").hidden = state.range !== "custom";
    const isAt = state.compare.startsWith("@");
    if (state.compare && !isAt && ![...part("compare").options].some((one) => one.value === state.compare)) offer(state.compare);
    part("compare").value = isAt ? "@" : state.compare;
    part("compare-at").hidden = !isAt;
    if (isAt) setMoment(part("compare-at"), Number(state.compare.slice(1)));
    if (state.range === "custom") { setMoment(part("from"), state.from); setMoment(part("to"), state.to); }
    for (const [name, chart] of charts) chart.host.hidden = state.compare !== "" && (ALONE.includes(name) || (OF_THE_MODEL.includes(name) && versionsOf(state.compare) !== null));
    if (!state.compare) hideComparison();
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

  function heading() {
    const [from, to] = shown().map((unixS) => localTime(new Date(unixS * 1000)));
    return [model, `${from} – ${to}`, ...(state.compare ? [comparedWords()] : [])];
  }

  function again(isDue) { if (isDue && !paused && !document.hidden && !loading) load(); }

  all("[data-range]").forEach((button) => button.addEventListener("click", () => choose({ ...state, range: button.dataset.range, from: null, to: null })));
  page.addEventListener("chartzoom", (event) => choose(zoomed(state, event.detail.from, event.detail.to, now())));
  part("zoom-reset").addEventListener("click", () => choose({ ...before, compare: state.compare }));
  part("custom").addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    const [from, to] = ["from", "to"].map((id) => ofField(part(id).value));
    if (to > from) choose(zoomed(state, from, to, now()));
    else setText(part("range-words"), t("The end must lie after the beginning."));
  });
  part("compare").addEventListener("change", ({ target: { value } }) => {
    const [start, end] = shown();
    choose({ ...state, compare: value === "@" ? comparedAt(Math.max(1, 2 * start - end)) : value });
  });
  part("compare-at").addEventListener("change", ({ target: { value } }) => {
    const compare = comparedAt(ofField(value));
    if (compare) choose({ ...state, compare });
  });
  part("pause").addEventListener("click", pause);
  part("csv").addEventListener("click", () => saveText(store.csv(other), `${model}.csv`, "text/csv"));
  part("png").addEventListener("click", () => savePicture([...charts.values()].filter((chart) => !chart.host.hidden), heading(), `${model}.png`));
  for (const each of REFRESHES_MS) setInterval(() => again(refreshMs(state) === each), each);
  // After a gap in the socket the database knows what was missed.
  let first = true;
  live.onSnapshot(() => { if (!first && !paused) load(); first = false; });
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

// A link may name versions that are no longer loaded: what was measured of them is shown all the same.
function offer(compare) {
  const [newer, older] = versionsOf(compare) ?? [];
  const option = document.createElement("option");
  option.value = compare;
  option.textContent = t("version {newer} with {older}", { newer, older });
  part("compare").append(option);
}

function now() { return live.state && live.status === "live" ? live.state.at : Date.now() / 1000; }

// Unix seconds as a field for a local date and time takes them.
function asField(unixS) {
  const moment = new Date(unixS * 1000);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

// A field that somebody types in is theirs.
function setMoment(field, unixS) { if (field !== document.activeElement) field.value = asField(unixS); }

function ofField(text) { return Math.round(new Date(text).getTime() / 1000); }

function historyUrl(name, number, start, end, isCompared) {
  const more = isCompared ? { points: COMPARED_POINTS, whole: name !== "" } : {};
  return `/api/v1/metrics/history?${new URLSearchParams({ model: name, version: number, start: Math.floor(start), end: Math.ceil(end), ...more })}`;
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
  const known = defaultOf(state.versions, model) ?? state.versions.find((one) => one.model === model);
  if (known) {
    setState(document.getElementById("model-state"), known.state, known.message);
    setText(document.getElementById("instances-words"), t("{ready} ready of {wanted} wanted; {restarts} replaced since loading", { ready: known.instances_ready, wanted: known.instances_wanted, restarts: known.restarts }));
  }
  showInstances(part("instances"), state.instances.filter((one) => one.model === model), known?.state);
}
