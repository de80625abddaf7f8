// A request as what goes on the wire, JSON or raw tensors behind it, and a raw answer back. Pure, so that node tests it.
// Source: Triton's binary tensor data extension (docs/reference/inference.md).
import { t } from "./i18n.js";

// Bytes an element, and how a view reads and writes one. BYTES is of no fixed size: it has its own ways below.
const NUMBERS = {
  BOOL: [1, (view, at) => view.getUint8(at) !== 0, (view, at, value) => view.setUint8(at, value ? 1 : 0)],
  INT8: [1, (view, at) => view.getInt8(at), (view, at, value) => view.setInt8(at, value)],
  UINT8: [1, (view, at) => view.getUint8(at), (view, at, value) => view.setUint8(at, value)],
  INT16: [2, (view, at) => view.getInt16(at, true), (view, at, value) => view.setInt16(at, value, true)],
  UINT16: [2, (view, at) => view.getUint16(at, true), (view, at, value) => view.setUint16(at, value, true)],
  INT32: [4, (view, at) => view.getInt32(at, true), (view, at, value) => view.setInt32(at, value, true)],
  UINT32: [4, (view, at) => view.getUint32(at, true), (view, at, value) => view.setUint32(at, value, true)],
  INT64: [8, (view, at) => Number(view.getBigInt64(at, true)), (view, at, value) => view.setBigInt64(at, BigInt(value), true)],
  UINT64: [8, (view, at) => Number(view.getBigUint64(at, true)), (view, at, value) => view.setBigUint64(at, BigInt(value), true)],
  FP32: [4, (view, at) => view.getFloat32(at, true), (view, at, value) => view.setFloat32(at, value, true)],
  FP64: [8, (view, at) => view.getFloat64(at, true), (view, at, value) => view.setFloat64(at, value, true)],
};

// Whether every input and output can go raw from here: half precision stays JSON, which this server reads and writes.
export function canBeRaw(signature) { return [...signature.inputs, ...signature.outputs].every((one) => one.datatype === "BYTES" || one.datatype in NUMBERS); }

// Samples of sound have the seven digits that single precision has; what was typed stays as it is.
export function jsonBody(inputs) {
  const data = (values) => (values instanceof Float32Array ? Array.from(values, (value) => Number(value.toPrecision(7))) : values);
  return JSON.stringify({ inputs: inputs.map((one) => ({ ...one, data: data(one.data) })) });
}

// {head: the JSON, headBytes: its length, bytes: all that is sent}. rawAnswer: the outputs are to come raw, too.
export function rawBody(inputs, { rawAnswer = true } = {}) {
  const raws = inputs.map((one) => rawTensor(one.datatype, one.data));
  const described = inputs.map(({ name, shape, datatype }, index) => ({ name, shape, datatype, parameters: { binary_data_size: raws[index].length } }));
  const head = JSON.stringify({ inputs: described, ...(rawAnswer ? { parameters: { binary_data_output: true } } : {}) });
  const bytes = join([new TextEncoder().encode(head), ...raws]);
  return { head, headBytes: new TextEncoder().encode(head).length, bytes };
}

export function rawTensor(datatype, data) {
  const values = Array.isArray(data) ? data.flat(Infinity) : data;
  if (datatype === "BYTES") return join(values.flatMap((text) => { const bytes = new TextEncoder().encode(text); return [rawTensor("UINT32", [bytes.length]), bytes]; }));
  if (datatype === "FP32" && values instanceof Float32Array && new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const wrong = values.find((value) => !["number", "boolean"].includes(typeof value) || (/INT/u.test(datatype) && !Number.isInteger(value)));
  if (wrong !== undefined) throw new Error(t("{value} is no {datatype}", { value: String(wrong), datatype }));
  const [size, , put] = NUMBERS[datatype];
  const view = new DataView(new ArrayBuffer(size * values.length));
  for (let index = 0; index < values.length; index += 1) put(view, index * size, values[index]);
  return new Uint8Array(view.buffer);
}

// A raw answer (its bytes, how many of them are JSON) as the JSON form would have it.
export function readRaw(bytes, headBytes) {
  const answer = JSON.parse(new TextDecoder().decode(bytes.subarray(0, headBytes)));
  let at = headBytes;
  for (const output of answer.outputs) {
    const size = output.parameters?.binary_data_size;
    if (size === undefined) continue;
    output.data = values(output.datatype, bytes.subarray(at, at + size));
    delete output.parameters;
    at += size;
  }
  return answer;
}

function values(datatype, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (datatype === "BYTES") {
    const found = [];
    for (let at = 0; at < bytes.length;) {
      const size = view.getUint32(at, true);
      found.push(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + size)));
      at += 4 + size;
    }
    return found;
  }
  const [size, get] = NUMBERS[datatype];
  return Array.from({ length: bytes.length / size }, (_, index) => get(view, index * size));
}

function join(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}
