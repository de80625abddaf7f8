// Sound for a model that takes a waveform: which input takes it, in which pieces, and what of an answer goes back in.
// Pure, so that node tests it.

// A tensor this long may be sound; shorter ones are rows of features. 160 samples are 10 ms at 16 kHz.
const LEAST_SAMPLES = 160;
// Windows of a model that keeps its state in tensors and leaves their length open.
const OPEN_WINDOW = 512;
const RATE = /^(sr|sample_rate|sampling_rate)$/u;

// FP32 [N] or [1, …, N], N free or long enough.
export function takesSound({ datatype, shape }) {
  const last = shape.at(-1);
  return datatype === "FP32" && shape.length > 0 && (last === -1 || last >= LEAST_SAMPLES) && shape.slice(0, -1).every((size) => size === 1 || size === -1);
}

export function isRate({ name, datatype }) { return RATE.test(name) && datatype.startsWith("INT"); }

// The input that is sound without anybody saying so: the only one that may be, beside one that takes the rate.
export function soundInput(signature) {
  const may = signature.inputs.filter(takesSound);
  return may.length === 1 && signature.inputs.some(isRate) ? may[0].name : null;
}

// {samples: of a window, 0: the whole recording at once; feedback: {input: the output that it is next time}}. Tensors of
// state are those that come out as they go in, under the same name or one that begins with it (h → hn).
export function planOf(signature, sound) {
  const wave = signature.inputs.find((one) => one.name === sound);
  const feedback = {};
  for (const input of signature.inputs) {
    if (input === wave || isRate(input)) continue;
    const output = signature.outputs.find((one) => one.name.startsWith(input.name) && one.datatype === input.datatype && String(one.shape) === String(input.shape));
    if (output) feedback[input.name] = output.name;
  }
  const last = wave.shape.at(-1);
  if (last !== -1) return { samples: last, feedback };
  return { samples: Object.keys(feedback).length ? OPEN_WINDOW : 0, feedback };
}

// The recording in consecutive windows, the last one filled up with silence.
export function windowsOf(recording, samples) {
  if (!samples) return [recording];
  return Array.from({ length: Math.max(1, Math.ceil(recording.length / samples)) }, (_, index) => {
    const window = new Float32Array(samples);
    window.set(recording.subarray(index * samples, (index + 1) * samples));
    return window;
  });
}

// Lowest and highest sample of each of `columns` equal stretches: what a waveform draws.
export function envelope(recording, columns) {
  const wanted = Math.max(1, Math.min(columns, recording.length));
  const low = new Array(wanted).fill(0), high = new Array(wanted).fill(0);
  for (let column = 0; column < wanted; column += 1) {
    const piece = recording.subarray(Math.floor((column * recording.length) / wanted), Math.floor(((column + 1) * recording.length) / wanted));
    low[column] = piece.reduce((least, value) => Math.min(least, value), Infinity);
    high[column] = piece.reduce((most, value) => Math.max(most, value), -Infinity);
  }
  return { low, high };
}

// The numbers of the answers one after the other: of the first output that is real and no state.
export function curveOf(answers, feedback) {
  const state = new Set(Object.values(feedback));
  return answers.flatMap(({ outputs }) => outputs.find((one) => one.datatype.startsWith("FP") && !state.has(one.name))?.data.flat(Infinity) ?? []);
}

// Values a stretch of the recording stands for: their middle in seconds, and their share at or above a half.
export function timesOf(count, seconds) { return Array.from({ length: count }, (_, index) => ((index + 0.5) * seconds) / count); }

export function areChances(values) { return values.length > 0 && values.every((value) => value >= 0 && value <= 1); }
