// An 8 by 8 drawing pad: by pointer, by keyboard (arrows move, space paints, backspace clears), or from sample digits.
import { make } from "./dom.js";
import { DIGITS } from "./digits.js";
import { t } from "./i18n.js";

export const SIDE = 8;
const INK = 16;
const HALO = 6;

export function drawingPad(onChange) {
  const pixels = new Array(SIDE * SIDE).fill(0);
  const cells = pixels.map(() => make("i"));
  const pad = make("div", { class: "pad", tabindex: 0, role: "application", "data-own-keys": true, "aria-label": t("Drawing pad, 8 by 8. Arrow keys move, space paints, backspace clears.") }, ...cells);
  let cursor = 27;

  const paint = () => cells.forEach((cell, index) => {
    const level = Math.round((pixels[index] / INK) * 255);
    cell.style.background = `rgb(${level} ${level} ${level})`;
    cell.toggleAttribute("data-cursor", index === cursor && document.activeElement === pad);
  });
  const set = (values) => { values.forEach((value, index) => { pixels[index] = value; }); paint(); onChange(); };
  const ink = (index) => {
    const row = Math.floor(index / SIDE), column = index % SIDE;
    pixels[index] = INK;
    for (const [y, x] of [[row - 1, column], [row + 1, column], [row, column - 1], [row, column + 1]]) {
      if (y >= 0 && x >= 0 && y < SIDE && x < SIDE) pixels[y * SIDE + x] = Math.max(pixels[y * SIDE + x], HALO);
    }
    paint();
    onChange();
  };
  const at = (event) => {
    const box = pad.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * SIDE);
    const row = Math.floor(((event.clientY - box.top) / box.height) * SIDE);
    return row >= 0 && column >= 0 && row < SIDE && column < SIDE ? row * SIDE + column : null;
  };
  const draw = (event) => { const index = at(event); if (index !== null) ink(index); };

  pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); draw(event); });
  pad.addEventListener("pointermove", (event) => { if (event.buttons) draw(event); });
  pad.addEventListener("focus", paint);
  pad.addEventListener("blur", paint);
  pad.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -SIDE, ArrowDown: SIDE }[event.key];
    if (step) cursor = Math.min(SIDE * SIDE - 1, Math.max(0, cursor + step));
    else if (event.key === " ") ink(cursor);
    else if (event.key === "Backspace" || event.key === "Delete") set(new Array(SIDE * SIDE).fill(0));
    else return;
    event.preventDefault();
    paint();
  });

  const clear = make("button", { type: "button", class: "button button--small" }, t("Clear"));
  clear.addEventListener("click", () => set(new Array(SIDE * SIDE).fill(0)));
  const samples = make("div", { class: "samples", role: "group", "aria-label": t("Sample digits") }, ...DIGITS.map((digit) => {
    const button = make("button", { type: "button", "aria-label": t("Sample {digit}", { digit: digit.label }), title: t("A handwritten {digit}", { digit: digit.label }) }, thumbnail(digit.pixels));
    button.addEventListener("click", () => set(digit.pixels));
    return button;
  }));
  paint();
  return { nodes: [make("div", { class: "row" }, pad), samples, make("div", { class: "row" }, clear)], pixels, set };
}

function thumbnail(pixels) {
  const canvas = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  pixels.forEach((value, index) => {
    const level = Math.round((value / INK) * 255);
    image.data.set([level, level, level, 255], index * 4);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}
