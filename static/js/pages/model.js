// A model's live page: history from the API on load, then the socket; ranges in the URL.
import { TimeChart, TimeStore } from "../lib/chart.js";
import { all, make, setState, setText } from "../lib/dom.js";
import { bytes, count, decimal, duration, hitRatio, ms, percent } from "../lib/format.js";
import { getJson } from "../lib/http.js";
import { live } from "../lib/live.js";
import { t } from "../lib/i18n.js";

const NO_INSTANCE = {
  asleep: t("No instance runs: the model sleeps, and the next request wakes it."),
  quarantined: t("No instance runs: its instances could not be started. The page of its version says why, and tries again."),
  failed: t("No instance runs: the file is not the one that was uploaded. The page of its version says more."),
};

const RANGES = { "5m": 300, "1h": 3600, "24h": 86_400 };
// Minutes are rolled up about once a minute; asking more often would show nothing new.
const REFRESH_LONG_MS = 60_000;
const IDLE = { rps: 0, errors: 0, rejections: 0, queue_depth: 0, in_flight: 0 };
const KEYS = ["rps", "errors", "rejections", "p50_ms", "p95_ms", "p99_ms", "queue_depth", "in_flight", "batch", "hit", "instances"];

const page = document.getElementById("live-page");
const model = page.dataset.model;
const version = Number(page.dataset.default) || null;
if (version) begin();

function begin() {
  const charts = makeCharts();
  let range = RANGES[new URLSearchParams(location.search).get("range")] ? new URLSearchParams(location.search).get("range") : "5m";
  let store = new TimeStore(KEYS, 1);
  let pending = [];
  let loading = null;

  const shown = () => [Math.max(0, now() - RANGES[range]), now()];
  const draw = () => charts.forEach((chart) => chart.show(store, shown()));

  async function load() {
    loading?.abort();
    loading = new AbortController();
    mark();
    const [start, end] = shown();
    try {
      const [history, total] = await Promise.all([model, ""].map((name) => getJson(historyUrl(name, start, end), loading.signal)));
      store = storeOf(history, total);
      if (range !== "24h") pending.filter(([at]) => at > start).forEach(([at, row]) => store.push(at, row));
      setText(document.getElementById("range-words"), history.resolution_s === 1 ? t("One point a second") : t("One point each {time}", { time: duration(history.resolution_s) }));
      draw();
    } catch (error) {
      if (error.name !== "AbortError") setText(document.getElementById("range-words"), t("The history could not be read: {reason}", { reason: error.message }));
    }
  }

  function mark() {
    all("[data-range]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.range === range)));
  }

  function choose(next) {
    range = next;
    const url = new URL(location.href);
    url.searchParams.set("range", range);
    history.replaceState(null, "", url);
    load();
  }

  all("[data-range]").forEach((button) => button.addEventListener("click", () => choose(button.dataset.range)));
  setInterval(() => range === "24h" && !document.hidden && load(), REFRESH_LONG_MS);
  // After a gap in the socket the database knows what was missed.
  let first = true;
  live.addEventListener("snapshot", () => { if (!first) load(); first = false; });
  live.onSecond((state) => {
    const second = state.models[model];
    showNow(state, second);
    if (!second) return;
    const row = rowOf(second, 1);
    pending.push([state.at, row]);
    if (pending.length > 30) pending.shift();
    if (range === "24h" || document.hidden) return;
    store.push(state.at, row);
    store.trim(now() - RANGES[range] - 5);
    draw();
  });
  load();
}

function now() { return live.state && live.status === "live" ? live.state.at : Date.now() / 1000; }

// One second (or a longer step) as what the charts show.
function rowOf(second, stepS) {
  return {
    rps: second.requests / stepS,
    errors: second.errors / stepS,
    rejections: second.rejections / stepS,
    p50_ms: second.p50_ms,
    p95_ms: second.p95_ms,
    p99_ms: second.p99_ms,
    queue_depth: second.queue_depth,
    in_flight: second.in_flight,
    batch: second.executions ? second.inferences / second.executions : null,
    hit: hitRatio(second),
    instances: second.instances,
  };
}

function historyUrl(name, start, end) {
  return `/api/v1/metrics/history?${new URLSearchParams({ model: name, start: Math.floor(start), end: Math.ceil(end) })}`;
}

// A moment with a row of all models together but none of this one means that this one was idle; without either, nothing
// was measured, and the chart shows a gap.
function storeOf(history, total) {
  const store = new TimeStore(KEYS, history.resolution_s);
  let instances = null;
  const names = Object.keys(history).filter((name) => Array.isArray(history[name]));
  for (let index = 0; index < history.at.length; index += 1) {
    if (history.requests[index] !== null) {
      const second = Object.fromEntries(names.map((name) => [name, history[name][index]]));
      instances = second.instances;
      store.push(second.at, rowOf(second, history.resolution_s));
    } else if (total.requests[index] !== null) {
      store.push(history.at[index], { ...IDLE, instances });
    }
  }
  return store;
}

function makeCharts() {
  const host = (key) => document.querySelector(`[data-chart=${key}]`);
  const plain = (value) => (value === null ? "–" : value >= 100 ? count(value) : decimal(value));
  return [
    new TimeChart(host("rate"), { format: plain, least: 4, series: [{ key: "rps", label: t("answered"), swatch: 1, fill: true }, { key: "rejections", label: t("refused"), swatch: 2, hideZero: true }, { key: "errors", label: t("errors"), swatch: 3, hideZero: true }] }),
    new TimeChart(host("latency"), { format: ms, axisFormat: axisMs, least: 1, series: [{ key: "p50_ms", label: "p50", swatch: 1 }, { key: "p95_ms", label: "p95", swatch: 2 }, { key: "p99_ms", label: "p99", swatch: 3 }] }),
    new TimeChart(host("queue"), { format: plain, least: 4, series: [{ key: "queue_depth", label: t("waiting"), swatch: 2, fill: true }, { key: "in_flight", label: t("in flight"), swatch: 1 }] }),
    new TimeChart(host("batch"), { format: plain, least: 4, series: [{ key: "batch", label: t("rows an execution"), swatch: 5, fill: true }] }),
    new TimeChart(host("cache"), { format: percent, top: 1, series: [{ key: "hit", label: t("hits"), swatch: 4, fill: true }] }),
    new TimeChart(host("instances"), { format: plain, axisFormat: (value) => (Number.isInteger(value) ? String(value) : ""), least: 4, stepped: true, series: [{ key: "instances", label: t("ready"), swatch: 4, fill: true }] }),
  ];
}

function axisMs(value) { return value >= 1000 ? `${value / 1000} s` : `${Number(value.toFixed(2))} ms`; }

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
