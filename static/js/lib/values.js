// Values of a tensor as a person types them, by datatype. No document here, so that node can test it.

export function isReal(datatype) { return datatype.startsWith("FP") || datatype === "BF16"; }

export function round(value, datatype) { return isReal(datatype) ? Number(value.toFixed(4)) : Math.round(value); }

// What stands in a new field, once an element.
export function example(datatype) { return { BYTES: '"text"', BOOL: "false" }[datatype] ?? "0"; }

// Free sizes: one row; a free length behind it is 512, which audio windows and token sequences take, or one text.
export function exampleShape(tensor) {
  const length = tensor.datatype === "BYTES" ? 1 : 512;
  return tensor.shape.map((size, index) => (size !== -1 ? size : index > 0 && index === tensor.shape.length - 1 ? length : 1));
}

// "1, 2 3" or a JSON list; what is neither is sent as it stands, so that the server says what is wrong.
export function parse(text, datatype) {
  const trimmed = text.trim();
  if (datatype === "BYTES") return texts(trimmed);
  for (const candidate of [asList(trimmed), `[${trimmed.split(/[\s,;]+/u).join(",")}]`]) {
    const values = readList(candidate);
    if (values) return values;
  }
  return [trimmed];
}

// Strings in quotes, as JSON has them; anything else is taken as it is, one text a line.
function texts(trimmed) {
  const values = readList(asList(trimmed));
  return values && values.flat(Infinity).every((value) => typeof value === "string") ? values : trimmed.split("\n");
}

function asList(text) { return text.startsWith("[") ? text : `[${text}]`; }

function readList(text) {
  try {
    const values = JSON.parse(text);
    return Array.isArray(values) ? values : null;
  } catch {
    return null;
  }
}
