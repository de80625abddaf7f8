// Uploading versions: files are chosen or dropped, each has its row, and they are sent one after the other.
import { readJson } from "../lib/dom.js";
import { bytes } from "../lib/format.js";
import { getJson } from "../lib/http.js";
import { t } from "../lib/i18n.js";
import { begin, cancel, digestOf, outcome, Transfer } from "../lib/transfer.js";
import { RESTING, UploadRow } from "../lib/upload_row.js";

const FOLLOWED_EACH_MS = 1000;
const form = document.getElementById("upload");
const part = (id) => document.getElementById(id);
const most = Number(form.dataset.maxBytes);
const labels = readJson("step-labels");
const versionUrl = (number) => `/models/${encodeURIComponent(form.dataset.model)}/versions/${number}/`;
const on = { go: (row) => (row.state === "unfinished" ? pick(row) : row.state === "paused" ? resume(row) : pause(row)), cancel: remove };
let rows = [...part("upload-rows").children].map((node) => new UploadRow(node, on));
const picker = Object.assign(document.createElement("input"), { type: "file" });
let sending = null;
let preparing = Promise.resolve();

part("file").addEventListener("change", takeChosen);
for (const type of ["dragenter", "dragover"]) part("drop").addEventListener(type, (event) => { event.preventDefault(); part("drop").dataset.over = ""; });
for (const type of ["dragleave", "drop"]) part("drop").addEventListener(type, (event) => { event.preventDefault(); delete part("drop").dataset.over; });
part("drop").addEventListener("drop", (event) => choose(event.dataTransfer.files));
part("stateful").addEventListener("change", () => {
  if (part("stateful").checked) part("batchable").checked = part("cacheable").checked = false;
});
form.addEventListener("submit", (event) => { event.preventDefault(); event.stopPropagation(); send(); });
// What is on its way would stop: the browser asks before it leaves.
globalThis.addEventListener("beforeunload", (event) => { if (rows.some((row) => !RESTING.has(row.state))) event.preventDefault(); });

function takeChosen() {
  choose(part("file").files);
  part("file").value = "";
}

function complain(words) {
  part("upload-error").textContent = words;
  part("upload-error").hidden = !words;
}

function say(words) { part("upload-said").textContent = words; }

// A file that an unfinished upload waits for goes on there; every other one is new.
function choose(files) {
  complain("");
  for (const file of files) {
    const waits = rows.find((row) => row.state === "unfinished" && row.name === file.name && row.size === file.size);
    if (waits) goOn(waits, file);
    else if (file.size > most) complain(t("{name} has {size}; the server takes at most {most}.", { name: file.name, size: bytes(file.size), most: bytes(most) }));
    else if (file.size === 0) complain(t("{name} is empty.", { name: file.name }));
    else add(file);
  }
}

function add(file) {
  const node = part("upload-row").content.firstElementChild.cloneNode(true);
  part("upload-rows").append(node);
  const row = new UploadRow(node, on);
  row.take(file);
  row.set("chosen", t("Will be sent when you press the button below."));
  rows.push(row);
}

function declared(digest) {
  const options = Object.fromEntries(["method", "reset_method", "architecture", "sample"].map((id) => [id, part(id).value.trim()]).filter(([, text]) => text));
  const values = digest ? { sha256: digest } : {};
  if (Object.keys(options).length) values.options = JSON.stringify(options);
  for (const id of ["batchable", "cacheable", "stateful"]) values[id] = String(part(id).checked);
  for (const id of ["declared_signature", "number"]) if (part(id).value.trim()) values[id] = part(id).value.trim();
  if (part("upload-notes").value.trim()) values.notes = part("upload-notes").value.trim();
  return values;
}

function send() {
  const chosen = rows.filter((row) => row.state === "chosen");
  if (!chosen.length) { complain(rows.every((row) => RESTING.has(row.state)) ? t("Choose a file first.") : ""); return; }
  if (chosen.length > 1 && part("number").value.trim()) { complain(t("A version number is for one file. Leave it empty to send several.")); return; }
  complain("");
  const values = declared(null);
  for (const row of chosen) row.set("preparing", t("Waiting…"));
  for (const row of chosen) preparing = preparing.then(() => prepare(row, values));
}

