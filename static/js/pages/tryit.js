// Try it: a form from the signature, what is really sent, the answer and where its time went, and the request as code.
import { rawDetails, showAnswer, showRefusal } from "../lib/answer.js";
import { ask } from "../lib/ask.js";
import { canBeRaw, jsonBody, rawBody } from "../lib/bodies.js";
import { all, make, readJson } from "../lib/dom.js";
import { makeFields } from "../lib/fields.js";
import { postJson, problemWords } from "../lib/http.js";
import { ms } from "../lib/format.js";
import { saveText } from "../lib/pictures.js";
import { fileName, snippet } from "../lib/snippets.js";
import { curveOf, planOf, windowsOf } from "../lib/sound.js";
import { SoundChart } from "../lib/sound_chart.js";
import { addTimings, timingParts } from "../lib/timing.js";
import { t, tn } from "../lib/i18n.js";

const facts = readJson("facts");
const part = (id) => document.getElementById(id);
let fields = [];
let language = "curl";
let isRaw = false;
// The inputs that were answered last, and the number of the version that answered them.
let kept = null;
let chart = null;
// While windows of a recording are sent one after the other: the way to end that.
let stop = null;
if (facts) begin();

function begin() {
  part("version").addEventListener("change", () => build());
  part("body").addEventListener("input", () => { part("body-words").textContent = t("Edited by hand; a change in the form overwrites it."); showSnippet(); });
  part("try-form").addEventListener("submit", (event) => { event.preventDefault(); event.stopPropagation(); send(); });
  part("keep-go").addEventListener("click", keep);
  part("save").addEventListener("click", save);
  document.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(); });
  choose("[data-language]", (button) => { language = button.dataset.language; showSnippet(); });
  choose("[data-encoding]", (button) => { isRaw = button.dataset.encoding === "raw"; fill(); });
  build();
  part("try").removeAttribute("data-building");
}

function choose(selector, then) {
  all(selector).forEach((button) => button.addEventListener("click", () => { press(selector, button); then(button); }));
}

function press(selector, chosenButton) { all(selector).forEach((button) => button.setAttribute("aria-pressed", String(button === chosenButton))); }

function chosen() { return facts.versions.find((one) => String(one.number) === part("version").value); }

// sound: the input that is filled with sound; undefined: the one that looks like it.
function build(sound) {
  const { signature } = chosen();
  chart = null;
  fields = makeFields(signature, sound, onChange, build);
  part("inputs").replaceChildren(...fields.map((field) => field.node));
  if (!fields.some((field) => field.isPad)) part("body-details").open = fields.length > 2;
  const may = canBeRaw(signature);
  all("[data-encoding=raw]").forEach((button) => { button.disabled = !may; button.title = may ? "" : t("This page sends half precision as JSON only."); });
  setRaw(isRaw && may);
  fill();
}

function setRaw(wanted) {
  isRaw = wanted;
  press("[data-encoding]", all(`[data-encoding=${isRaw ? "raw" : "json"}]`)[0]);
}

function heard() { return fields.find((field) => field.sound); }

function onChange() {
  const field = heard();
  if (field?.sound.recording && field.sound.recording !== chart?.recording) {
    if (canBeRaw(chosen().signature)) setRaw(true);
    chart ??= new SoundChart();
    part("answer").replaceChildren(chart.node);
    chart.show(field.sound.recording, field.sound.rate);
    part("latency").textContent = "";
    offerToKeep(null);
  }
  fill();
}

function plan() { return planOf(chosen().signature, heard().name); }

function tensors() {
  const field = heard();
  const first = field?.sound.recording ? windowsOf(field.sound.recording, plan().samples)[0] : undefined;
  return fields.map((one) => (one === field ? one.tensor(first) : one.tensor()));
}

function fill() {
  const inputs = tensors();
  const box = part("body");
  const windows = heard()?.sound.recording ? windowsOf(heard().sound.recording, plan().samples).length : 0;
  box.readOnly = isRaw || windows > 0;
  try { box.value = isRaw ? rawBody(inputs).head : jsonBody(inputs); } catch (error) { box.value = error.message; }
  const words = isRaw ? t("The JSON part of the body; the tensors stand behind it as raw bytes.") : t("Made from the form above. What stands here is sent; edit it freely.");
  part("body-words").textContent = windows > 1 ? t("The first of {count} windows, which are sent one after the other.", { count: windows }) : words;
  showSnippet();
}

function path() {
  const version = chosen();
  const name = encodeURIComponent(facts.model);
  return version.is_default ? `/api/v1/models/${name}/infer` : `/api/v1/models/${name}/versions/${version.number}/infer`;
}

