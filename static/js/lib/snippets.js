// A request as code: curl, Python by tritonclient and by httpx, JavaScript; as JSON or with raw tensors. Pure.
// Bodies above a screenful are read from a file, which the page saves.
import { rawBody, rawTensor } from "./bodies.js";

const LONGEST_INLINE = 1500;
const NUMPY = { BOOL: "?", INT8: "i1", UINT8: "u1", INT16: "<i2", UINT16: "<u2", INT32: "<i4", UINT32: "<u4", INT64: "<i8", UINT64: "<u8", FP16: "<f2", FP32: "<f4", FP64: "<f8" };
const ARRAYS = { INT8: "Int8Array", UINT8: "Uint8Array", INT16: "Int16Array", UINT16: "Uint16Array", INT32: "Int32Array", UINT32: "Uint32Array", INT64: "BigInt64Array", UINT64: "BigUint64Array", FP32: "Float32Array", FP64: "Float64Array" };

// asked: {origin: scheme and host, model, version (null: the default one), body: the JSON text, inputs: its tensors or
// null where the text is not JSON, outputs: the signature's, isRaw}.
export function snippet(language, asked) {
  const version = asked.version === null ? "" : `/versions/${asked.version}`;
  const url = `${asked.origin}/v2/models/${encodeURIComponent(asked.model)}${version}/infer`;
  if (language === "tritonclient") return tritonclient(asked);
  const json = { curl, python, javascript }, raw = { curl: rawCurl, python: rawPython, javascript: rawJavascript };
  return asked.isRaw ? raw[language](url, asked) : json[language](url, asked.body, asked.body.length <= LONGEST_INLINE);
}

export function fileName(isRaw) { return isRaw ? "request.bin" : "request.json"; }

function isLong(inputs) { return inputs.reduce((sum, one) => sum + JSON.stringify(Array.from(one.data)).length, 0) > LONGEST_INLINE; }

function curl(url, body, inline) {
  const data = inline ? `'${body.replaceAll("'", "'\\''")}'` : "@request.json";
  return `${inline ? "" : "# save the JSON body as request.json first\n"}curl -s ${url} \\
  -H "Authorization: Bearer $DLPROXY_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d ${data}`;
}

