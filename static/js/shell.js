// On every page: theme, menu, local times, copying, confirmation, shortcuts, and the live status.
import { all, make, setText } from "./lib/dom.js";
import { clock, localTime } from "./lib/format.js";
import { followers, renew, unanswered } from "./lib/followers.js";
import { csrfToken, ownHeaders, pageUser } from "./lib/http.js";
import { keep, restore } from "./lib/kept.js";
import { live } from "./lib/live.js";
import { t } from "./lib/i18n.js";
import { answered, refused } from "./lib/refused.js";
import { sayRoles } from "./lib/tables.js";
import { loaded } from "./lib/versions.js";

const root = document.documentElement;

function theme() {
  const mark = () => all("[data-theme-choice]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.themeChoice === root.dataset.theme)));
  const changed = () => document.dispatchEvent(new Event("themechange"));
  all("[data-theme-choice]").forEach((button) => button.addEventListener("click", () => {
    root.dataset.theme = button.dataset.themeChoice;
    document.cookie = `dlproxy_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    mark();
    changed();
  }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  // Paper is light, and what stands in a canvas has the colours of the theme in which it was drawn.
  let onScreen = null;
  addEventListener("beforeprint", () => { onScreen ??= root.dataset.theme; root.dataset.theme = "light"; changed(); });
  addEventListener("afterprint", () => { root.dataset.theme = onScreen; onScreen = null; changed(); });
  mark();
}

function menu() {
  const button = document.getElementById("menu-button");
  const side = document.getElementById("side");
  button?.addEventListener("click", () => {
    const open = side.toggleAttribute("data-open");
    button.setAttribute("aria-expanded", String(open));
  });
}

export function localTimes(within = document) {
  all("time[data-local]", within).forEach((node) => {
    const moment = new Date(node.dateTime);
    node.title ||= `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
    setText(node, localTime(moment));
  });
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.textContent);
  const before = button.textContent;
  button.textContent = t("Copied");
  setTimeout(() => { button.textContent = before; }, 1500);
}

// Forms with data-confirm ask first; with data-typed, the words have to be typed.
let confirmed = null;
function confirmation(form) {
  const dialog = document.getElementById("confirm-dialog");
  const typed = form.dataset.typed ?? "";
  const input = dialog.querySelector("#confirm-input");
  const go = dialog.querySelector("#confirm-go");
  setText(dialog.querySelector("#confirm-title"), form.dataset.confirm);
  setText(dialog.querySelector("#confirm-words"), form.dataset.words ?? "");
  setText(dialog.querySelector("#confirm-expected"), typed);
  dialog.querySelector("#confirm-typing").hidden = !typed;
  setText(go, form.dataset.go ?? t("Go on"));
  input.value = "";
  const check = () => { go.disabled = input.value.trim() !== typed; };
  input.oninput = check;
  check();
  dialog.returnValue = "cancel";
  dialog.onclose = () => {
    if (dialog.returnValue !== "confirm" || (typed && input.value.trim() !== typed)) return;
    confirmed = form;
    form.requestSubmit();
  };
  dialog.showModal();
  (typed ? input : go).focus();
}

function submits(event) {
  const form = event.target;
  if (form.dataset.confirm && confirmed !== form) {
    event.preventDefault();
    confirmation(form);
    return;
  }
  confirmed = null;
  if (form.method === "post") {
    // The cookie's token is of the last login, which may have been in another tab after this page was made.
    const token = form.querySelector("input[name=csrfmiddlewaretoken]");
    if (token) {
      token.value = csrfToken() || token.value;
      if (!form.elements.page_user) token.after(make("input", { type: "hidden", name: "page_user", value: pageUser() }));
    }
    keep(form);
    const button = event.submitter ?? form.querySelector("button:not([type=button])");
    if (button) setTimeout(() => { button.disabled = true; button.dataset.busy = ""; });
  }
}

// A g waits this long for the letter of a page.
const GO_WAIT_MS = 1500;
let goUntil = 0;

function shortcuts(event) {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable], [data-own-keys]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const waits = performance.now() < goUntil;
  goUntil = 0;
  const page = waits ? all("[data-go-key]").find((link) => link.dataset.goKey === event.key) : null;
  if (page) {
    page.click();
  } else if (event.key === "g") {
    goUntil = performance.now() + GO_WAIT_MS;
  } else if (event.key === "/") {
    event.preventDefault();
    const search = document.getElementById("model-search");
    if (search) search.focus();
    else location.assign("/?search");
  } else if (event.key === "?") {
    showShortcuts();
  } else if (event.key === "n" && document.body.dataset.staff !== undefined) {
    location.assign("/models/new");
  } else if (/^[1-9]$/u.test(event.key)) {
    document.querySelectorAll(".tabs a")[Number(event.key) - 1]?.click();
  }
}

