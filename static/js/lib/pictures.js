// What a page shows, as a file: a picture of its charts, or its numbers.

const EDGE_PX = 16;
const TITLE_PX = 26;
const SWATCH_PX = 10;

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function saveText(text, name, type) { save(new Blob([text], { type }), name); }

// All charts below each other with their titles and keys, in the page's present colours, under the lines of `heading`: a
// picture is looked at where nobody knows the page that it is of.
export async function savePicture(charts, heading, name) {
  const ratio = devicePixelRatio || 1;
  const style = getComputedStyle(document.body);
  const sheet = document.createElement("canvas");
  sheet.width = Math.max(...charts.map((chart) => chart.canvas.width)) + 2 * EDGE_PX * ratio;
  sheet.height = charts.reduce((sum, chart) => sum + chart.canvas.height + (TITLE_PX + EDGE_PX) * ratio, (2 * EDGE_PX + TITLE_PX * heading.length) * ratio);
  const ink = sheet.getContext("2d");
  ink.fillStyle = style.backgroundColor;
  ink.fillRect(0, 0, sheet.width, sheet.height);
  const write = (words, left, top, weight = 400, size = 13) => {
    ink.fillStyle = style.color;
    ink.font = `${weight} ${size * ratio}px ${style.fontFamily}`;
    ink.fillText(words, left, top + 14 * ratio, sheet.width - left - EDGE_PX * ratio);
    return left + ink.measureText(words).width + 14 * ratio;
  };
  let top = EDGE_PX * ratio;
  heading.forEach((words, line) => { write(words, EDGE_PX * ratio, top + line * TITLE_PX * ratio, line ? 400 : 600, line ? 13 : 15); });
  top += (TITLE_PX * heading.length + EDGE_PX) * ratio;
  for (const chart of charts) {
    let left = write(chart.host.querySelector("h3").textContent, EDGE_PX * ratio, top, 600);
    for (const { words, colour } of chart.key) {
      ink.fillStyle = colour;
      ink.fillRect(left, top + 8 * ratio, SWATCH_PX * ratio, 3 * ratio);
      left = write(words, left + (SWATCH_PX + 5) * ratio, top);
    }
    ink.drawImage(chart.canvas, EDGE_PX * ratio, top + TITLE_PX * ratio);
    top += chart.canvas.height + (TITLE_PX + EDGE_PX) * ratio;
  }
  save(await new Promise((resolve) => { sheet.toBlob(resolve, "image/png"); }), name);
}
