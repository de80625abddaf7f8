// Words in the page's language. The English text is the key; the catalogue is made by script/messages.py.
//   t("Stale since {time}", { time })        tn("{count} row", "{count} rows", count)
// Give the English text as a literal: the catalogue is collected from the source.
export const language = globalThis.document?.documentElement?.lang || "en";
const isChinese = language.toLowerCase().startsWith("zh");
const catalogue = isChinese ? (await import("../locale/zh-hans.js")).default : {};

const filled = (text, values) => text.replaceAll(/\{(\w+)\}/gu, (whole, name) => (name in values ? String(values[name]) : whole));

export function t(text, values = {}) {
  return filled(catalogue[text] ?? text, values);
}

export function tn(one, many, count, values = {}) {
  return filled(catalogue[one] ?? (count === 1 ? one : many), { count, ...values });
}
