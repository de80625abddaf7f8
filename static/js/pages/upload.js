// Uploading a version: drag and drop, SHA-256 in the browser where it can, progress, then the version's page.
import { bytes } from "../lib/format.js";
import { upload } from "../lib/http.js";
import { t } from "../lib/i18n.js";

// The digest needs the whole file in memory; above this the server alone computes it.
const LARGEST_HASHED_BYTES = 512 * 1024 * 1024;

const form = document.getElementById("upload");
const part = (id) => document.getElementById(id);
let chosen = null;
let running = null;
if (form) begin();

function begin() {
  const drop = part("drop");
  part("file").addEventListener("change", () => choose(part("file").files[0]));
  for (const type of ["dragenter", "dragover"]) drop.addEventListener(type, (event) => { event.preventDefault(); drop.dataset.over = ""; });
  for (const type of ["dragleave", "drop"]) drop.addEventListener(type, (event) => { event.preventDefault(); delete drop.dataset.over; });
  drop.addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length > 1) complain(t("Drop one file at a time."));
    else choose(event.dataTransfer.files[0]);
  });
  part("stateful").addEventListener("change", () => {
    if (part("stateful").checked) part("batchable").checked = part("cacheable").checked = false;
  });
  part("upload-cancel").addEventListener("click", () => running?.abort());
  form.addEventListener("submit", (event) => { event.preventDefault(); event.stopPropagation(); send(); });
  window.addEventListener("beforeunload", (event) => running && event.preventDefault());
}

function choose(file) {
  if (!file) return;
  chosen = file;
  complain("");
  part("file-name").textContent = file.name;
  part("file-words").textContent = bytes(file.size);
  if (file.size > Number(form.dataset.maxBytes)) complain(t("This file has {size}; the server takes at most {most}.", { size: bytes(file.size), most: bytes(Number(form.dataset.maxBytes)) }));
  else if (file.size === 0) complain(t("This file is empty."));
}

function complain(words) {
  part("upload-error").textContent = words;
  part("upload-error").hidden = !words;
}

async function digestOf(file) {
  if (!globalThis.crypto?.subtle || file.size > LARGEST_HASHED_BYTES) return null;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fields(digest) {
  const data = new FormData();
  const options = Object.fromEntries(["method", "reset_method", "architecture"].map((id) => [id, part(id).value.trim()]).filter(([, text]) => text));
  if (digest) data.set("sha256", digest);
  if (Object.keys(options).length) data.set("options", JSON.stringify(options));
  for (const id of ["batchable", "cacheable", "stateful"]) data.set(id, String(part(id).checked));
  for (const id of ["declared_signature", "number"]) if (part(id).value.trim()) data.set(id, part(id).value.trim());
  if (part("upload-notes").value.trim()) data.set("notes", part("upload-notes").value.trim());
  data.set("file", chosen, chosen.name);
  return data;
}

async function send() {
  if (!chosen) { complain(t("Choose a file first.")); return; }
  complain("");
  busy(true);
  say(t("Computing SHA-256…"));
  try {
    const digest = await digestOf(chosen);
    const began = performance.now();
    running = upload(`/api/v1/models/${encodeURIComponent(form.dataset.model)}/versions`, fields(digest), (sent, total) => {
      part("upload-bar").value = sent / total;
      const rate = sent / Math.max(0.001, (performance.now() - began) / 1000);
      say(sent < total ? t("{sent} of {total}, {rate}/s", { sent: bytes(sent), total: bytes(total), rate: bytes(rate) }) : t("Checking and storing…"));
    });
    const version = await running.done;
    running = null;
    location.assign(`/models/${encodeURIComponent(form.dataset.model)}/versions/${version.number}/`);
  } catch (error) {
    running = null;
    busy(false);
    complain(error.message);
  }
}

function say(words) { part("upload-words").textContent = words; }

function busy(on) {
  part("upload-progress").hidden = !on;
  part("upload-bar").value = 0;
  part("upload-cancel").hidden = !on;
  part("upload-go").disabled = on;
}
