// Time charts on uPlot: real time axes, gaps shown as gaps, one cursor and one zoom shared by all charts of a page.
import uPlot from "../../vendor/uPlot.esm.js";
import { setText } from "./dom.js";
import { clock } from "./format.js";
import { language } from "./i18n.js";

const SYNC = uPlot.sync("page");
const SWATCHES = ["--c-1", "--c-2", "--c-3", "--c-4", "--c-5", "--muted"];
const DAY_S = 86_400;
// A dragged stretch narrower than this is a click.
const LEAST_DRAG_PX = 6;
// A mark answers to the pointer this near.
const MARK_REACH_PX = 7;
// Points that an arrow with Shift goes.
const STEPS_FAR = 10;

// A custom property's colour as the browser resolves it for the current theme (canvas cannot read light-dark()).
export function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

export const faint = (rgb, alpha) => rgb.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);

// Lone values between two gaps would draw no line: they get a point.
function lonePoints(values) {
  return values.reduce((lone, value, index) => {
    const alone = value != null && values[index - 1] == null && values[index + 1] == null;
    if (alone) lone.push(index);
    return lone;
  }, []);
}

const withoutZeros = (one, column) => (one.hideZero ? column.map((value) => value || null) : column);

function axisTime(unixS, stepS, spanS) {
  const moment = new Date(unixS * 1000);
  const words = clock(moment);
  const time = stepS < 60 ? words : words.slice(0, 5);
  if (spanS <= DAY_S) return time;
  const day = new Intl.DateTimeFormat(language, { month: "numeric", day: "numeric" }).format(moment);
  return stepS >= DAY_S ? day : `${day} ${time}`;
}

function axisTop(max, least) {
  if (!(max > 0)) return least;
  const target = Math.max(max * 1.1, least);
  const power = 10 ** Math.floor(Math.log10(target));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= target) * power;
}

// Each column on top of those before it, so that the areas between them show the parts.
export function stacked(columns) {
  const below = [];
  return columns.map((column) => column.map((value, index) => {
    if (value == null) return null;
    below[index] = (below[index] ?? 0) + value;
    return below[index];
  }));
}

