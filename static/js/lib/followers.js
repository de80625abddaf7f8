// Parts of a page that change only now and then are asked for anew when a part that is read all the time says so.
// Both carry data-standing, made by the server of what their content depends on; data-follows names the part that is read.
import { all } from "./dom.js";

// By the part's id: what it was last asked for, so that a difference is asked for once and not in a circle.
const asked = new Map();

document.addEventListener("input", (event) => event.target.closest("[data-follows]")?.setAttribute("data-touched", ""));

// What a person has typed into, stands in, or is about to confirm stays as it is.
function isInUse(part) {
  return "touched" in part.dataset || document.querySelector("dialog[open]") !== null || part.querySelector(":is(input, select, textarea):focus") !== null;
}

// Asks for a part that stands otherwise than it is shown. A hidden tab asks for nothing: it stays to be asked.
export function renew(part, shown, standing) {
  if (standing === shown) asked.delete(part.id);
  else if (!document.hidden && standing !== asked.get(part.id)) {
    asked.set(part.id, standing);
    globalThis.htmx?.trigger(part, "renew");
  }
}

// Call whenever what is read has been read, with a new answer or the same: what was in use then may no longer be.
export function followers() {
  for (const part of all("[data-follows]")) {
    const standing = document.querySelector(part.dataset.follows)?.dataset.standing;
    if (standing !== undefined && !isInUse(part)) renew(part, part.dataset.standing, standing);
  }
}

// Not sent, or not answered by a server that restarts: it is asked for once more. A refusal (4xx) would only come again.
export function unanswered(id, status) {
  if (status === 0 || status >= 500) asked.delete(id);
}
