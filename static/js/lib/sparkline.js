// A small line without axes: SVG, scaled to its own maximum.
const SVG = "http://www.w3.org/2000/svg";

export function sparkline(host, values) {
  const width = 120, height = 28, pad = 2;
  let path = host.querySelector("path");
  if (!path) {
    path = document.createElementNS(SVG, "path");
    for (const [name, value] of Object.entries({ fill: "none", stroke: "currentColor", "stroke-width": "1.5", "stroke-linejoin": "round", "vector-effect": "non-scaling-stroke" })) path.setAttribute(name, value);
    host.append(path);
  }
  const top = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${(height - pad - (value / top) * (height - 2 * pad)).toFixed(1)}`);
  path.setAttribute("d", points.length > 1 ? `M${points.join("L")}` : "");
}