export class TimeChart {
  // series: [{key, label, swatch (1 to 6), fill, hideZero: no line where nothing happened, compared: drawn dashed once
  //   more where there is something to compare with}], format: value → text, least: smallest top of the axis, top: fixed
  //   top, stepped, banded: the areas between the lines are filled, stack: the lines stand on each other, widest: characters
  //   that a value may take: its place in the legend is as wide from the beginning.
  constructor(host, { series, format, axisFormat = format, least = 1, top = null, stepped = false, banded = false, stack = false, widest = 7 }) {
    Object.assign(this, { widest, host, series, format, axisFormat, least, top, stepped, banded, stack });
    this.window = [0, 1];
    this.columns = series.map(() => []);
    this.others = series.filter((one) => one.compared).map((one) => ({ ...one, column: [] }));
    this.marks = [];
    this.isCompared = false;
    this.data = [[], ...this.columns, ...this.others.map(() => [])];
    this.plotHost = host.querySelector("[data-plot]");
    this.note = host.querySelector("[data-note]");
    this.emptyWords = this.note.textContent;
    this.legend = host.querySelector("[data-legend]");
    this.#makeLegend();
    this.#make();
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(this.plotHost);
    document.addEventListener("themechange", () => this.#make());
  }

  // store: TimeStore; window: [from, to] in unix seconds; other: {store, shiftS} to compare with, or null; marks:
  // [{at, words}], moments at which something was changed.
  show(store, window, other = null, marks = []) {
    this.window = window;
    this.marks = marks;
    if (Boolean(other) !== this.isCompared) { this.isCompared = Boolean(other); this.#make(); }
    this.columns = this.series.map((one) => store.column(one.key));
    this.others.forEach((one) => { one.column = other ? other.store.onto(store.times, one.key, other.shiftS) : []; });
    this.series.forEach((one, index) => { this.values[index].parentElement.hidden = !this.#isShown(one); });
    this.data = [store.times, ...this.#drawn(), ...this.others.map((one) => (other ? withoutZeros(one, one.column) : store.times.map(() => null)))];
    this.plot.setData(this.data, false);
    this.plot.setScale("x", { min: window[0], max: window[1] });
    const isDrawn = (one, column) => column.some((value) => (one.hideZero ? value : value != null));
    const empty = !this.series.some((one, index) => isDrawn(one, this.columns[index])) && !this.others.some((one) => isDrawn(one, one.column));
    this.note.hidden = !empty;
    setText(this.note, store.times.length ? this.emptyWords : this.note.dataset.unmeasured);
    if (this.plot.cursor.idx == null) this.#showValues(null);
  }

  // The chart as it is drawn, for a picture; and what stands above it: [{words, colour}] of each quantity that is drawn.
  get canvas() { return this.plot.ctx.canvas; }

  get key() {
    return this.series.flatMap((one, index) => (this.#isShown(one) ? [{ words: `${one.label} ${this.values[index].textContent}`, colour: colour(SWATCHES[one.swatch - 1]) }] : []));
  }

  #drawn() {
    if (this.stack) return stacked(this.columns);
    return this.series.map((one, index) => withoutZeros(one, this.columns[index]));
  }

  // Two lines of each quantity are enough: beside another stretch or version, what is not compared is left out.
  #isShown(one) { return !this.isCompared || this.stack || Boolean(one.compared); }

  #makeLegend() {
    this.values = this.series.map((one) => {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = `swatch swatch--${one.swatch}`;
      const value = document.createElement("b");
      value.dataset.value = one.key;
      value.style.minWidth = `${this.widest}ch`;
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
      cursor: { sync: { key: SYNC.key, setSeries: false }, points: { size: 6 }, drag: { x: true, y: false, setScale: false, dist: LEAST_DRAG_PX } },
      scales: { x: { time: true }, y: { range: (plot, low, high) => [0, this.top ?? axisTop(high, this.least)] } },
      axes: [
        { stroke: text, grid: { show: false }, ticks: { show: false }, font, size: 26, space: 92, values: (plot, ticks, _axis, _space, stepS) => ticks.map((tick) => axisTime(tick, stepS, this.window[1] - this.window[0])) },
        { stroke: text, grid, ticks: { show: false }, font, size: 60, space: 34, values: (plot, ticks) => ticks.map(this.axisFormat) },
      ],
      series: [{}, ...this.series.map((one) => this.#line(one)), ...this.others.map((one) => this.#otherLine(one))],
      bands: this.#bands(),
      hooks: { setCursor: [(plot) => this.#showValues(plot.cursor.idx)], setSelect: [(plot) => this.#selected(plot)], draw: [(plot) => this.#drawMarks(plot)] },
    }, this.data, this.plotHost);
    this.plot.setScale("x", { min: this.window[0], max: this.window[1] });
  }

  #bands() {
    if (!this.stack && (!this.banded || this.isCompared)) return [];
    const alpha = this.stack ? 0.5 : 0.14;
    return this.series.slice(1).map((one, index) => ({ series: [index + 2, index + 1], fill: faint(colour(SWATCHES[one.swatch - 1]), alpha) }));
  }

  #line(one) {
    const stroke = colour(SWATCHES[one.swatch - 1]);
    const first = one === this.series[0];
    const alpha = this.stack ? 0.5 : 0.12;
    const isFilled = this.stack || !this.isCompared;
    return {
      stroke,
      show: this.#isShown(one),
      width: this.stack ? 1 : 1.6,
      spanGaps: false,
      fill: !isFilled ? undefined : one.fill || ((this.banded || this.stack) && first) ? faint(stroke, alpha) : undefined,
      paths: this.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: true, size: 4, fill: stroke, width: 0, filter: (plot, index) => lonePoints(plot.data[index]) },
    };
  }

  #otherLine(one) {
    return { stroke: colour(SWATCHES[one.swatch - 1]), width: 1.4, dash: [4, 4], spanGaps: false, points: { show: false } };
  }

  // What the pointer does, by keys: the values at a moment, a closer look and a wider one.
  #listen() {
    this.plotHost.addEventListener("keydown", (event) => {
      const isKnown = !event.ctrlKey && !event.metaKey && !event.altKey && this.#key(event.key, event.shiftKey);
      if (isKnown) event.preventDefault();
    });
    this.plotHost.addEventListener("blur", () => this.#point(null));
  }

  // Whether the key means something here.
  #key(key, isFar) {
    const index = this.plot.cursor.idx, last = this.data[0].length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (steps) this.#point(index == null ? last : index + steps * (isFar ? STEPS_FAR : 1));
    else if (key === "Home") this.#point(0);
    else if (key === "End") this.#point(last);
    else if (key === "Escape") this.#point(null);
    else if (key === "+" || key === "=") this.#look(0.5);
    else if (key === "-") this.#look(2);
    else return false;
    return true;
  }

  // The cursor on a point within the window; null: nowhere.
  #point(index) {
    if (index === null || !this.data[0].length) { this.plot.setCursor({ left: -10, top: -10 }, true, true); return; }
    const [from, to] = this.window, times = this.data[0];
    const first = times.findIndex((time) => time >= from), last = times.findLastIndex((time) => time <= to);
    if (first === -1 || last < first) return;
    const left = this.plot.valToPos(times[Math.min(last, Math.max(first, index))], "x");
    this.plot.setCursor({ left, top: this.plot.bbox.height / devicePixelRatio / 2 }, true, true);
  }

  // So many times the present window, around the cursor or, without one, its middle.
  #look(times) {
    const [from, to] = this.window;
    const at = this.data[0][this.plot.cursor.idx] ?? (from + to) / 2;
    this.host.dispatchEvent(new CustomEvent("chartzoom", { bubbles: true, detail: { from: at - ((at - from) * times), to: at + ((to - at) * times) } }));
  }

  // Every chart of the page takes the dragged stretch: the page listens for it.
  #selected(plot) {
    if (plot.select.width < LEAST_DRAG_PX) return;
    const [from, to] = [plot.select.left, plot.select.left + plot.select.width].map((left) => plot.posToVal(left, "x"));
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.host.dispatchEvent(new CustomEvent("chartzoom", { bubbles: true, detail: { from, to } }));
  }

  #drawMarks(plot) {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--border-strong");
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    for (const mark of this.marks) {
      const left = plot.valToPos(mark.at, "x", true);
      if (left < bbox.left || left > bbox.left + bbox.width) continue;
      const foot = bbox.top + bbox.height;
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, foot);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(left, foot - 6 * ratio);
      ctx.lineTo(left - 5 * ratio, foot + 2 * ratio);
      ctx.lineTo(left + 5 * ratio, foot + 2 * ratio);
      ctx.fill();
    }
    ctx.restore();
  }

  #showValues(index) {
    const at = index ?? this.data[0].length - 1;
    this.series.forEach((one, position) => {
      const now = this.format(this.columns[position][at] ?? null);
      const before = this.others.find((other) => other.key === one.key)?.column[at];
      this.values[position].textContent = before == null ? now : `${now} / ${this.format(before)}`;
    });
    const time = index == null || this.data[0][at] === undefined ? "" : clock(new Date(this.data[0][at] * 1000));
    const words = index == null ? "" : this.#markAt(this.plot.cursor.left);
    this.host.querySelector("[data-at]").textContent = [time, words].filter(Boolean).join(" · ");
  }

  #markAt(left) {
    const near = this.marks.find((mark) => Math.abs(this.plot.valToPos(mark.at, "x") - left) <= MARK_REACH_PX);
    return near ? near.words : "";
  }

  #resize() {
    const width = this.plotHost.clientWidth;
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.plotHost.clientHeight || 190 });
  }
}
