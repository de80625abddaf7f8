// The page of versions: the share's slider and its number say the same and follow the rollout when it goes on by itself; the
// list of versions follows the data plane.
import { all } from "../lib/dom.js";
import { live } from "../lib/live.js";
import { loaded } from "../lib/versions.js";

const rollout = () => document.getElementById("rollout-live");
const list = () => document.getElementById("version-list");
const { model } = document.getElementById("model-head").dataset;
const numberOf = (slider) => document.getElementById(slider.dataset.mirrors);
let weight = rollout()?.dataset.weight;
let seen = list().dataset.loaded;

document.addEventListener("input", ({ target }) => {
  if (target.dataset.mirrors) numberOf(target).value = target.value;
  for (const slider of all(`[data-mirrors="${target.id}"]`)) slider.value = target.value;
});

document.addEventListener("htmx:afterSwap", () => {
  const shown = rollout()?.dataset;
  // Only a new share is taken over, so that what someone sets meanwhile stays.
  if (shown?.weight !== undefined && shown.weight !== weight) {
    weight = shown.weight;
    for (const slider of all("[data-mirrors]")) slider.value = numberOf(slider).value = weight;
  }
  const next = document.getElementById("rollout-next");
  if (next) next.hidden = shown?.last !== undefined;
  // The forms are made from what the page shows: a step that the rollout took by itself is nobody's surprise.
  if (shown?.revision) all("#rollout form [name=revision]").forEach((field) => { field.value = shown.revision; });
});

live.onSecond((said) => {
  const now = loaded(said.versions, model);
  if (now === seen) return;
  seen = now;
  globalThis.htmx?.trigger("#version-list", "renew");
});
