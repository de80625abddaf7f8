// A picture file as the pixels that a model takes: scaled to its size, grey or in three channels.

// {width, height, channels, last: whether channels stand behind the pixels} of a tensor that may be a picture, or null.
export function pictureOf({ datatype, shape }) {
  if (["BYTES", "BOOL"].includes(datatype) || shape.length < 2) return null;
  const isOne = (size) => size === 1 || size === -1;
  const is = (height, width, before) => height >= 8 && width >= 8 && before.every(isOne);
  const [a, b, c] = shape.slice(-3);
  if (shape.length >= 3 && a === 3 && is(b, c, shape.slice(0, -3))) return { width: c, height: b, channels: 3, last: false };
  if (shape.length >= 3 && c === 3 && is(a, b, shape.slice(0, -3))) return { width: b, height: a, channels: 3, last: true };
  const [height, width] = shape.slice(-2);
  return is(height, width, shape.slice(0, -2)) ? { width, height, channels: 1, last: false } : null;
}

// Red, green, blue and opacity, row by row → values 0 to 1 in the tensor's order. Transparent is white, as on paper.
export function pixelsOf(rgba, { width, height, channels, last }) {
  const size = width * height, values = new Float32Array(size * channels);
  for (let index = 0; index < size; index += 1) {
    const opacity = rgba[index * 4 + 3] / 255;
    const [red, green, blue] = [0, 1, 2].map((offset) => (rgba[index * 4 + offset] / 255) * opacity + 1 - opacity);
    if (channels === 1) values[index] = 0.299 * red + 0.587 * green + 0.114 * blue;
    else [red, green, blue].forEach((value, channel) => { values[last ? index * 3 + channel : channel * size + index] = value; });
  }
  return values;
}

// Ink on paper as light on dark, which models of handwriting take; what is dark already stays.
export function lightOnDark(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return mean > 0.5 ? values.map((value) => 1 - value) : values;
}

// The file's picture fitted into width × height (its proportions are not kept); rejects what is no picture.
export async function readPicture(file, form) {
  const bitmap = await createImageBitmap(file, { resizeWidth: form.width, resizeHeight: form.height, resizeQuality: "high" });
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: form.width, height: form.height });
  const ink = canvas.getContext("2d");
  ink.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { values: pixelsOf(ink.getImageData(0, 0, form.width, form.height).data, form), canvas };
}
