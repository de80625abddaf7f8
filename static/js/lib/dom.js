// Small helpers; text goes into the page as text, never as markup.
import { t } from "./i18n.js";
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// A text that is there gets other characters: a new text node would have its box made anew.
export function setText(node, text) {
  if (!node || node.textContent === text) return;
  const only = node.firstChild;
  if (only?.nodeName === "#text" && only === node.lastChild) only.data = text;
  else node.textContent = text;
}

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

export function readJson(id) {
  const node = document.getElementById(id);
  return node ? JSON.parse(node.textContent) : null;
}

const TONES = { ready: "ok", failed: "bad", checking: "busy", loading: "busy", warming: "busy", verifying: "busy", starting: "busy", draining: "warn", quarantined: "bad" };

// Where a version or an instance stands, in words.
export function stateWords(value) {
  const words = {
    checking: t("Checking"), loading: t("Loading"), warming: t("Warming up"), verifying: t("Verifying"), ready: t("Ready"), draining: t("Draining"), asleep: t("Asleep"), failed: t("Failed"),
    quarantined: t("Quarantined"), unloaded: t("Unloaded"), starting: t("Starting"), stopped: t("Stopped"), busy: t("Busy"), lost: t("Lost"),
  };
  return words[value] ?? value.charAt(0).toUpperCase() + value.slice(1);
}

// A state's word, colour and reason (its tooltip).
export function setState(node, value, reason = "") {
  if (!node) return;
  if (node.title !== reason) node.title = reason;
  setText(node, stateWords(value));
  const tone = TONES[value] ?? "";
  if (node.dataset.tone !== tone) node.dataset.tone = tone;
}
