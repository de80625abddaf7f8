// A recording's waveform and, under it on the same time axis, what the model said of it. On uPlot.
import uPlot from "../../vendor/uPlot.esm.js";
import { colour, faint } from "./chart.js";
import { make } from "./dom.js";
import { decimal, percent } from "./format.js";
import { t } from "./i18n.js";
import { areChances, envelope, timesOf } from "./sound.js";

const COLUMNS = 1_200;
const WAVE_HEIGHT = 110;
const VALUE_HEIGHT = 190;
const SYNC = uPlot.sync("sound");

export class SoundChart {
  constructor() {
    this.waveHost = make("div", {});
    this.valueHost = make("div", {});
    this.words = make("p", { class: "small muted", role: "status" });
    this.node = make("div", { class: "stack stack--tight" }, this.waveHost, this.valueHost, this.words);
    this.plots = [];
    new ResizeObserver(() => this.plots.forEach((plot) => this.node.clientWidth && plot.setSize({ width: this.node.clientWidth, height: plot.height }))).observe(this.node);
    document.addEventListener("themechange", () => this.recording && this.#draw());
  }

  // recording: Float32Array; values: what the model answered, in its order, or empty.
  show(recording, rate, values = []) {
    Object.assign(this, { recording, rate, values });
    this.#draw();
    const seconds = recording.length / rate;
    if (!values.length) this.words.textContent = t("{seconds} s at {rate} kHz", { seconds: decimal(seconds, 2), rate: rate / 1000 });
    else if (areChances(values)) this.words.textContent = t("{count} values in {seconds} s; {share} of them 0.5 or above, the highest {top}", { count: values.length, seconds: decimal(seconds, 2), share: percent(values.filter((one) => one >= 0.5).length / values.length), top: Math.max(...values).toFixed(3) });
    else this.words.textContent = t("{count} values in {seconds} s", { count: values.length, seconds: decimal(seconds, 2) });
  }

  #draw() {
    this.plots.forEach((plot) => plot.destroy());
    const seconds = this.recording.length / this.rate;
    const { low, high } = envelope(this.recording, COLUMNS);
    const wave = colour("--c-5");
    this.plots = [this.#plot(this.waveHost, WAVE_HEIGHT, seconds, [timesOf(low.length, seconds), low, high], {
      y: { range: (plot, least, most) => { const top = Math.max(0.05, -least, most); return [-top, top]; } },
      series: [{}, { stroke: wave, width: 1, points: { show: false } }, { stroke: wave, width: 1, points: { show: false } }],
      bands: [{ series: [2, 1], fill: faint(wave, 0.55) }],
    })];
    if (!this.values.length) return;
    const line = colour("--c-1"), half = colour("--c-2");
    const chances = areChances(this.values);
    const times = timesOf(this.values.length, seconds);
    this.plots.push(this.#plot(this.valueHost, VALUE_HEIGHT, seconds, [times, this.values, ...(chances ? [times.map(() => 0.5)] : [])], {
      y: { range: (plot, least, most) => (chances ? [0, 1] : [least, most === least ? least + 1 : most]) },
      series: [{}, { stroke: line, width: 2, fill: faint(line, 0.12), points: { show: this.values.length < 40 } }, ...(chances ? [{ stroke: half, width: 1, dash: [5, 4], points: { show: false } }] : [])],
      setCursor: (plot) => {
        const at = plot.cursor.idx;
        if (at !== null && at !== undefined) this.words.textContent = t("At {seconds} s: {value}", { seconds: decimal(times[at], 2), value: this.values[at].toFixed(3) });
      },
    }));
  }

  #plot(host, height, seconds, data, { y, series, bands, setCursor }) {
    const text = colour("--muted");
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: text, grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font };
    return new uPlot({
      width: Math.max(200, this.node.clientWidth || host.clientWidth),
      height,
      legend: { show: false },
      padding: [8, 12, 0, 0],
      cursor: { drag: { x: false, y: false }, sync: { key: SYNC.key, setSeries: false } },
      scales: { x: { time: false, range: () => [0, seconds] }, y },
      axes: [{ ...axis, size: 26, space: 60, values: (plot, ticks) => ticks.map((tick) => `${tick} ${t("s")}`) }, { ...axis, size: 46, space: 30 }],
      series,
      bands,
      hooks: setCursor ? { setCursor: [setCursor] } : {},
    }, data, host);
  }
}
