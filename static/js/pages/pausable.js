// The page of requests: the list stands still on request, and while a bar is pointed at or has the keyboard's focus.
import { setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";

const list = document.getElementById("requests-live");
const button = document.getElementById("requests-pause");
let paused = new URLSearchParams(location.search).has("paused");

function show() {
  button.setAttribute("aria-pressed", String(paused));
  setText(button, paused ? t("Go on") : t("Pause"));
  list.classList.toggle("stands-still", paused);
}

// What is paused stays so for whoever opens the link.
button.addEventListener("click", () => {
  paused = !paused;
  const url = new URL(location.href);
  if (paused) url.searchParams.set("paused", "1");
  else url.searchParams.delete("paused");
  history.replaceState(history.state, "", url);
  show();
});

list.addEventListener("htmx:beforeRequest", (event) => {
  if (paused || list.querySelector(".split:hover, .split:focus")) event.preventDefault();
});
show();
