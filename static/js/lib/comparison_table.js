// The table that says a comparison in numbers. Its rows are made by the server; here they are filled.
import { comparedRows } from "./comparison.js";
import { setText } from "./dom.js";
import { clock, count, decimal, localTime, ms } from "./format.js";
import { t } from "./i18n.js";
import { versionsOf } from "./ranges.js";

const FORMATS = { count, ms, decimal, share: (ratio) => (ratio === null ? "–" : `${(ratio * 100).toFixed(1)}%`) };
const panel = document.getElementById("comparison");
const part = (id) => document.getElementById(id);
const signed = (value, digits) => `${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(digits)}`;

function changeWords(change) {
  if (change === null) return "–";
  if ("times" in change) return `× ${change.times.toFixed(1)}`;
  if ((change.points ?? change.percent) === 0) return "±0";
  if ("points" in change) return t("{points} points", { points: signed(change.points, 1) });
  return `${signed(change.percent, Math.abs(change.percent) < 10 ? 1 : 0)}%`;
}

// [what is compared with, what is shown] in words.
function sides(compare, [start, end], shiftS) {
  const versions = versionsOf(compare);
  if (versions) return [versions[1], versions[0]].map((number) => t("Version {number}", { number }));
  const at = (unixS) => new Date(unixS * 1000);
  return [`${localTime(at(start - shiftS))} – ${clock(at(end - shiftS))}`, t("This range")];
}

// Which line is which, for a picture.
export function comparedWords() {
  const [before, now] = ["before", "now"].map((side) => part(`compared-${side}`).textContent);
  return t("solid: {now}, dashed: {before}", { now, before });
}

export function hideComparison() { panel.hidden = true; }

// before, now: wholes of the history, null where nothing was measured.
export function showComparison(compare, range, shiftS, before, now) {
  panel.hidden = false;
  const names = sides(compare, range, shiftS);
  ["before", "now"].forEach((side, index) => setText(part(`compared-${side}`), names[index]));
  for (const row of comparedRows(before, now)) {
    const [, was, is, change] = part(`compared-${row.key}`).children;
    setText(was, FORMATS[row.kind](row.before));
    setText(is, FORMATS[row.kind](row.now));
    setText(change, changeWords(row.change));
  }
  const missing = [before, now].flatMap((whole, index) => (whole ? [] : [t("Nothing was measured: {side}.", { side: names[index] })]));
  if (missing.length && versionsOf(compare)) missing.push(t("Versions are measured apart while more than one is loaded; these figures are kept by the second, for some hours."));
  setText(part("compared-words"), missing.join(" "));
}
