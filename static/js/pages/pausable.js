// A part that is read anew every few seconds stands still on request, and while something in it is pointed at, has the
// keyboard's focus or is selected. Paused is part of the address.
import { setText } from "../lib/dom.js";
import { t } from "../lib/i18n.js";

const part = document.querySelector("[data-pausable]");
const button = document.getElementById("pause");
let paused = new URLSearchParams(location.search).has("paused");

function show() {
  button.setAttribute("aria-pressed", String(paused));
  setText(button, paused ? t("Go on") : t("Pause"));
  part.classList.toggle("stands-still", paused);
}

function isRead() {
  const selection = getSelection();
  const isSelected = selection !== null && !selection.isCollapsed && part.contains(selection.anchorNode);
  const isAsked = document.getElementById("confirm-dialog")?.open ?? false; // a form in it waits for the answer
  return isSelected || isAsked || part.querySelector(".split:hover, .split:focus") !== null;
}

// What is read from the end, such as a log, stays at its end.
function toEnd() {
  for (const log of part.querySelectorAll("[data-from-end]")) log.scrollTop = log.scrollHeight;
}

button.addEventListener("click", () => {
  paused = !paused;
  const url = new URL(location.href);
  if (paused) url.searchParams.set("paused", "1");
  else url.searchParams.delete("paused");
  history.replaceState(history.state, "", url);
  show();
});
part.addEventListener("htmx:beforeRequest", (event) => { if (paused || isRead()) event.preventDefault(); });
part.addEventListener("htmx:afterSwap", toEnd);
show();
toEnd();
