// What a page shows, as a file: a picture of its charts, or its numbers.

const EDGE_PX = 16;
const TITLE_PX = 26;

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function saveText(text, name, type) { save(new Blob([text], { type }), name); }

// All charts below each other with their titles, in the page's present colours.
export async function savePicture(charts, name) {
  const ratio = devicePixelRatio || 1;
  const style = getComputedStyle(document.body);
  const width = Math.max(...charts.map((chart) => chart.canvas.width)) + 2 * EDGE_PX * ratio;
  const height = charts.reduce((sum, chart) => sum + chart.canvas.height + (TITLE_PX + EDGE_PX) * ratio, EDGE_PX * ratio);
  const sheet = document.createElement("canvas");
  Object.assign(sheet, { width, height });
  const ink = sheet.getContext("2d");
  ink.fillStyle = style.backgroundColor;
  ink.fillRect(0, 0, width, height);
  ink.fillStyle = style.color;
  ink.font = `600 ${14 * ratio}px ${style.fontFamily}`;
  let top = EDGE_PX * ratio;
  for (const chart of charts) {
    const legend = [...chart.legend.children].map((item) => item.textContent).join("   ");
    ink.fillText(`${chart.host.querySelector("h3").textContent}   ${legend}`, EDGE_PX * ratio, top + 14 * ratio);
    ink.drawImage(chart.canvas, EDGE_PX * ratio, top + TITLE_PX * ratio);
    top += chart.canvas.height + (TITLE_PX + EDGE_PX) * ratio;
  }
  const blob = await new Promise((resolve) => { sheet.toBlob(resolve, "image/png"); });
  save(blob, name);
}
