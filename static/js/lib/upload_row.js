// A file's row on the page of versions: what it is, how far it is, what may be done with it, then its validation.
import { setText } from "./dom.js";
import { bytes, duration, percent } from "./format.js";
import { t } from "./i18n.js";

const DRAWN_EACH_MS = 250;
const RATE_OVER_MS = 8000;
// States in which nothing more happens without a person.
export const RESTING = new Set(["chosen", "paused", "unfinished", "refused", "made"]);

export class UploadRow {
  // `on` is told what a person wants: go(row), cancel(row).
  constructor(node, on) {
    this.node = node;
    this.part = (name) => node.querySelector(`[data-part=${name}]`);
    this.file = null;
    this.url = node.dataset.url ?? null;
    this.size = Number(node.dataset.size ?? 0);
    this.received = Number(node.dataset.received ?? 0);
    this.digest = node.dataset.sha256 ?? "";
    this.seen = [];
    this.part("go").addEventListener("click", () => on.go(this));
    this.part("cancel").addEventListener("click", () => on.cancel(this));
    this.#name(node.dataset.name ?? "");
    if (this.state === "unfinished" && this.received === this.size) this.set("paused", t("All bytes are on the server."));
  }

  get state() { return this.node.dataset.state; }

  take(file) {
    this.file = file;
    this.size = file.size;
    this.#name(file.name);
    setText(this.part("size"), bytes(file.size));
  }

  #name(name) {
    this.name = name;
    setText(this.part("name"), name);
    this.part("bar").setAttribute("aria-label", t("Upload progress of {name}", { name }));
    this.#buttons();
  }

  // isRefused: the words say why something was not done.
  set(state, words, isRefused = state === "refused") {
    this.node.dataset.state = state;
    this.seen = [];
    const said = this.part("words");
    if (isRefused) said.setAttribute("role", "alert");
    else said.removeAttribute("role");
    said.classList.toggle("form-error", isRefused);
    said.classList.toggle("muted", !isRefused);
    setText(this.part("words"), words);
    this.#buttons();
  }

  #buttons() {
    const words = { unfinished: t("Choose the same file to go on"), paused: t("Resume"), waiting: t("Pause"), sending: t("Pause"), lost: t("Pause") }[this.state];
    label(this.part("go"), words, this.name);
    label(this.part("cancel"), this.state === "made" ? null : this.state === "refused" || this.state === "chosen" ? t("Remove") : t("Cancel"), this.name);
  }

  showDigest(digest) {
    this.digest = digest ?? "";
    setText(this.part("digest"), digest ? `SHA-256 ${digest}` : "");
  }

  // Bytes that have gone out; drawn a few times a second, with the rate of the last seconds.
  progress(sent) {
    const now = performance.now();
    this.received = sent;
    if (this.seen.length && now - this.seen.at(-1)[0] < DRAWN_EACH_MS && sent < this.size) return;
    this.seen = [...this.seen.filter(([at]) => now - at < RATE_OVER_MS), [now, sent]];
    const [at, first] = this.seen[0];
    const rate = now > at ? (1000 * (sent - first)) / (now - at) : 0;
    this.part("bar").value = sent / this.size;
    const values = { percent: percent(sent / this.size), sent: bytes(sent), size: bytes(this.size), rate: bytes(Math.round(rate)), left: duration((this.size - sent) / rate) };
    if (sent >= this.size) setText(this.part("words"), t("Checking and storing…"));
    else setText(this.part("words"), rate > 0 ? t("{percent} · {sent} of {size} · {rate}/s · {left} left", values) : t("{percent} · {sent} of {size}", values));
  }

  made(number, href) {
    this.part("bar").value = 1;
    this.set("made", t("Stored as version {number}; its validation begins.", { number }));
    const link = this.part("link");
    link.href = href;
    setText(link, t("Version {number}", { number }));
    link.hidden = false;
  }

  // A step each: a dot with its name; the words say the one that runs, or how it ended. A file that was too large to be
  // digested here has the server's digest.
  validation(version, labels) {
    if (!this.digest) this.showDigest(version.digest);
    const list = this.part("steps");
    version.steps.forEach((step, position) => {
      const item = list.children[position] ?? list.appendChild(document.createElement("li"));
      if (item.dataset.status === step.status) return;
      item.dataset.status = step.status;
      item.title = `${labels[step.name] ?? step.name}: ${STEP_WORDS[step.status]}`;
      const said = document.createElement("span");
      said.className = "visually-hidden";
      said.textContent = item.title;
      item.replaceChildren(dot(step.status), said);
    });
    const running = version.steps.find((step) => step.status === "running");
    if (version.state === "ready") setText(this.part("words"), t("Ready"));
    else if (version.state === "failed") setText(this.part("words"), version.state_words);
    else if (running) setText(this.part("words"), `${labels[running.name] ?? running.name}…`);
  }
}

const STEP_WORDS = { pending: t("Pending"), running: t("Running"), passed: t("Passed"), failed: t("Failed"), skipped: t("Skipped") };

function label(button, words, name) {
  button.hidden = !words;
  if (!words) return;
  setText(button, words);
  button.setAttribute("aria-label", `${words}: ${name}`);
}

function dot(status) {
  const place = document.createElement("span");
  place.className = "dot";
  const sign = { passed: "check", failed: "cross", running: "" }[status] ?? "dash";
  if (sign) place.append(document.getElementById("upload-signs").content.querySelector(`[data-sign=${sign}]`).firstElementChild.cloneNode(true));
  return place;
}
