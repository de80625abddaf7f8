// The fields of a request, made from a version's signature: drawing pad, picture, sound or text, each giving its tensor.
import { make } from "./dom.js";
import { dropZone } from "./drop.js";
import { t } from "./i18n.js";
import { SIDE, drawingPad } from "./pad.js";
import { lightOnDark, pictureOf, readPicture } from "./picture_field.js";
import { isRate, soundInput, takesSound } from "./sound.js";
import { soundField } from "./sound_field.js";
import { example, exampleShape, isReal, parse, round } from "./values.js";

const MOST_FILLED = 1_000_000;
const DEFAULT_RATE = 16_000;

// onChange(): a value changed. onSound(name or null): from now on this input is filled with sound, or none is.
export function makeFields(signature, sound, onChange, onSound) {
  const wanted = sound === undefined ? soundInput(signature) : sound;
  const fields = signature.inputs.map((tensor) => makeField(tensor, tensor.name === wanted, onChange, onSound));
  const heard = fields.find((field) => field.sound), rate = fields.find((field) => field.isRate);
  if (heard && rate) heard.tellRate = (value) => rate.set(String(value));
  return fields;
}

function makeField(tensor, isSound, onChange, onSound) {
  if (isSound) return waveField(tensor, onChange, onSound);
  const form = pictureOf(tensor);
  if (!form) return textField(tensor, onChange, onSound);
  return form.channels === 1 && form.width === SIDE && form.height === SIDE ? padField(tensor, form, onChange) : pictureField(tensor, form, onChange);
}

function label(tensor, id) {
  return make("label", { for: id }, make("code", {}, tensor.name), make("span", { class: "muted small" }, ` ${tensor.datatype} [${tensor.shape.map((size) => (size === -1 ? t("any") : size)).join(", ")}]`));
}

function scaleSelect(tensor, id, onChange) {
  const select = make("select", { id }, make("option", { value: "1" }, t("0 to 1")), make("option", { value: "16" }, t("0 to 16")), make("option", { value: "255" }, t("0 to 255")));
  if (!isReal(tensor.datatype)) select.value = "16";
  select.addEventListener("change", onChange);
  return { select, row: make("div", { class: "row" }, make("label", { for: id, class: "small muted" }, t("Pixel values")), select) };
}

const oneRow = (tensor) => tensor.shape.map((size) => (size === -1 ? 1 : size));

// A drop zone that hands over the picture's values, 0 to 1, and says what is wrong with a file that is none.
function pictureDrop(id, form, take) {
  const words = make("p", { class: "small muted", role: "status" });
  const zone = dropZone(id, "image/*", t("Drop a picture here, or choose one"), t("PNG, JPEG, WebP; scaled to {width} by {height}", form), async (file) => {
    try {
      take(await readPicture(file, form));
      words.textContent = file.name;
    } catch {
      words.textContent = t("This browser cannot read {name} as a picture. Take PNG or JPEG.", { name: file.name });
    }
  });
  return [zone, words];
}

function padField(tensor, form, onChange) {
  const pad = drawingPad(onChange);
  const id = `scale-${tensor.name}`;
  const { select, row } = scaleSelect(tensor, id, onChange);
  const dropped = pictureDrop(`picture-${tensor.name}`, form, ({ values }) => pad.set([...lightOnDark(values)].map((value) => value * 16)));
  const node = make("div", { class: "field" }, make("span", { class: "label" }, label(tensor, id)), ...pad.nodes, ...dropped, row);
  const values = () => pad.pixels.map((value) => round((value / 16) * Number(select.value), tensor.datatype));
  return { node, isPad: true, tensor: () => ({ name: tensor.name, shape: oneRow(tensor), datatype: tensor.datatype, data: values() }) };
}

