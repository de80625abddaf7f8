// Try it: a form from the signature, the JSON body as what is really sent, the answer, and the request as code.
import { showAnswer, showRefusal } from "../lib/answer.js";
import { all, make, readJson } from "../lib/dom.js";
import { postJson, problemWords } from "../lib/http.js";
import { ms } from "../lib/format.js";
import { SIDE, drawingPad } from "../lib/pad.js";
import { snippet } from "../lib/snippets.js";
import { example, exampleShape, isReal, parse, round } from "../lib/values.js";
import { t } from "../lib/i18n.js";

const MOST_FILLED = 1_000_000;
const facts = readJson("facts");
const part = (id) => document.getElementById(id);
let fields = [];
let language = "curl";
// The inputs that were answered last, and the number of the version that answered them.
let kept = null;
if (facts) begin();

function begin() {
  part("version").addEventListener("change", build);
  part("body").addEventListener("input", () => { part("body-words").textContent = t("Edited by hand; a change in the form overwrites it."); showSnippet(); });
  part("try-form").addEventListener("submit", (event) => { event.preventDefault(); event.stopPropagation(); send(); });
  part("keep-go").addEventListener("click", keep);
  document.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(); });
  all("[data-language]").forEach((button) => button.addEventListener("click", () => {
    language = button.dataset.language;
    all("[data-language]").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    showSnippet();
  }));
  build();
  part("try").removeAttribute("data-building");
}

function chosen() { return facts.versions.find((one) => String(one.number) === part("version").value); }

function build() {
  fields = chosen().signature.inputs.map(makeField);
  part("inputs").replaceChildren(...fields.map((field) => field.node));
  if (!fields.some((field) => field.isPad)) part("body-details").open = fields.length > 2;
  fill();
}

function makeField(tensor) {
  return isImage(tensor.shape) && !["BYTES", "BOOL"].includes(tensor.datatype) ? padField(tensor) : textField(tensor);
}

// [.., 8, 8] with nothing else but ones and free sizes.
function isImage(shape) {
  return shape.length >= 2 && shape.at(-1) === SIDE && shape.at(-2) === SIDE && shape.slice(0, -2).every((size) => size === 1 || size === -1);
}

function label(tensor, id) {
  return make("label", { for: id }, make("code", {}, tensor.name), make("span", { class: "muted small" }, ` ${tensor.datatype} [${tensor.shape.map((size) => (size === -1 ? t("any") : size)).join(", ")}]`));
}

function padField(tensor) {
  const pad = drawingPad(fill);
  const id = `scale-${tensor.name}`;
  const scale = make("select", { id }, make("option", { value: "1" }, t("0 to 1")), make("option", { value: "16" }, t("0 to 16")), make("option", { value: "255" }, t("0 to 255")));
  if (!isReal(tensor.datatype)) scale.value = "16";
  scale.addEventListener("change", fill);
  const node = make("div", { class: "field" }, make("span", { class: "label" }, label(tensor, id)), ...pad.nodes, make("div", { class: "row" }, make("label", { for: id, class: "small muted" }, t("Pixel values")), scale));
  const values = () => pad.pixels.map((value) => round((value / 16) * Number(scale.value), tensor.datatype));
  return { node, isPad: true, tensor: () => ({ name: tensor.name, shape: tensor.shape.map((size) => (size === -1 ? 1 : size)), datatype: tensor.datatype, data: values() }) };
}

function textField(tensor) {
  const id = `input-${tensor.name}`;
  const shape = make("input", { id: `${id}-shape`, type: "text", inputmode: "numeric", autocomplete: "off", value: exampleShape(tensor).join(", ") });
  const data = make("textarea", { id, class: "mono", rows: 3, spellcheck: "false" });
  const sizes = () => shape.value.split(/[\s,×x]+/u).filter(Boolean).map(Number);
  const elements = () => Math.min(MOST_FILLED, sizes().reduce((product, size) => product * size, 1) || 0);
  const fillWith = (make_one) => { data.value = Array.from({ length: elements() }, (_, index) => make_one(index)).join(", "); fill(); };
  const makers = { BYTES: { [t("Example")]: () => '"text"' }, BOOL: { [t("False")]: () => "false", [t("True")]: () => "true" } }[tensor.datatype] ?? {
    [t("Zeros")]: () => 0,
    [t("Ones")]: () => 1,
    [t("Random")]: () => round(Math.random() * (isReal(tensor.datatype) ? 1 : 10), tensor.datatype),
    [t("Tone")]: (index) => round(0.5 * Math.sin((2 * Math.PI * 440 * index) / 16_000), tensor.datatype),
  };
  if (elements() < 64) delete makers[t("Tone")];
  const buttons = Object.entries(makers).map(([name, one]) => {
    const button = make("button", { type: "button", class: "button button--small" }, name);
    button.addEventListener("click", () => fillWith(one));
    return button;
  });
  shape.addEventListener("input", fill);
  data.addEventListener("input", fill);
  data.value = Array.from({ length: elements() }, () => example(tensor.datatype)).join(", ");
  if (tensor.datatype.startsWith("INT") && elements() === 1 && /^(sr|sample_rate)$/u.test(tensor.name)) data.value = "16000";
  const node = make("div", { class: "field" }, label(tensor, id), data, make("div", { class: "row" }, ...buttons, make("label", { class: "small muted", for: `${id}-shape` }, t("Shape")), make("span", {}, shape)));
  return { node, isPad: false, tensor: () => ({ name: tensor.name, shape: sizes(), datatype: tensor.datatype, data: parse(data.value, tensor.datatype) }) };
}

function fill() {
  part("body").value = JSON.stringify({ inputs: fields.map((field) => field.tensor()) });
  part("body-words").textContent = t("Made from the form above. What stands here is sent; edit it freely.");
  showSnippet();
}

function path(prefix) {
  const version = chosen();
  const name = encodeURIComponent(facts.model);
  return version.is_default ? `${prefix}/models/${name}/infer` : `${prefix}/models/${name}/versions/${version.number}/infer`;
}

function showSnippet() {
  part("snippet").textContent = snippet(language, `${facts.inference_url}${path("/v2")}`, part("body").value);
}

async function send() {
  const button = part("send");
  if (button.disabled) return;
  button.disabled = true;
  offerToKeep(null);
  const began = performance.now();
  try {
    const body = part("body").value;
    const answer = await postJson(path("/api/v1"), body);
    part("latency").textContent = t("{time} in this browser", { time: ms(performance.now() - began) });
    if (answer.status === 200) {
      const said = JSON.parse(answer.text);
      part("latency").textContent += `, ${t("version {number}", { number: said.model_version })}`;
      showAnswer(part("answer"), said, answer.text);
      offerToKeep({ version: said.model_version, inputs: JSON.parse(body).inputs });
    } else showRefusal(part("answer"), answer.status, problemWords(answer.status, answer.text));
  } catch (error) {
    showRefusal(part("answer"), 0, error instanceof TypeError ? problemWords(0, "") : error.message);
  } finally {
    button.disabled = false;
  }
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
