// The overview: totals, one row a model, the machine.
import { all, make, setState, setText } from "../lib/dom.js";
import { bytes, count, hitRatio, ms, percent } from "../lib/format.js";
import { live } from "../lib/live.js";
import { followRows } from "../lib/list_changes.js";
import { sparkline } from "../lib/sparkline.js";
import { holdHeight } from "../lib/still.js";
import { t, tn } from "../lib/i18n.js";

const SPARK_SECONDS = 120;
const FIELDS = {
  requests: (second) => count(second.requests),
  p50_ms: (second) => ms(second.p50_ms),
  p99_ms: (second) => ms(second.p99_ms),
  errors: (second) => count(second.errors),
  rejections: (second) => count(second.rejections),
  queue_depth: (second) => count(second.queue_depth),
  hit: (second) => percent(hitRatio(second)),
  instances: (second) => count(second.instances),
};
const rows = all("tr[data-model]").map((row) => ({
  node: row,
  isSeen: false,
  name: row.dataset.model,
  version: Number(row.dataset.default) || null,
  told: null,
  recent: [],
  spark: row.querySelector("[data-field=spark]"),
  state: row.querySelector("[data-field=state]"),
  cells: all("td [data-field], td[data-field]", row).filter((cell) => FIELDS[cell.dataset.field]),
  held: row.querySelector("[data-target]"),
  words: row.querySelector(".two [data-words]"),
}));

live.onSnapshot(() => {
  const length = live.recent.total.length;
  for (const row of rows) row.recent = [...(live.recent.models[row.name] ?? Array(length).fill(0))].slice(0, -1);
});

// Rows out of sight keep their past; they are drawn when they come into sight.
const SIGHT_MARGIN = "200px 0px";
const byNode = new Map(rows.map((row) => [row.node, row]));
const sight = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
  const row = byNode.get(target);
  row.isSeen = isIntersecting;
  if (isIntersecting && live.state) drawRow(row);
}), { rootMargin: SIGHT_MARGIN });
rows.forEach((row) => sight.observe(row.node));

let versions = { list: null, byKey: new Map() };

live.onSecond((state) => {
  all("[data-total]").forEach((node) => setText(node, FIELDS[node.dataset.total](state.total)));
  // The list is the same object until a second brings another.
  if (versions.list !== state.versions) versions = { list: state.versions, byKey: new Map(state.versions.map((one) => [`${one.model}/${one.version}`, one])) };
  for (const row of rows) {
    row.recent.push(state.models[row.name]?.requests ?? 0);
    if (row.recent.length > SPARK_SECONDS) row.recent.shift();
    if (row.isSeen) drawRow(row);
  }
  showMachine(state.machine);
});

function drawRow(row) {
  const second = live.state.models[row.name];
  const version = versions.byKey.get(`${row.name}/${row.version}`);
  sparkline(row.spark, row.recent);
  row.cells.forEach((cell) => setText(cell, second ? FIELDS[cell.dataset.field](second) : "–"));
  const target = Number(row.held.dataset.target);
  row.held.dataset.tone = target && second?.[row.held.dataset.held] > target ? "bad" : "";
  if (version) setState(row.state, version.state, version.message);
  else if (row.told) showTold(row.state, row.told);
}

// A state in the server's words: of what the data plane does not tell of, such as a model that was unloaded.
function showTold(node, { label, tone, words }) {
  setText(node, label);
  node.dataset.tone = tone;
  node.title = words;
}

followRows(document.getElementById("models-panel"), (said) => {
  for (const row of rows) {
    const known = said[row.name];
    if (!known) continue;
    row.version = known.default;
    row.told = known.state;
    Object.assign(row.held.dataset, { target: known.target || "", held: known.held });
    setText(row.words, known.words);
    setText(row.node.querySelector("[data-rollout]"), known.rollout);
    setText(row.held.querySelector("[data-words]"), known.target_words);
    drawRow(row);
  }
});

function meter(name, ratio) {
  const node = document.querySelector(`[data-machine=${name}]`);
  node.dataset.tone = ratio > 0.95 ? "bad" : ratio > 0.85 ? "warn" : "";
  node.firstElementChild.style.transform = `scaleX(${ratio})`;
}

