// Calls to our own API with the session's CSRF token; errors carry the server's words (problem details).
import { t } from "./i18n.js";

export function csrfToken() {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith("dlproxy_csrf="));
  return found ? decodeURIComponent(found.slice("dlproxy_csrf=".length)) : "";
}

// A change is made by whom the page was made for, or not at all: somebody else may have logged in in another tab.
export const pageUser = () => document.body.dataset.user;

export const ownHeaders = () => ({ "X-CSRFToken": csrfToken(), "X-Page-User": pageUser() });

export class HttpProblem extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

// What the server said of a refusal, in words; never the raw body of a page.
export function problemWords(status, text) {
  try {
    const body = JSON.parse(text);
    const words = body.detail ?? body.error ?? body.title;
    const fields = Object.entries(body.errors ?? {}).filter(([field, said]) => ![flat(said), `${field}: ${flat(said)}`].includes(words)).map(([field, said]) => `${field}: ${flat(said)}`);
    if (fields.length) return [words, ...fields].filter(Boolean).join(" ");
    if (words) return String(words);
  } catch { /* not JSON: the generic words below */ }
  return fallbackWords(status);
}

function flat(value) {
  if (Array.isArray(value)) return value.map(flat).join(" ");
  if (value && typeof value === "object") return Object.entries(value).map(([key, words]) => `${key}: ${flat(words)}`).join(" ");
  return String(value);
}

function fallbackWords(status) {
  if (status === 0) return t("The server did not answer. Check that it runs, then try again.");
  if (status === 401 || status === 403) return t("You may not do this, or your login has ended. Log in again.");
  if (status === 413) return t("The file is larger than this server takes.");
  return t("The server answered {status}. Try again; if it stays, see its log.", { status });
}

export async function getJson(url, signal) {
  const response = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin", signal });
  const text = await response.text();
  if (!response.ok) throw new HttpProblem(response.status, problemWords(response.status, text));
  return JSON.parse(text);
}

export async function postJson(url, bodyText) {
  const response = await fetch(url, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json", Accept: "application/json", ...ownHeaders() },
    body: bodyText,
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
