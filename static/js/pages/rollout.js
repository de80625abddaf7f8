// The share's slider and its number say the same, and follow the rollout when it goes on by itself.
import { all } from "../lib/dom.js";

const live = () => document.getElementById("rollout-live");
let weight = live()?.dataset.weight;

all("[data-mirrors]").forEach((slider) => {
  const number = document.getElementById(slider.dataset.mirrors);
  slider.addEventListener("input", () => { number.value = slider.value; });
  number.addEventListener("input", () => { slider.value = number.value; });
  // Only a new share is taken over, so that what someone sets meanwhile stays.
  document.addEventListener("htmx:afterSwap", () => {
    const now = live()?.dataset.weight;
    if (now === undefined || now === weight) return;
    weight = now;
    number.value = now;
    slider.value = now;
  });
});

document.addEventListener("htmx:afterSwap", () => {
  const next = document.getElementById("rollout-next");
  if (next) next.hidden = live()?.dataset.last !== undefined;
  // The forms are made from what the page shows: a step that the rollout took by itself is nobody's surprise.
  const revision = live()?.dataset.revision;
  if (revision) all("#rollout form [name=revision]").forEach((field) => { field.value = revision; });
});