// The tensors that are sent: the form's, or those of the text that stands in the box; null where that is not JSON.
function asked() {
  if (isRaw) return tensors();
  try {
    const { inputs } = JSON.parse(part("body").value);
    return Array.isArray(inputs) ? inputs : null;
  } catch { return null; }
}

function showSnippet() {
  const version = chosen();
  part("save-words").textContent = fileName(isRaw);
  try {
    part("snippet").textContent = snippet(language, { origin: facts.inference_url, model: facts.model, version: version.is_default ? null : version.number, body: part("body").value, inputs: asked(), outputs: version.signature.outputs, isRaw });
  } catch (error) { part("snippet").textContent = error.message; }
}

function save() {
  if (isRaw) saveText(rawBody(tensors()).bytes, fileName(true), "application/octet-stream");
  else saveText(part("body").value, fileName(false), "application/json");
}

async function send() {
  const button = part("send");
  if (stop) { stop(); return; }
  if (button.disabled) return;
  button.disabled = true;
  offerToKeep(null);
  const began = performance.now();
  try {
    await (heard()?.sound.recording ? sendSound(began) : sendOne(began));
  } catch (error) {
    showRefusal(part("answer"), error.status ?? 0, error instanceof TypeError ? problemWords(0, "") : error.message);
  } finally {
    button.disabled = false;
  }
}

function showLatency(began, version, requests = 1) {
  const words = [t("{time} in this browser", { time: ms(performance.now() - began) }), t("version {number}", { number: version })];
  if (requests > 1) words.push(tn("{count} request", "{count} requests", requests));
  part("latency").textContent = words.join(", ");
}

async function sendOne(began) {
  const body = part("body").value;
  const inputs = asked();
  const { said, timing, text } = await ask(path(), isRaw ? inputs : null, body);
  showLatency(began, said.model_version);
  showAnswer(part("answer"), said, text);
  part("answer").append(...timingParts(timing ?? {}));
  offerToKeep({ version: said.model_version, inputs: JSON.parse(jsonBody(inputs)).inputs });
}

// The recording at once, or window by window, the tensors of state going from each answer into the next request.
async function sendSound(began) {
  const field = heard(), { recording, rate } = field.sound;
  const { samples, feedback } = plan();
  const windows = windowsOf(recording, samples);
  const answers = [], timings = [];
  let state = {}, last = null, ended = false;
  if (windows.length > 1) { stop = () => { ended = true; }; part("send").disabled = false; part("send").textContent = t("Stop"); }
  try {
    for (const window of windows) {
      if (ended) break;
      const inputs = fields.map((one) => (one === field ? one.tensor(window) : { ...one.tensor(), ...state[one.tensor().name] }));
      last = await ask(path(), isRaw ? inputs : null, isRaw ? "" : jsonBody(inputs));
      answers.push(last.said);
      timings.push(last.timing);
      state = Object.fromEntries(Object.entries(feedback).map(([input, output]) => [input, { data: last.said.outputs.find((one) => one.name === output).data.flat(Infinity) }]));
      if (answers.length % 20 === 0) part("latency").textContent = t("{done} of {count} windows", { done: answers.length, count: windows.length });
    }
  } finally {
    stop = null;
    part("send").textContent = t("Send request");
  }
  if (!last) return;
  showLatency(began, last.said.model_version, answers.length);
  const heardSamples = samples ? recording.subarray(0, samples * answers.length) : recording;
  chart ??= new SoundChart();
  part("answer").replaceChildren(chart.node, ...timingParts(addTimings(timings)), rawDetails(last.text));
  chart.show(heardSamples, rate, curveOf(answers, feedback));
  chart.recording = recording;
}

function offerToKeep(answered) {
  kept = answered;
  part("keep").hidden = !kept || !facts.may_keep;
  part("keep-go").disabled = false;
  part("keep-words").textContent = kept ? t("Version {number} is asked once more; each of its instances must repeat the answer before it serves.", { number: kept.version }) : "";
}

async function keep() {
  part("keep-go").disabled = true;
  const { version, inputs } = kept;
  const base = `models/${encodeURIComponent(facts.model)}/versions/${encodeURIComponent(version)}`;
  const answer = await postJson(`/api/v1/${base}/golden/record`, JSON.stringify({ inputs })).catch(() => ({ status: 0, text: "" }));
  if (answer.status === 201) {
    part("keep-words").replaceChildren(`${t("Kept; checked from the next load on.")} `, make("a", { href: `/${base}/#golden` }, t("Golden samples of version {number}", { number: version })));
    return;
  }
  part("keep-words").textContent = problemWords(answer.status, answer.text);
  part("keep-go").disabled = false;
}
