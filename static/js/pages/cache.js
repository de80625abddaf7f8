// A model's cache page: the miss-ratio curve with the present size on it; the figures around it come by htmx.
import { readJson, setText } from "../lib/dom.js";
import { CurveChart, curveRows } from "../lib/curve.js";

const host = document.getElementById("curve-plot");
const chart = host ? new CurveChart(host, document.getElementById("curve-at")) : null;
let shown = "";

function show() {
  const node = document.getElementById("curve-data");
  document.getElementById("curve-note").hidden = Boolean(node);
  if (!node || node.textContent === shown) return;
  shown = node.textContent;
  const curve = readJson("curve-data");
  setText(document.getElementById("curve-words"), document.getElementById("curve-says").dataset.words);
  chart.show(curve);
  document.getElementById("curve-rows").replaceChildren(...curveRows(curve));
}

if (chart) {
  document.addEventListener("htmx:afterSwap", show);
  show();
}
