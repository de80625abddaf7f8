// Where the time of a request went, from its Server-Timing header: a bar and its parts in words.
import { make } from "./dom.js";
import { ms } from "./format.js";
import { t } from "./i18n.js";

// Part → its colour on the page of requests.
const KINDS = { body: "own", parse: "own", queue: "queue", batch: "batch", input: "transfer", compute: "compute", output: "transfer", write: "own", rest: "message" };
const WIDTH = 1000;

// "queue;dur=0.31, compute;dur=1.2, total;dur=1.9" → {queue: 0.31, …, rest: what the parts lack of the total}, in ms.
export function readTiming(header) {
  const parts = {};
  for (const [, name, duration] of (header ?? "").matchAll(/([a-z]+);dur=([0-9.]+)/gu)) parts[name] = Number(duration);
  if (!("total" in parts)) return null;
  const { total, ...others } = parts;
  return { ...others, rest: Math.max(0, total - Object.values(others).reduce((sum, value) => sum + value, 0)) };
}

// The sum of several requests' parts.
export function addTimings(timings) {
  const sum = {};
  for (const timing of timings) for (const [name, value] of Object.entries(timing ?? {})) sum[name] = (sum[name] ?? 0) + value;
  return sum;
}

export function timingParts(timing) {
  const words = { body: t("Body"), parse: t("Read"), queue: t("Queue"), batch: t("Batch wait"), input: t("Transfer in"), compute: t("Compute"), output: t("Transfer out"), write: t("Write"), rest: t("Messages") };
  const parts = Object.entries(timing).filter(([name, value]) => name in KINDS && value >= 0.0005);
  const total = parts.reduce((sum, [, value]) => sum + value, 0);
  if (!total) return [];
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} 14`, preserveAspectRatio: "none", "aria-hidden": "true" })) bar.setAttribute(name, value);
  let x = 0;
  for (const [name, value] of parts) {
    const piece = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const width = (WIDTH * value) / total;
    for (const [key, text] of Object.entries({ class: `part part--${KINDS[name]}`, x, y: 0, width, height: 14 })) piece.setAttribute(key, text);
    bar.append(piece);
    x += width;
  }
  const legend = make("ul", { class: "legend", id: "time-parts" }, ...parts.map(([name, value]) => make("li", { "data-part": name }, make("i", { class: `part part--${KINDS[name]}` }), `${words[name]} ${ms(value)}`)));
  return [make("p", { class: "small muted" }, t("{time} in the server", { time: ms(total) })), make("div", { class: "split" }, bar), legend];
}