function python(url, body, inline) {
  const plain = body.includes('"""') || /["\\]$/u.test(body) ? JSON.stringify(body) : `r"""${body}"""`;
  return `import os
import httpx

answer = httpx.post(
    "${url}",
    headers={
        "Authorization": f"Bearer {os.environ['DLPROXY_API_KEY']}",
        "Content-Type": "application/json",
    },
    content=${inline ? plain : 'open("request.json", "rb").read()'},
)
answer.raise_for_status()
print(answer.json()["outputs"])`;
}

function javascript(url, body, inline) {
  const content = inline ? `JSON.stringify(${body})` : 'await (await import("node:fs/promises")).readFile("request.json")';
  return `const answer = await fetch("${url}", {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.DLPROXY_API_KEY}\`,
    "Content-Type": "application/json",
  },
  body: ${content},
});
if (!answer.ok) throw new Error(await answer.text());
console.log((await answer.json()).outputs);`;
}

// Raw tensors in; JSON out, which a terminal can show.
function rawCurl(url, { inputs }) {
  const long = isLong(inputs);
  const { bytes, headBytes } = rawBody(inputs, { rawAnswer: long });
  const send = `curl -s ${url} \\
  -H "Authorization: Bearer $DLPROXY_API_KEY" \\
  -H "Content-Type: application/octet-stream" \\
  -H "Inference-Header-Content-Length: ${headBytes}" \\
  --data-binary `;
  if (long) return `# save the body as request.bin first; the answer is JSON with raw tensors behind it\n${send}@request.bin -o answer.bin`;
  const text = btoa(String.fromCharCode(...bytes)).replaceAll(/.{76}(?=.)/gu, "$&\n");
  return `# the raw body, written in base64; it asks for a JSON answer\nbase64 -d <<'BODY' |\n${text}\nBODY\n${send}@-`;
}

function rawPython(url, { inputs, outputs }) {
  if ([...inputs, ...outputs].some((one) => !(one.datatype in NUMPY))) return "# Raw BYTES are easiest with tritonclient; choose it, or JSON.";
  const types = JSON.stringify(Object.fromEntries(outputs.map((one) => [one.datatype, NUMPY[one.datatype]])));
  const { headBytes } = rawBody(inputs);
  const made = isLong(inputs) ? `# save the body as request.bin first
body = open("request.bin", "rb").read()
head_bytes = ${headBytes}` : `tensors = [
${inputs.map((one) => `    (${JSON.stringify(one.name)}, "${one.datatype}", ${JSON.stringify(one.shape)}, np.array(${literal(one, "python")}, "${NUMPY[one.datatype]}").tobytes()),`).join("\n")}
]
described = [
    {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(raw)}}
    for name, datatype, shape, raw in tensors
]
head = json.dumps({"inputs": described, "parameters": {"binary_data_output": True}}).encode()
body = head + b"".join(raw for *_, raw in tensors)
head_bytes = len(head)`;
  return `import json
import os
import httpx
import numpy as np

${made}
answer = httpx.post(
    "${url}",
    headers={
        "Authorization": f"Bearer {os.environ['DLPROXY_API_KEY']}",
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(head_bytes),
    },
    content=body,
)
answer.raise_for_status()
at = int(answer.headers["Inference-Header-Content-Length"])
for output in json.loads(answer.content[:at])["outputs"]:
    size = output["parameters"]["binary_data_size"]
    values = np.frombuffer(answer.content[at : at + size], ${types}[output["datatype"]])
    print(output["name"], values.reshape(output["shape"]).tolist())
    at += size`;
}

function rawJavascript(url, { inputs, outputs }) {
  if ([...inputs, ...outputs].some((one) => !(one.datatype in ARRAYS))) return "// Raw BYTES and BOOL are easiest with Python's tritonclient; choose it, or JSON.";
  const { headBytes } = rawBody(inputs);
  const made = isLong(inputs) ? `// save the body as request.bin first
const { readFile } = await import("node:fs/promises");
const body = await readFile("request.bin"), headBytes = ${headBytes};` : `const tensors = [
${inputs.map((one) => `  { name: ${JSON.stringify(one.name)}, datatype: "${one.datatype}", shape: ${JSON.stringify(one.shape)}, raw: ${ARRAYS[one.datatype]}.of(${literal(one, "javascript").slice(1, -1)}) },`).join("\n")}
];
const described = tensors.map(({ raw, ...tensor }) => ({ ...tensor, parameters: { binary_data_size: raw.byteLength } }));
const head = new Blob([JSON.stringify({ inputs: described, parameters: { binary_data_output: true } })]);
const body = new Blob([head, ...tensors.map((tensor) => tensor.raw)]), headBytes = head.size;`;
  const types = [...new Set(outputs.map((one) => `${one.datatype}: ${ARRAYS[one.datatype]}`))].join(", ");
  return `${made}
const answer = await fetch("${url}", {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.DLPROXY_API_KEY}\`,
    "Content-Type": "application/octet-stream",
    "Inference-Header-Content-Length": String(headBytes),
  },
  body,
});
if (!answer.ok) throw new Error(await answer.text());
const bytes = await answer.arrayBuffer();
let at = Number(answer.headers.get("Inference-Header-Content-Length"));
for (const output of JSON.parse(new TextDecoder().decode(bytes.slice(0, at))).outputs) {
  const size = output.parameters.binary_data_size;
  console.log(output.name, new { ${types} }[output.datatype](bytes.slice(at, at + size)));
  at += size;
}`;
}

function tritonclient({ origin, model, version, inputs, outputs, isRaw }) {
  if (inputs === null) return "# The body is not JSON.";
  const binary = isRaw ? "True" : "False";
  const long = isLong(inputs);
  const places = long && isRaw ? slices(inputs) : null;
  const read = { true: 'body = open("request.bin", "rb").read()  # save the body first\n', false: 'body = json.load(open("request.json"))  # save the JSON body first\n' };
  const data = (one, index) => {
    if (!long) return `np.array(${literal(one, "python")}, ${dtype(one.datatype)})`;
    return places ? `np.frombuffer(body[${places[index].join(":")}], ${dtype(one.datatype)})` : `np.array(body["inputs"][${index}]["data"], ${dtype(one.datatype)})`;
  };
  return `${long && !isRaw ? "import json\n" : ""}import os
import numpy as np
import tritonclient.http as triton

client = triton.InferenceServerClient("${origin.replace(/^https?:\/\//u, "")}"${origin.startsWith("https:") ? ", ssl=True" : ""})
${long ? read[isRaw] : ""}inputs = []
${inputs.map((one, index) => `tensor = triton.InferInput(${JSON.stringify(one.name)}, ${JSON.stringify(one.shape)}, "${one.datatype}")
tensor.set_data_from_numpy(${data(one, index)}.reshape(${JSON.stringify(one.shape)}), binary_data=${binary})
inputs.append(tensor)`).join("\n")}
answer = client.infer(
    ${JSON.stringify(model)},
    inputs,${version === null ? "" : `\n    model_version="${version}",`}
    outputs=[${outputs.map((one) => `triton.InferRequestedOutput(${JSON.stringify(one.name)}, binary_data=${binary})`).join(", ")}],
    headers={"Authorization": f"Bearer {os.environ['DLPROXY_API_KEY']}"},
)
${outputs.map((one) => `print(${JSON.stringify(one.name)}, answer.as_numpy(${JSON.stringify(one.name)}).tolist())`).join("\n")}`;
}

// Where each raw tensor of a saved body stands.
function slices(inputs) {
  let at = rawBody(inputs).headBytes;
  return inputs.map((one) => { const from = at; at += rawTensor(one.datatype, one.data).length; return [from, at]; });
}

function dtype(datatype) {
  if (datatype === "BYTES") return "object";
  return datatype === "BF16" ? '"<f4"' : `"${NUMPY[datatype]}"`;
}

function literal(tensor, language) {
  const list = Array.from(tensor.data).flat(Infinity);
  if (language === "python" && tensor.datatype === "BOOL") return `[${list.map((value) => (value ? "True" : "False")).join(", ")}]`;
  if (language === "javascript" && tensor.datatype.endsWith("INT64")) return `[${list.map((value) => `${value}n`).join(", ")}]`;
  return JSON.stringify(list).replaceAll(",", tensor.datatype === "BYTES" ? "," : ", ");
}
