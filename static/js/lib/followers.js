// Parts of a page that change only now and then are asked for anew when a part that is read all the time says so.
// Both carry data-standing, made by the server of what their content depends on; data-follows names the part that is read.
import { all } from "./dom.js";

// By the follower's id: what it was last asked for, so that a difference is asked for once and not in a circle.
const asked = new Map();

document.addEventListener("input", (event) => event.target.closest("[data-follows]")?.setAttribute("data-touched", ""));

// What a person has typed into, stands in, or is about to confirm stays as it is.
function isInUse(part) {
  return "touched" in part.dataset || document.querySelector("dialog[open]") !== null || part.querySelector(":is(input, select, textarea):focus") !== null;
}

export function followers() {
  for (const part of all("[data-follows]")) {
    const standing = document.querySelector(part.dataset.follows)?.dataset.standing;
    if (standing === undefined || standing === part.dataset.standing || standing === asked.get(part.id) || isInUse(part)) continue;
    asked.set(part.id, standing);
    globalThis.htmx?.trigger(part, "renew");
  }
}
