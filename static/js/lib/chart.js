// Time charts on uPlot: real time axes, gaps shown as gaps, one cursor shared by all charts of a page.
import uPlot from "../../vendor/uPlot.esm.js";
import { clock } from "./format.js";

const SYNC = uPlot.sync("page");
const SWATCHES = ["--c-1", "--c-2", "--c-3", "--c-4", "--c-5"];

// A custom property's colour as the browser resolves it for the current theme (canvas cannot read light-dark()).
export function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

// Lone values between two gaps would draw no line: they get a point.
function lonePoints(values) {
  return values.reduce((lone, value, index) => {
    const alone = value != null && values[index - 1] == null && values[index + 1] == null;
    if (alone) lone.push(index);
    return lone;
  }, []);
}

function axisTime(unixS, stepS) {
  const words = clock(new Date(unixS * 1000));
  return stepS < 60 ? words : words.slice(0, 5);
}

function axisTop(max, least) {
  if (!(max > 0)) return least;
  const target = Math.max(max * 1.1, least);
  const power = 10 ** Math.floor(Math.log10(target));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= target) * power;
}

export class TimeChart {
  // series: [{key, label, swatch (1 to 5), fill, hideZero: no line where nothing happened}], format: value → text, least: smallest top of the axis, top: fixed top.
  constructor(host, { series, format, axisFormat = format, least = 1, top = null, stepped = false }) {
    this.host = host;
    this.series = series;
    this.format = format;
    this.axisFormat = axisFormat;
    this.least = least;
    this.top = top;
    this.stepped = stepped;
    this.window = [0, 1];
    this.columns = series.map(() => []);
    this.data = [[], ...this.columns];
    this.plotHost = host.querySelector("[data-plot]");
    this.note = host.querySelector("[data-note]");
    this.legend = host.querySelector("[data-legend]");
    this.#makeLegend();
    this.#make();
    new ResizeObserver(() => this.#resize()).observe(this.plotHost);
    document.addEventListener("themechange", () => this.#make());
  }

  // store: TimeStore; window: [from, to] in unix seconds.
  show(store, window) {
    this.window = window;
    this.columns = this.series.map((one) => store.column(one.key));
    this.data = [store.times, ...this.series.map((one, index) => (one.hideZero ? this.columns[index].map((value) => value || null) : this.columns[index]))];
    this.plot.setData(this.data, false);
    this.plot.setScale("x", { min: window[0], max: window[1] });
    const empty = !this.data.slice(1).some((column) => column.some((value) => value != null));
    this.note.hidden = !empty;
    if (this.plot.cursor.idx == null) this.#showValues(null);
  }

  #makeLegend() {
    this.values = this.series.map((one) => {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = `swatch swatch--${one.swatch}`;
      const value = document.createElement("b");
      value.textContent = "–";
      item.append(swatch, one.label, " ", value);
      this.legend.append(item);
      return value;
    });
  }

  #make() {
    this.plot?.destroy();
    const text = colour("--muted");
    const grid = { stroke: colour("--grid"), width: 1 };
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    this.plot = new uPlot({
      width: Math.max(120, this.plotHost.clientWidth),
      height: this.plotHost.clientHeight || 190,
      legend: { show: false },
      padding: [8, 20, 0, 0],
      cursor: { sync: { key: SYNC.key, setSeries: false }, points: { size: 6 }, drag: { x: false, y: false } },
      scales: { x: { time: true }, y: { range: (plot, low, high) => [0, this.top ?? axisTop(high, this.least)] } },
      axes: [
        { stroke: text, grid: { show: false }, ticks: { show: false }, font, size: 26, space: 76, values: (plot, ticks, _axis, _space, stepS) => ticks.map((tick) => axisTime(tick, stepS)) },
        { stroke: text, grid, ticks: { show: false }, font, size: 60, space: 34, values: (plot, ticks) => ticks.map(this.axisFormat) },
      ],
      series: [{}, ...this.series.map((one) => this.#line(one))],
      hooks: { setCursor: [(plot) => this.#showValues(plot.cursor.idx)] },
    }, this.data, this.plotHost);
    this.plot.setScale("x", { min: this.window[0], max: this.window[1] });
  }

  #line(one) {
    const stroke = colour(SWATCHES[one.swatch - 1]);
    return {
      stroke,
      width: 1.6,
      spanGaps: false,
      fill: one.fill ? stroke.replace("rgb(", "rgba(").replace(")", ", 0.12)") : undefined,
      paths: this.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: true, size: 4, fill: stroke, width: 0, filter: (plot, index) => lonePoints(plot.data[index]) },
    };
  }

  #showValues(index) {
    const at = index ?? this.data[0].length - 1;
    this.series.forEach((one, position) => { this.values[position].textContent = this.format(this.columns[position][at] ?? null); });
    const shown = index == null ? "" : clock(new Date(this.data[0][at] * 1000));
    this.host.querySelector("[data-at]").textContent = shown;
  }

  #resize() {
    const width = this.plotHost.clientWidth;
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.plotHost.clientHeight || 190 });
  }
}

// Two steps may lie this far apart before it counts as a gap: reports come about each second, and one may fall on either
// side of a full second.
const GAP_STEPS = 2.5;

// Rows by time, as columns. A missing stretch becomes one row of nulls, so that charts show it as a gap.
export class TimeStore {
  constructor(keys, resolutionS) {
    this.keys = keys;
    this.resolutionS = resolutionS;
    this.times = [];
    this.columns = new Map(keys.map((key) => [key, []]));
  }

  column(key) { return this.columns.get(key); }

  push(at, row) {
    const last = this.times.at(-1);
    if (last !== undefined && at <= last) return;
    if (last !== undefined && at - last > this.resolutionS * GAP_STEPS) this.#append(last + this.resolutionS, {});
    this.#append(at, row);
  }

  // Drop what lies before `from`; done in bulk, since shifting arrays each second would be wasteful.
  trim(from) {
    const first = this.times.findIndex((time) => time >= from);
    if (first < 60) return;
    this.times = this.times.slice(first);
    for (const key of this.keys) this.columns.set(key, this.columns.get(key).slice(first));
  }

  #append(at, row) {
    this.times.push(at);
    for (const key of this.keys) this.columns.get(key).push(row[key] ?? null);
  }
}
