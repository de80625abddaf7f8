// A field for sound: a file dropped or chosen, or a recording of the microphone, brought to the model's rate as one channel.
import { make } from "./dom.js";
import { dropZone } from "./drop.js";
import { t } from "./i18n.js";

const RATES = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000];
const LONGEST_S = 60;

// onChange(): there is another recording, or none. The field's `recording` is a Float32Array or null, at `rate`.
export function soundField(id, rate, onChange) {
  const field = { recording: null, rate, source: null };
  const words = make("p", { class: "small muted", role: "status" }, t("Nothing yet. It is read in this browser and sent only with the request; at most {seconds} s.", { seconds: LONGEST_S }));
  const rates = make("select", { id: `${id}-rate` }, ...[...new Set([...RATES, rate])].sort((a, b) => a - b).map((one) => make("option", { value: one, selected: one === rate }, `${one / 1000} kHz`)));
  const player = make("audio", { controls: true, hidden: true, "aria-label": t("The recording") });
  const zone = dropZone(id, "audio/*", t("Drop a sound file here, or choose one"), t("WAV, MP3, FLAC, Ogg: what this browser can play"), take);
  const button = make("button", { type: "button", class: "button button--small" }, t("Record"));
  button.addEventListener("click", () => (field.recorder ? field.recorder.stop() : record()));
  rates.addEventListener("change", () => { field.rate = Number(rates.value); if (field.source) read(); else onChange(); });

  async function take(file) {
    field.source = file;
    if (player.src) URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(file);
    player.hidden = false;
    await read();
  }

  async function read() {
    words.textContent = t("Reading …");
    try {
      field.recording = await decoded(await field.source.arrayBuffer(), field.rate);
      words.textContent = field.source.name ? field.source.name : t("From the microphone");
    } catch {
      field.recording = null;
      player.hidden = true;
      words.textContent = t("This browser cannot read that file as sound. Save it as WAV and try again.");
    }
    onChange();
  }

  async function record() {
    if (!navigator.mediaDevices) { words.textContent = t("A browser gives the microphone to pages over HTTPS or on localhost only. Drop a file instead."); return; }
    let stream;
    try { stream = await navigator.mediaDevices.getUserMedia({ audio: true }); } catch { words.textContent = t("The microphone was not given to this page: allow it in the browser’s settings for this site, or drop a file."); return; }
    const recorder = new MediaRecorder(stream), pieces = [];
    const end = setTimeout(() => recorder.stop(), LONGEST_S * 1000);
    const began = performance.now();
    const tell = () => { words.textContent = t("Recording … {seconds} s", { seconds: Math.round((performance.now() - began) / 1000) }); };
    const tells = setInterval(tell, 1000);
    recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
    recorder.addEventListener("stop", () => {
      clearTimeout(end);
      clearInterval(tells);
      stream.getTracks().forEach((track) => track.stop());
      field.recorder = null;
      button.textContent = t("Record");
      take(new Blob(pieces, { type: recorder.mimeType }));
    });
    field.recorder = recorder;
    button.textContent = t("Stop recording");
    tell();
    recorder.start();
  }

  field.nodes = [zone, make("div", { class: "row" }, button, make("label", { class: "small muted", for: `${id}-rate` }, t("Rate")), rates), player, words];
  return field;
}

// Decoding in a context of that rate resamples; channels are averaged.
async function decoded(bytes, rate) {
  const sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  const samples = Math.min(sound.length, LONGEST_S * rate);
  const recording = new Float32Array(samples);
  for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
    const values = sound.getChannelData(channel);
    for (let index = 0; index < samples; index += 1) recording[index] += values[index] / sound.numberOfChannels;
  }
  return recording;
}