function showShortcuts() {
  const list = document.getElementById("shortcut-list");
  if (!list.querySelector("[data-page]")) {
    const rows = all("[data-go-key]").flatMap((link) => [
      make("span", { "data-page": true }, make("kbd", {}, "g"), " ", make("kbd", {}, link.dataset.goKey)),
      make("span", {}, t("Go to: {page}", { page: link.textContent.trim() })),
    ]);
    list.prepend(...rows);
  }
  document.getElementById("shortcuts-dialog").showModal();
}

// In a narrow window the row of tabs scrolls sideways: the current one is brought into sight.
function currentTab() {
  const tab = document.querySelector(".tabs [aria-current]");
  if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - (tab.parentElement.clientWidth - tab.offsetWidth) / 2 - tab.parentElement.offsetLeft;
}

function liveStatus() {
  const node = document.getElementById("live-status");
  if (!node) return;
  live.onStatus(({ status, reason, lastMessageAt }) => {
    const since = lastMessageAt ? clock(lastMessageAt) : "";
    const words = { connecting: t("Connecting"), live: t("Live"), paused: t("Paused"), stale: t("Stale since {since}", { since }) }[status];
    node.dataset.status = status;
    setText(node, reason || words);
    if (live.loggedOut) refused("live", 401, "");
    else if (status === "live") answered("live");
    all("[data-live]").forEach((part) => part.classList.toggle("stale-data", status === "stale"));
    all("[data-stale-words]").forEach((part) => { part.hidden = status !== "stale"; setText(part, t("Stale since {since}; reconnecting.", { since })); });
  });
  document.addEventListener("input", (event) => { if (event.target.closest("main form[method=post]")) live.stays = () => true; });
  live.start();
}

// The head of a model's pages is asked for anew when its versions in the data plane, or how they stand, are others than
// those it was made of: a promotion is nobody's click here when it was made over the API or in another tab. Not while
// somebody confirms or chooses something: a form that is no longer in the page sends nothing.
function modelHead() {
  const { model } = document.getElementById("model-head")?.dataset ?? {};
  if (model === undefined) return;
  live.onSecond((said) => {
    const head = document.getElementById("model-head");
    if (head && !document.querySelector("dialog[open], #model-head select:focus")) renew(head, head.dataset.loaded, loaded(said.versions, model));
  });
}

// So long after a part was not answered it may be asked for again.
const AGAIN_MS = 5000;

// What is read again and again and says the same as before is left alone, with what is selected and has the focus in it.
const read = new Map();
function unchanged(event) {
  const { id } = event.target;
  if (!id || event.target.dataset.steady === undefined) return;
  const { responseText } = event.detail.xhr;
  if (read.get(id) === responseText) {
    event.detail.shouldSwap = false;
    followers();
  }
  read.set(id, responseText);
}

document.addEventListener("click", (event) => {
  const dismiss = event.target.closest("[data-dismiss]");
  if (dismiss) dismiss.closest(".notice").remove();
  if (event.target.closest("[data-shortcuts]")) showShortcuts();
  const close = event.target.closest("[data-close]");
  if (close) close.closest("dialog").close("cancel");
  const copied = event.target.closest("[data-copy]");
  if (copied) copy(copied);
});
document.addEventListener("submit", submits);
document.addEventListener("keydown", shortcuts);
document.addEventListener("htmx:configRequest", (event) => { Object.assign(event.detail.headers, ownHeaders()); });
// A hidden tab polls nothing (htmx's own trigger filters would need eval, which the CSP forbids).
document.addEventListener("htmx:beforeRequest", (event) => {
  if (!document.hidden) return;
  event.preventDefault();
  unanswered(event.target.id, 0);
});
// A server that restarts is not asked again at once.
document.addEventListener("htmx:afterRequest", ({ target, detail }) => setTimeout(() => unanswered(target.id, detail.xhr.status), AGAIN_MS));
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const part = detail.elt.id || detail.pathInfo.requestPath;
  const { status, responseText } = detail.xhr;
  if (status >= 400 || (status === 0 && detail.requestConfig.verb !== "get")) refused(part, status, responseText);
  else if (status) answered(part);
});
document.addEventListener("htmx:beforeSwap", unchanged);
document.addEventListener("htmx:afterSwap", (event) => { localTimes(event.target); sayRoles(); followers(); });
window.addEventListener("pageshow", () => all("button[data-busy]").forEach((button) => { button.disabled = false; delete button.dataset.busy; }));
// A page that answers a form stands under the form's page: a reload shows that one and sends nothing again.
const { address } = document.body.dataset;
if (address) history.replaceState(null, "", address);
theme();
restore();
menu();
currentTab();
localTimes();
sayRoles();
modelHead();
liveStatus();
