// A model's cache page: the miss-ratio curve with the present size on it; the figures around it come by htmx.
import { readJson, setText } from "../lib/dom.js";
import { CurveChart, curveRows } from "../lib/curve.js";

const panel = document.getElementById("curve-panel");
const chart = new CurveChart(document.getElementById("curve-plot"), document.getElementById("curve-at"));
let shown = "";

// The cache may be switched on and off while the page is open.
function show() {
  panel.hidden = !document.getElementById("curve-wanted");
  const node = document.getElementById("curve-data");
  document.getElementById("curve-note").hidden = Boolean(node);
  if (!node || node.textContent === shown) return;
  shown = node.textContent;
  const curve = readJson("curve-data");
  setText(document.getElementById("curve-words"), document.getElementById("curve-says").dataset.words);
  chart.show(curve);
  document.getElementById("curve-rows").replaceChildren(...curveRows(curve));
}

document.addEventListener("htmx:afterSwap", show);
show();
