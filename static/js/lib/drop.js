// A place to drop one file on, or to choose it by mouse or keyboard.
import { make } from "./dom.js";

export function dropZone(id, accept, title, help, onFile) {
  const input = make("input", { id: `${id}-file`, type: "file", accept, class: "visually-hidden" });
  const zone = make("label", { class: "drop drop--low", for: `${id}-file` }, make("strong", {}, title), make("span", { class: "small" }, help), input);
  input.addEventListener("change", () => { if (input.files[0]) onFile(input.files[0]); input.value = ""; });
  for (const type of ["dragenter", "dragover"]) zone.addEventListener(type, (event) => { event.preventDefault(); zone.dataset.over = ""; });
  for (const type of ["dragleave", "drop"]) zone.addEventListener(type, (event) => { event.preventDefault(); delete zone.dataset.over; });
  zone.addEventListener("drop", (event) => { if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]); });
  return zone;
}
