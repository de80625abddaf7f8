// In a narrow window the rows of a table are cards, which are laid out as grids: a browser then tells a screen reader of no
// table, row or cell any more, unless the page says that they are.
import { all } from "./dom.js";

const ROLES = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };

const roleOf = (part) => ROLES[part.tagName] ?? (part.scope === "row" ? "rowheader" : "columnheader");

// Call it after whatever puts rows into the page.
export function sayRoles() {
  all(".cards:not([role]), .cards :is(thead, tbody, tr, th, td):not([role])").forEach((part) => part.setAttribute("role", roleOf(part)));
}
