// Shows a V2 answer: the best class large, scores as bars, the rest as JSON.
import { make } from "./dom.js";
import { t } from "./i18n.js";

const MOST_BARS = 64;

export function showAnswer(host, answer, rawText) {
  const parts = (answer.outputs ?? []).map((output) => outputParts(output));
  host.replaceChildren(...parts.flat(), rawDetails(rawText));
}

export function showRefusal(host, status, words) {
  host.replaceChildren(make("p", { class: "form-error" }, `${status || t("No answer")}: ${words}`));
}

export function rawDetails(text) {
  const code = make("div", { class: "code" }, make("pre", { id: "raw-answer", tabindex: 0 }, text), make("button", { class: "button button--small", type: "button", "data-copy": "raw-answer" }, t("Copy")));
  return make("details", { class: "more" }, make("summary", {}, t("Answer as JSON")), code);
}

function outputParts(output) {
  const title = make("p", { class: "small muted" }, make("code", {}, output.name), ` ${output.datatype} [${output.shape.join(", ")}]`);
  const values = output.data.flat(Infinity);
  const numeric = values.length > 0 && values.every((value) => typeof value === "number");
  if (!numeric || values.length > MOST_BARS) return [title, make("div", { class: "code" }, make("pre", { tabindex: 0 }, preview(values)))];
  if (values.length === 1) return [title, make("p", { class: "answer" }, number(values[0]))];
  const row = values.slice(0, output.shape.at(-1) ?? values.length);
  const { shown, words, format } = asScores(row);
  const best = shown.indexOf(Math.max(...shown));
  const first = row.length < values.length ? t("{words}; the first of {count} rows", { words, count: values.length / row.length }) : words;
  return [title, make("p", { class: "answer", "data-best-class": best }, String(best)), make("p", { class: "small muted" }, first), bars(shown, best, format)];
}

// Probabilities where the numbers are some, or logarithms of some; else the numbers themselves.
export function asScores(row) {
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  if (row.every((value) => value >= 0 && value <= 1) && Math.abs(sum(row) - 1) < 0.01) return { shown: row, words: t("Highest probability"), format: chance };
  if (row.every((value) => value <= 0) && Math.abs(sum(row.map(Math.exp)) - 1) < 0.01) return { shown: row.map(Math.exp), words: t("Highest probability (the model answers logarithms)"), format: chance };
  return { shown: row, words: t("Highest score"), format: number };
}

function bars(values, best, format) {
  const low = Math.min(0, ...values);
  const width = Math.max(...values) - low || 1;
  return make("ol", { class: "bars", "aria-label": t("Scores") }, ...values.map((value, index) => {
    const fill = make("i");
    fill.style.width = `${(((value - low) / width) * 100).toFixed(2)}%`;
    return make("li", { "data-best": index === best }, make("span", {}, String(index)), make("span", { class: "bar" }, fill), make("span", { class: "num" }, format(value)));
  }));
}

function chance(ratio) { return ratio > 0 && ratio < 0.0001 ? "< 0.01%" : `${(ratio * 100).toFixed(2)}%`; }

function number(value) { return Number.isInteger(value) ? String(value) : value.toPrecision(4); }

function preview(values) {
  const shown = values.slice(0, 200).map((value) => (typeof value === "number" ? number(value) : JSON.stringify(value))).join(", ");
  return values.length > 200 ? t("{shown}, … ({count} values)", { shown, count: values.length }) : shown;
}
