// What was typed into a form (data-keep) stands in it again on the page that says why its change was refused. Kept for this
// tab, this person and that one page only; never passwords, files or what the page itself put in.
import { all, make } from "./dom.js";
import { pageUser } from "./http.js";
import { t } from "./i18n.js";

const KEY = "typed";
// Larger texts are not kept: a tab has a few million characters for all.
const MOST_CHARACTERS = 1_000_000;
const TYPED = "input:not([type=hidden], [type=file], [type=password]), textarea, select";

const typed = (form) => all(TYPED, form).filter((field) => field.name);
const isRefused = () => document.querySelector("#notices .notice:is([data-tone=bad], [data-repeat])") !== null;

export function keep(form) {
  if (form.dataset.keep === undefined) return;
  const values = typed(form).map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]);
  const kept = JSON.stringify({ action: form.action, user: pageUser(), values });
  if (kept.length <= MOST_CHARACTERS) sessionStorage.setItem(KEY, kept);
}

export function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  sessionStorage.removeItem(KEY);
  if (!kept || kept.user !== pageUser() || !isRefused()) return;
  const form = all("form[data-keep]").find((one) => one.action === kept.action);
  if (!form) return;
  const values = new Map(kept.values);
  for (const field of typed(form)) if (values.has(field.name)) fill(field, values.get(field.name));
}

function fill(field, value) {
  if (field.type === "checkbox") { field.checked = value; return; }
  if (field.value === value) return;
  // What somebody else has saved meanwhile is said beside it, so that the next save does not end it unseen.
  if (field.tagName === "TEXTAREA" && field.value) field.after(make("p", { class: "small muted wrap-any" }, t("Saved meanwhile: {text}", { text: field.value })));
  field.value = value;
  const folded = field.closest("details");
  if (folded) folded.open = true;
}
