// The charts of a model's page: what each shows, and in which units.
import { TimeChart } from "./chart.js";
import { count, decimal, ms, percent } from "./format.js";
import { t } from "./i18n.js";
import { SIZES } from "./model_rows.js";

const plain = (value) => (value === null ? "–" : value >= 100 ? count(value) : decimal(value));
const whole = (value) => (Number.isInteger(value) ? String(value) : "");
const mebibytes = (value) => (value === null ? "–" : `${plain(value)} MiB`);
const axisMebibytes = (value) => `${value >= 100 ? count(value) : Number(value.toFixed(2))} MiB`; // a quarter is 0.25, not 0.3
const axisMs = (value) => (value >= 1000 ? `${value / 1000} s` : `${Number(value.toFixed(2))} ms`);

// The latency's lines lie one above the other, so the band between two of them is what so many percent of the requests took.
function definitions() {
  const size = (key, label, index) => ({ key, label, swatch: index + 1 });
  const sizes = ["1", "2", "3–4", "5–8", "9–16", "17+"];
  return {
    rate: { format: plain, widest: 7, least: 4, series: [{ key: "rps", label: t("answered"), swatch: 1, fill: true, compared: true }, { key: "rejections", label: t("refused"), swatch: 2, hideZero: true }, { key: "errors", label: t("errors"), swatch: 3, hideZero: true, compared: true }] },
    latency: { format: ms, widest: 9, axisFormat: axisMs, banded: true, series: [{ key: "p50_ms", label: "p50", swatch: 1, compared: true }, { key: "p95_ms", label: "p95", swatch: 2 }, { key: "p99_ms", label: "p99", swatch: 3, compared: true }] },
    waits: { format: ms, widest: 9, axisFormat: axisMs, series: [{ key: "queue_ms", label: t("wait"), swatch: 2, fill: true, compared: true }, { key: "compute_ms", label: t("compute"), swatch: 1, compared: true }] },
    queue: { format: plain, widest: 7, least: 4, series: [{ key: "queue_depth", label: t("waiting"), swatch: 2, fill: true, compared: true }, { key: "in_flight", label: t("in flight"), swatch: 1 }] },
    batch: { format: plain, widest: 7, least: 4, series: [{ key: "batch", label: t("rows an execution"), swatch: 5, fill: true, compared: true }] },
    sizes: { format: plain, widest: 6, least: 4, stack: true, series: SIZES.map((key, index) => size(key, sizes[index], index)) },
    cache: { format: percent, widest: 5, top: 1, series: [{ key: "hit", label: t("hits"), swatch: 4, fill: true, compared: true }] },
    memory: { format: mebibytes, widest: 10, axisFormat: axisMebibytes, least: 1, series: [{ key: "cache_mib", label: t("kept"), swatch: 4, fill: true, compared: true }] },
    busy: { format: percent, widest: 5, top: 1, series: [{ key: "busy", label: t("of the instances’ time"), swatch: 5, fill: true, compared: true }] },
    instances: { format: plain, widest: 4, axisFormat: whole, least: 4, stepped: true, series: [{ key: "instances", label: t("ready"), swatch: 4, fill: true, compared: true }] },
  };
}

// Those that the page has a place for, by name.
export function makeCharts() {
  const charts = new Map();
  for (const [name, definition] of Object.entries(definitions())) {
    const host = document.querySelector(`[data-chart=${name}]`);
    if (host) charts.set(name, new TimeChart(host, definition));
  }
  return charts;
}
