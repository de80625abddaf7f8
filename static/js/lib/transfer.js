// One file on its way by tus 1.0.0: declared, sent in pieces, taken up again after a lost connection, ended.
import { HttpProblem, ownHeaders, problemWords } from "./http.js";
import { t } from "./i18n.js";

// One request's bytes. Larger: fewer requests; smaller: less to send again behind a proxy that holds whole requests back.
const CHUNK_BYTES = 8 * 1024 * 1024;
// The digest needs the whole file in memory; above this the server alone computes it.
const LARGEST_HASHED_BYTES = 512 * 1024 * 1024;
const LONGEST_WAIT_S = 15;
const HEADERS = { "Tus-Resumable": "1.0.0", Accept: "application/json" };

export async function digestOf(file) {
  if (!globalThis.crypto?.subtle || file.size > LARGEST_HASHED_BYTES) return null;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function ask(method, url, headers = {}, body = undefined) {
  let response;
  try {
    response = await fetch(url, { method, credentials: "same-origin", headers: { ...HEADERS, ...ownHeaders(), ...headers }, body });
  } catch {
    throw new HttpProblem(0, problemWords(0, ""));
  }
  if (!response.ok) throw new HttpProblem(response.status, problemWords(response.status, await response.text()));
  return response;
}

const base64 = (text) => btoa(String.fromCodePoint(...new TextEncoder().encode(text)));

// Declares a file; the answer is where its bytes go.
export async function begin(endpoint, file, declared) {
  const metadata = Object.entries({ filename: file.name, ...declared }).map(([name, value]) => `${name} ${base64(value)}`).join(",");
  const answer = await ask("POST", endpoint, { "Upload-Length": String(file.size), "Upload-Metadata": metadata });
  return answer.headers.get("Location");
}

export const cancel = (url) => ask("DELETE", url);

// What became of an upload whose bytes are all there: its version's number, or HttpProblem with the reason.
export async function outcome(url) {
  const read = async () => (await ask("GET", url)).json();
  let upload = await read();
  if (upload.state === "received") {
    await ask("PATCH", url, { "Upload-Offset": String(upload.offset_bytes), "Content-Type": "application/offset+octet-stream" });
    upload = await read();
  }
  if (upload.refusal) throw new HttpProblem(upload.refusal.status, upload.refusal.message);
  return upload.version;
}

// `tell` is told: progress(bytes), lost(isElsewhere: another page or program sends this file just now), sent(), held(words) for what may be tried again, refused(words).
export class Transfer {
  constructor(file, url, tell) {
    this.url = url;
    this.tell = tell;
    this.tries = 0;
    this.again = () => this.#start();
    this.upload = new globalThis.tus.Upload(file, {
      uploadUrl: new URL(url, location.href).href,
      chunkSize: CHUNK_BYTES,
      retryDelays: null, // ours: it also waits for the connection to come back
      storeFingerprintForResuming: false, // the server lists what is unfinished
      headers: { Accept: "application/json" },
      onBeforeRequest: (request) => { for (const [name, value] of Object.entries(ownHeaders())) request.setHeader(name, value); },
      onProgress: (sent) => tell.progress(sent),
      onChunkComplete: () => { this.tries = 0; },
      onSuccess: () => tell.sent(),
      onError: (error) => this.#failed(error),
    });
  }

  start() {
    this.stopped = false;
    this.tries = 0;
    this.#start();
  }

  // Ends the request under way; what was sent of it stays on the server.
  async pause() {
    this.stopped = true;
    this.#rest();
    await this.upload.abort();
  }

  #start() {
    this.#rest();
    if (!this.stopped) this.upload.start();
  }

  #rest() {
    clearTimeout(this.timer);
    globalThis.removeEventListener("online", this.again);
  }

  #failed(error) {
    if (this.stopped) return;
    const status = error.originalResponse?.getStatus() ?? 0;
    const words = problemWords(status, error.originalResponse?.getBody() ?? "");
    if (!error.originalRequest) this.tell.held(t("The file could not be read. Choose it again."));
    else if (isPassing(status, error.originalResponse?.getBody())) this.#tryLater(status === 409 || status === 423);
    else if (status === 404 || status === 410) this.tell.refused(t("The server does not have this upload any more: it was cancelled or has expired. Choose the file again."));
    else if (status === 507) this.tell.held(words);
    else this.tell.refused(words);
  }

  #tryLater(isElsewhere) {
    this.tell.lost(isElsewhere);
    this.timer = setTimeout(this.again, 1000 * Math.min(LONGEST_WAIT_S, 2 ** this.tries));
    this.tries += 1;
    globalThis.addEventListener("online", this.again);
  }
}

// Whether the same request may do better in a moment: no answer, a busy server, or an offset that is to be asked anew.
function isPassing(status, body) {
  if (status === 409) return /"code": ?"offset"/u.test(body ?? "");
  return status === 0 || status === 423 || (status >= 500 && status !== 507);
}