function showMachine(machine) {
  setText(document.querySelector("[data-machine=cpu]"), `${Math.round(machine.cpu_percent)}%`);
  setText(document.querySelector("[data-machine=memory]"), t("{used} of {total}", { used: bytes(machine.memory_used_bytes), total: bytes(machine.memory_total_bytes) }));
  meter("cpu-meter", machine.cpu_percent / 100);
  meter("memory-meter", machine.memory_used_bytes / (machine.memory_total_bytes || 1));
  showCores(machine.per_core_percent);
  showGpus(machine);
}

function showCores(cores) {
  const host = document.querySelector("[data-machine=cores]");
  while (host.children.length < cores.length) host.append(make("i", {}, make("b")));
  cores.forEach((percentBusy, index) => {
    host.children[index].title = t("Core {index}: {percent}%", { index, percent: Math.round(percentBusy) });
    host.children[index].firstElementChild.style.transform = `scaleY(${percentBusy / 100})`;
  });
}

// The cards of the GPUs that are there; what a second leaves as it is stays the same element, so that a link keeps its focus.
let gpus = { known: "", cards: [] };

function showGpus(machine) {
  const host = document.querySelector("[data-machine=gpus]");
  if (!machine.gpus.length) {
    const words = machine.gpu_note || t("The driver reports none.");
    if (host.dataset.note !== words) {
      host.dataset.note = words;
      gpus = { known: "", cards: [] };
      host.replaceChildren(make("p", {}, make("strong", {}, t("No GPU is used."))), make("p", { class: "muted" }, words));
    }
    return;
  }
  delete host.dataset.note;
  const known = JSON.stringify(machine.gpus.map(({ index, name }) => [index, name]));
  keepingFocus(host, () => {
    if (gpus.known !== known) {
      gpus = { known, cards: machine.gpus.map(gpuCard) };
      host.replaceChildren(...gpus.cards.map((card) => card.node));
    }
    machine.gpus.forEach((gpu, place) => fillGpu(gpus.cards[place], gpu));
  });
}

function gpuCard(gpu) {
  const values = [t("Utilisation"), t("Memory"), t("Temperature"), t("Power")].map((name) => [name, make("dd")]);
  const list = make("dl", { class: "figures figures--plain" }, ...values.map(([name, value]) => make("div", { class: "figure" }, make("dt", {}, name), value)));
  const on = make("p", { class: "wrap-any" });
  const node = make("div", { class: "stack stack--tight" }, make("h3", {}, `${gpu.index}: ${gpu.name}`), list, on);
  return { node, on, values: values.map(([, value]) => value), held: null };
}

function fillGpu(card, gpu) {
  const texts = [
    gpu.utilisation_percent === null ? "–" : `${gpu.utilisation_percent}%`,
    gpu.memory_used_bytes === null ? "–" : t("{used} of {total}", { used: bytes(gpu.memory_used_bytes), total: bytes(gpu.memory_total_bytes) }),
    gpu.temperature_c === null ? "–" : `${gpu.temperature_c} °C`,
    gpu.power_w === null ? "–" : `${Math.round(gpu.power_w)} W`,
  ];
  texts.forEach((text, place) => setText(card.values[place], text));
  const held = JSON.stringify([gpu.holds, gpu.held_versions]);
  if (card.held === held) return;
  card.held = held;
  card.on.replaceChildren(...onGpu(gpu));
}

// Which versions' instances sit on the GPU; templates/parts/gpus.html says the same.
function onGpu(gpu) {
  if (!gpu.holds.length) return [t("No instance sits on it.")];
  const more = gpu.held_versions - gpu.holds.length;
  const links = gpu.holds.flatMap(({ model, version, instances }, place) => [
    place ? ", " : " ",
    make("a", { href: `/models/${encodeURIComponent(model)}/processes/?version=${version}` }, `${model}/${version}`),
    `: ${instances}`,
  ]);
  return [t("On it:"), ...links, more > 0 ? ` ${tn("and {count} more version", "and {count} more versions", more)}` : ""];
}

// A link that was focused and is made anew is focused again.
function keepingFocus(host, change) {
  const focused = host.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  change();
  if (focused === null || host.contains(document.activeElement)) return;
  all("a", host).find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
}

holdHeight(document.getElementById("problems"));
if (new URLSearchParams(location.search).has("search")) document.getElementById("model-search")?.focus();