function pictureField(tensor, form, onChange) {
  const id = `scale-${tensor.name}`;
  const { select, row } = scaleSelect(tensor, id, onChange);
  if (!isReal(tensor.datatype)) select.value = "255";
  let pixels = new Float32Array(form.width * form.height * form.channels);
  const preview = make("div", { class: "samples" });
  const dropped = pictureDrop(`picture-${tensor.name}`, form, ({ values, canvas }) => {
    pixels = values;
    canvas.className = "preview";
    preview.replaceChildren(canvas);
    onChange();
  });
  const node = make("div", { class: "field" }, make("span", { class: "label" }, label(tensor, id)), ...dropped, preview, row);
  const values = () => Array.from(pixels, (value) => round(value * Number(select.value), tensor.datatype));
  return { node, isPad: true, tensor: () => ({ name: tensor.name, shape: oneRow(tensor), datatype: tensor.datatype, data: values() }) };
}

function waveField(tensor, onChange, onSound) {
  const id = `sound-${tensor.name}`;
  const field = { isPad: true };
  field.sound = soundField(id, DEFAULT_RATE, () => { field.tellRate?.(field.sound.rate); onChange(); });
  const asText = make("button", { type: "button", class: "button button--small" }, t("Type numbers instead"));
  asText.addEventListener("click", () => onSound(null));
  field.name = tensor.name;
  field.node = make("div", { class: "field" }, make("span", { class: "label" }, label(tensor, `${id}-file`)), ...field.sound.nodes, make("div", { class: "row" }, asText));
  // Of a window or the whole recording; before there is one, a tenth of a second of silence.
  field.tensor = (data = field.sound.recording ?? new Float32Array(field.sound.rate / 10)) => {
    const fixed = tensor.shape.at(-1);
    const samples = data.length === fixed || fixed === -1 ? data : new Float32Array(fixed);
    return { name: tensor.name, shape: [...oneRow(tensor).slice(0, -1), samples.length], datatype: tensor.datatype, data: samples };
  };
  return field;
}

function textField(tensor, onChange, onSound) {
  const id = `input-${tensor.name}`;
  const shape = make("input", { id: `${id}-shape`, type: "text", inputmode: "numeric", autocomplete: "off", value: exampleShape(tensor).join(", ") });
  const data = make("textarea", { id, class: "mono", rows: 3, spellcheck: "false" });
  const sizes = () => shape.value.split(/[\s,×x]+/u).filter(Boolean).map(Number);
  const elements = () => Math.min(MOST_FILLED, sizes().reduce((product, size) => product * size, 1) || 0);
  const set = (text) => { data.value = text; onChange(); };
  const buttons = Object.entries(fillers(tensor, elements())).map(([name, one]) => {
    const button = make("button", { type: "button", class: "button button--small" }, name);
    button.addEventListener("click", () => set(Array.from({ length: elements() }, (_, index) => one(index)).join(", ")));
    return button;
  });
  if (takesSound(tensor)) {
    const button = make("button", { type: "button", class: "button button--small" }, t("Sound"));
    button.addEventListener("click", () => onSound(tensor.name));
    buttons.push(button);
  }
  shape.addEventListener("input", onChange);
  data.addEventListener("input", onChange);
  data.value = Array.from({ length: elements() }, () => example(tensor.datatype)).join(", ");
  if (isRate(tensor) && elements() === 1) data.value = String(DEFAULT_RATE);
  const node = make("div", { class: "field" }, label(tensor, id), data, make("div", { class: "row" }, ...buttons, make("label", { class: "small muted", for: `${id}-shape` }, t("Shape")), make("span", {}, shape)));
  return { node, isPad: false, isRate: isRate(tensor), set: (text) => { data.value = text; }, tensor: () => ({ name: tensor.name, shape: sizes(), datatype: tensor.datatype, data: parse(data.value, tensor.datatype) }) };
}

// What the buttons below a text field fill it with, by their names.
function fillers(tensor, elements) {
  const made = { BYTES: { [t("Example")]: () => '"text"' }, BOOL: { [t("False")]: () => "false", [t("True")]: () => "true" } }[tensor.datatype];
  if (made) return made;
  return {
    [t("Zeros")]: () => 0,
    [t("Ones")]: () => 1,
    [t("Random")]: () => round(Math.random() * (isReal(tensor.datatype) ? 1 : 10), tensor.datatype),
    ...(elements < 64 ? {} : { [t("Tone")]: (index) => round(0.5 * Math.sin((2 * Math.PI * 440 * index) / DEFAULT_RATE), tensor.datatype) }),
  };
}
