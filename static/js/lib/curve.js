// The miss-ratio curve on uPlot: size on a logarithmic axis, misses in per cent, the present size as a marked point.
import uPlot from "../../vendor/uPlot.esm.js";
import { colour, faint } from "./chart.js";
import { make } from "./dom.js";
import { bytes, decimal, percent } from "./format.js";
import { t } from "./i18n.js";

const ROWS_SHOWN = 12;
const HEIGHT = 260;
// Where the axis of misses may end.
const TOPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1];

const fine = (ratio) => (ratio > 0 && ratio < 0.02 ? `${(ratio * 100).toFixed(1)}%` : percent(ratio));

export class CurveChart {
  // at: where the values under the pointer are told.
  constructor(host, at) {
    this.host = host;
    this.at = at;
    this.curve = null;
    this.plot = null;
    new ResizeObserver(() => this.plot && host.clientWidth && this.plot.setSize(this.#size())).observe(host);
    document.addEventListener("themechange", () => this.curve && this.#make());
  }

  // curve: {sizes (bytes, ascending), misses (0 to 1), saved (ms of model time a second), now: {size, miss}}.
  show(curve) {
    const first = !this.plot;
    this.curve = curve;
    if (first) this.#make();
    else this.plot.setData(this.#data());
    this.#tell(null);
  }

  #data() {
    const { sizes, misses, now } = this.curve;
    return [sizes, misses, sizes.map((size) => (size === now.size ? now.miss : null))];
  }

  #size() { return { width: Math.max(200, this.host.clientWidth), height: this.host.clientHeight || HEIGHT }; }

  #make() {
    this.plot?.destroy();
    const text = colour("--muted");
    const [line, mark] = [colour("--c-1"), colour("--c-2")];
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const grid = { stroke: colour("--grid"), width: 1 };
    this.plot = new uPlot({
      ...this.#size(),
      legend: { show: false },
      padding: [10, 24, 0, 0],
      cursor: { points: { size: 7 }, drag: { x: false, y: false } },
      scales: { x: { time: false, distr: 3, log: 2, range: (plot, low, high) => [low, high] }, y: { range: (plot, low, high) => [0, TOPS.find((top) => top >= high) ?? 1] } },
      axes: [
        { stroke: text, grid, ticks: { show: false }, font, size: 30, space: 70, values: (plot, ticks) => ticks.map((tick) => (tick === null ? "" : bytes(tick).replace(".0 ", " "))) },
        { stroke: text, grid, ticks: { show: false }, font, size: 50, space: 40, values: (plot, ticks) => ticks.map(fine) },
      ],
      series: [
        {},
        { stroke: line, width: 2, fill: faint(line, 0.1), points: { show: false } },
        { stroke: mark, fill: mark, paths: () => null, points: { show: true, size: 11, fill: mark, width: 0 } },
      ],
      hooks: { setCursor: [(plot) => this.#tell(plot.cursor.idx)] },
    }, this.#data(), this.host);
  }

  // The values under the pointer; without one those of the present size.
  #tell(index) {
    const { sizes, misses, saved, now } = this.curve;
    const at = index ?? sizes.indexOf(now.size);
    const words = { size: bytes(sizes[at]), misses: fine(misses[at]), saved: decimal(saved[at]) };
    this.at.textContent = at === sizes.indexOf(now.size) ? t("Now: {size}, {misses} miss, saves about {saved} ms of model time a second", words) : t("At {size}: {misses} miss, saves about {saved} ms of model time a second", words);
  }
}

// At most a dozen rows of the curve as a table's, the present size among them.
export function curveRows({ sizes, misses, saved, now }) {
  const step = Math.max(1, Math.ceil(sizes.length / ROWS_SHOWN));
  const chosen = sizes.map((_size, index) => index).filter((index) => index % step === 0 || sizes[index] === now.size || index === sizes.length - 1);
  return chosen.map((index) => {
    const name = make("th", { scope: "row" }, bytes(sizes[index]), ...(sizes[index] === now.size ? [" ", make("span", { class: "tag tag--accent" }, t("now"))] : []));
    return make("tr", {}, name, make("td", { class: "num" }, fine(misses[index])), make("td", { class: "num" }, decimal(saved[index])));
  });
}
