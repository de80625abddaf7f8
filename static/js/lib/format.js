// Numbers and times for people. Every function takes null and answers a dash.
import { language, t } from "./i18n.js";

const DASH = "–";
const number0 = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });

export function count(value) {
  if (value === null || value === undefined) return DASH;
  return value < 100_000 ? number0.format(value) : new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

export function decimal(value, digits = 1) {
  if (value === null || value === undefined) return DASH;
  return Number.isInteger(value) ? String(value) : value.toFixed(digits);
}

export function ms(value) {
  if (value === null || value === undefined) return DASH;
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${value.toFixed(0)} ms`;
  return value >= 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(2)} ms`;
}

export function percent(ratio) {
  return ratio === null || ratio === undefined ? DASH : `${Math.round(ratio * 100)}%`;
}

export function bytes(value) {
  if (value === null || value === undefined) return DASH;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (value >= 1024 && step < units.length - 1) { value /= 1024; step += 1; }
  return `${step === 0 ? value : value.toFixed(1)} ${units[step]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return DASH;
  if (seconds < 90) return `${Math.round(seconds)} ${t("s")}`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} ${t("min")}`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} ${t("h")}`;
  return `${Math.round(seconds / 86_400)} ${t("days")}`;
}

const two = (value) => String(value).padStart(2, "0");

export function clock(date) {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function localTime(date) {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`;
}

// Hits of the look-ups that ended as a hit or a miss (proxy/core/hit_ratio.py): who shared an execution is neither.
export function hitRatio(second) {
  const looked = second.cache_hits + second.cache_misses;
  return looked ? second.cache_hits / looked : null;
}
