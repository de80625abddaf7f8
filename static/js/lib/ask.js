// One inference over the dashboard's own session: raw tensors or a text as the body, the answer as JSON would have it.
import { rawBody, readRaw } from "./bodies.js";
import { ownHeaders, problemWords } from "./http.js";
import { readTiming } from "./timing.js";

// inputs: tensors to send raw, or null: `text` is the body. {said, timing, text: the answer as JSON}; throws an Error with
// the server's words and its `status`.
export async function ask(url, inputs, text) {
  const raw = inputs && rawBody(inputs);
  const kind = raw ? { "Content-Type": "application/octet-stream", "Inference-Header-Content-Length": String(raw.headBytes) } : { "Content-Type": "application/json" };
  const response = await fetch(url, {
    method: "POST",
    credentials: "same-origin",
    headers: { Accept: "application/json", ...ownHeaders(), "X-Dlproxy-Timing": "1", ...kind },
    body: raw ? raw.bytes : text,
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const words = () => new TextDecoder().decode(bytes);
  if (!response.ok) throw Object.assign(new Error(problemWords(response.status, words())), { status: response.status });
  const headBytes = response.headers.get("Inference-Header-Content-Length");
  const said = headBytes ? readRaw(bytes, Number(headBytes)) : JSON.parse(words());
  return { said, timing: readTiming(response.headers.get("Server-Timing")), text: headBytes ? JSON.stringify(said) : words() };
}