// Declares the file to the server, so that it is listed there before a byte is sent.
async function prepare(row, values) {
  row.set("preparing", t("Computing SHA-256…"));
  try {
    const digest = await digestOf(row.file);
    row.showDigest(digest);
    row.url = await begin(form.dataset.uploads, row.file, digest ? { ...values, sha256: digest } : values);
    if (rows.includes(row)) row.set("waiting", t("Waiting for the files before it…"));
    else await cancel(row.url); // removed meanwhile
  } catch (error) {
    // Nothing was sent: what was declared, or the moment, is what is refused. The file stays chosen for the next try.
    row.set("chosen", t("{reason} Mend it and press the button below; the file stays chosen.", { reason: error.message }), true);
  }
  next();
}

// Files go one at a time in their order, so that versions are numbered in it; what rests is passed over.
function next() {
  if (sending) return;
  const row = rows.find((one) => !RESTING.has(one.state));
  if (row?.state !== "waiting") return;
  sending = row;
  row.set("sending", t("Connecting…"));
  row.transfer ??= new Transfer(row.file, row.url, {
    progress: (sent) => { if (row.state === "lost") row.set("sending", ""); if (row.state === "sending") row.progress(sent); },
    lost: (isElsewhere) => row.set("lost", isElsewhere ? t("Another page or program sends this file just now. This one looks again by itself.") : t("The connection is lost. It goes on by itself when the server answers again.")),
    sent: () => finish(row),
    held: (words) => { row.set("paused", words); free(row); },
    refused: (words) => refuse(row, words),
  });
  row.transfer.start();
}

function free(row) {
  if (sending === row) sending = null;
  next();
}

function refuse(row, words) {
  row.set("refused", words);
  free(row);
}

async function finish(row) {
  row.set("finishing", t("Checking and storing…"));
  try {
    const number = await outcome(row.url);
    row.made(number, versionUrl(number));
    say(`${row.name}: ${t("Version {number}", { number })}`);
    if (rows.length === 1) { location.assign(versionUrl(number)); return; }
    follow(row, number);
    globalThis.htmx?.trigger("#version-list", "renew");
    free(row);
  } catch (error) {
    if (error.status === 0 || error.status === 503 || error.status === 507) { row.set("paused", error.message); free(row); }
    else refuse(row, error.message);
  }
}

async function follow(row, number) {
  try {
    const version = await getJson(`/api/v1/models/${encodeURIComponent(form.dataset.model)}/versions/${number}`);
    row.validation(version, labels);
    if (version.state === "uploaded" || version.state === "validating") setTimeout(() => follow(row, number), FOLLOWED_EACH_MS);
  } catch (error) {
    if (error.status !== 404) setTimeout(() => follow(row, number), 5 * FOLLOWED_EACH_MS);
  }
}

async function pause(row) {
  row.set("paused", t("Paused. What was sent stays on the server for a day."));
  await row.transfer?.pause();
  free(row);
}

function resume(row) {
  if (row.received === row.size && !row.transfer) { sending ??= row; finish(row); return; }
  row.set("waiting", t("Waiting for the files before it…"));
  next();
}

async function remove(row) {
  const url = row.state === "refused" ? null : row.url;
  rows = rows.filter((one) => one !== row);
  row.node.remove();
  part("file").focus();
  await row.transfer?.pause();
  free(row);
  if (url) await cancel(url).catch((error) => { if (error.status !== 404) complain(error.message); });
}

function pick(row) {
  picker.value = "";
  picker.onchange = () => { if (picker.files.length) goOn(row, picker.files[0]); };
  picker.click();
}

// Only the file that was begun may go on: its length and, where it was declared, its digest are compared.
async function goOn(row, file) {
  complain("");
  const other = t("This is not the file that was begun. Choose {name} with {size}.", { name: row.name, size: bytes(row.size) });
  if (file.size !== row.size) { complain(other); return; }
  row.file = file;
  row.set("preparing", t("Computing SHA-256…"));
  const digest = await digestOf(file);
  if (row.digest && digest && digest !== row.digest) { row.set("unfinished", other); return; }
  row.set("waiting", t("Waiting for the files before it…"));
  next();
}

// Whoever was quicker than this script has lost nothing: files chosen before are taken now, and the button waited.
takeChosen();
part("upload-go").disabled = false;
