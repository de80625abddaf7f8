// The page's one live socket: a snapshot, then differences each second with sequence numbers.
// Rules: a gap asks for a new snapshot; a lost socket comes back with growing, jittered pauses; a hidden tab asks for nothing.
// A page asks for the models that it shows: a list of a thousand is read by the fifty rows of a page.
import { t } from "./i18n.js";

const STALE_AFTER_MS = 4000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const LOGGED_OUT = 4401;
const TOO_MANY = 4429;
// The server takes so many names, and a longer line in no request; a page that shows more is told of all models.
const MAX_NAMES = 128;
const MAX_NAMES_LENGTH = 7000;

// Pure: the state after a message, or null when a message is missing in between.
export function apply(state, message) {
  if (message.type === "snapshot") {
    const { type, recent, ...rest } = message;
    return rest;
  }
  if (message.type !== "delta" || !state || message.previous !== state.sequence) return null;
  const models = { ...state.models, ...message.models };
  for (const name of message.removed) delete models[name];
  const next = { ...state, sequence: message.sequence, at: message.at, models };
  for (const part of ["generation", "total", "versions", "instances", "machine"]) {
    if (part in message) next[part] = message[part];
  }
  return next;
}

export function pauseBefore(attempt, chance = Math.random()) {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt) * (0.5 + chance / 2);
}

// Pure: what a page that shows these models (and their instances) asks the socket for.
export function queryOf(names, hasInstances) {
  const models = [...new Set(names)].sort();
  const said = models.join(",");
  if (models.length > MAX_NAMES || said.length > MAX_NAMES_LENGTH) return "";
  return `?models=${said}${hasInstances ? "&instances=1" : ""}`;
}

class Live extends EventTarget {
  state = null;
  recent = null;
  status = "connecting";
  reason = "";
  lastMessageAt = null;
  loggedOut = false;
  // Whether the page is to stay when its login has ended: what a person has typed into it would be lost.
  stays = () => false;
  #socket = null;
  #attempt = 0;
  #staleTimer = 0;

  start() {
    if (this.#socket || !document.getElementById("live-status")) return;
    document.addEventListener("visibilitychange", () => this.#visibility());
    window.addEventListener("pagehide", () => this.#socket?.close());
    window.addEventListener("pageshow", (event) => event.persisted && this.#open());
    this.#open();
  }

  // Call after each second; and once when there is something already: the first message may come before a page's module,
  // which is evaluated to its end first, so that nothing is called that is not defined yet.
  onSecond(callback) {
    this.addEventListener("second", () => callback(this.state));
    if (this.state) queueMicrotask(() => callback(this.state));
  }

  // The same for each snapshot.
  onSnapshot(callback) {
    this.addEventListener("snapshot", () => callback());
    if (this.state) queueMicrotask(callback);
  }

  onStatus(callback) {
    this.addEventListener("status", () => callback(this));
    callback(this);
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const names = [...document.querySelectorAll("[data-model]")].map((node) => node.dataset.model);
    const query = queryOf(names, document.getElementById("live-page") !== null);
    const socket = new WebSocket(`${scheme}//${location.host}/ws/live/${query}`);
    this.#socket = socket;
    // A tab that was opened behind another is hidden from the beginning.
    socket.addEventListener("open", () => { if (document.hidden) this.#visibility(); });
    socket.addEventListener("message", (event) => this.#message(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => this.#closed(socket, event.code));
  }

  #message(message) {
    const next = apply(this.state, message);
    if (next === null) {
      if (message.type === "delta") this.#say("resync");
      return;
    }
    if (message.type === "snapshot") this.recent = message.recent;
    this.state = next;
    this.#attempt = 0;
    this.lastMessageAt = new Date();
    this.loggedOut = false;
    this.reason = "";
    clearTimeout(this.#staleTimer);
    this.#staleTimer = setTimeout(() => this.#become("stale"), STALE_AFTER_MS);
    this.#become("live");
    this.dispatchEvent(new Event(message.type === "snapshot" ? "snapshot" : "delta"));
    this.dispatchEvent(new Event("second"));
  }

  #closed(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearTimeout(this.#staleTimer);
    this.loggedOut = code === LOGGED_OUT;
    if (this.loggedOut && !this.stays()) {
      location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
      return;
    }
    this.reason = this.loggedOut ? t("Your login has ended") : code === TOO_MANY ? t("Too many live pages are open; close some.") : "";
    this.#become(this.lastMessageAt ? "stale" : "connecting");
    setTimeout(() => this.#socket ?? this.#open(), pauseBefore(this.#attempt));
    this.#attempt += 1;
  }

  #visibility() {
    if (document.hidden) {
      this.#say("pause");
      clearTimeout(this.#staleTimer);
      this.#become("paused");
    } else if (this.#socket) {
      this.#say("resume");
    }
  }

  #say(type) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type }));
  }

  #become(status) {
    if (status === this.status) return;
    this.status = status;
    this.dispatchEvent(new Event("status"));
  }
}

export const live = new Live();
