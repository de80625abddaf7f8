// A model's instances as rows of a table, each second written anew in place.
import { all, make, setState, setText } from "./dom.js";
import { bytes, count, duration, ms } from "./format.js";
import { sayRoles } from "./tables.js";
import { t } from "./i18n.js";

const NO_INSTANCE = {
  asleep: t("No instance runs: the model sleeps, and the next request wakes it."),
  quarantined: t("No instance runs: its instances could not be started. The page of its version says why, and tries again."),
  failed: t("No instance runs: the file is not the one that was uploaded. The page of its version says more."),
};

function noInstance(state) { return NO_INSTANCE[state] ?? t("No instance runs. Load the model, or wait until its version is loaded."); }

// state: how the model's default version stands, for the words where there is no instance.
export function showInstances(body, instances, state) {
  if (!instances.length) {
    body.replaceChildren(make("tr", {}, make("td", { colspan: 8, class: "muted full" }, noInstance(state))));
    sayRoles();
    return;
  }
  const wanted = new Set(instances.map((one) => one.instance_id));
  all("tr", body).forEach((row) => wanted.has(row.dataset.id) || row.remove());
  for (const one of instances) {
    const row = all("tr", body).find((other) => other.dataset.id === one.instance_id) ?? newRow(body, one.instance_id);
    const [name, shown, device, pid, up, memory, executions, each] = row.children;
    setText(name.firstChild, one.instance_id);
    setState(shown.firstChild, one.state, one.message);
    setText(device, one.device);
    setText(pid, one.pid === null ? "–" : String(one.pid));
    setText(up, duration(one.uptime_s));
    setText(memory, bytes(one.memory_bytes));
    setText(executions, count(one.executions));
    setText(each, ms(one.service_ewma_ms));
  }
}

function newRow(body, id) {
  const cell = (label) => make("td", { class: "num", "data-label": label });
  const row = make("tr", { "data-id": id }, make("td", { class: "two" }, make("span", { class: "mono" })), make("td", {}, make("span", { class: "state" })), make("td", { "data-label": t("Device") }), cell(t("Process")), cell(t("Up")), cell(t("Memory")), cell(t("Executions")), cell(t("Time each")));
  body.append(row);
  sayRoles();
  return row;
}
