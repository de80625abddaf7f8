// The share's slider and its number say the same.
import { all } from "../lib/dom.js";

all("[data-mirrors]").forEach((slider) => {
  const number = document.getElementById(slider.dataset.mirrors);
  slider.addEventListener("input", () => { number.value = slider.value; });
  number.addEventListener("input", () => { slider.value = number.value; });
});
