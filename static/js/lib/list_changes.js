// The overview's rows follow what is wanted: when the generation of the live seconds is another than the one that the rows
// were made of, they are asked for anew, and what came or went is said in a line, so that no row moves while it is read.
import { all, setText } from "./dom.js";
import { getJson } from "./http.js";
import { live } from "./live.js";

// Pages do not ask all at once: the server that answers them answers inference, too.
const SPREAD_MS = 1_500;
const AGAIN_MS = 3_000;

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

// A server that restarts is asked again with the next second that it tells.
const isAway = (error) => error instanceof TypeError || error.status >= 500;

// show: takes what the server says of each row, by the model's name.
export function followRows(panel, show) {
  let known = Number(panel.dataset.generation);
  let isAsking = false;

  async function ask() {
    isAsking = true;
    try {
      await pause(Math.random() * SPREAD_MS);
      const said = await getJson(addressOf(panel));
      known = said.generation;
      show(said.rows);
      tell(said.words);
      await pause(AGAIN_MS);
    } catch (error) {
      if (!isAway(error)) throw error;
    } finally {
      isAsking = false;
    }
  }

  live.onSecond((state) => { if (state.generation !== known && !isAsking) ask(); });
}

// Without words there is no link: the keyboard would stop at nothing.
function tell(words) {
  const link = document.getElementById("models-changed");
  link.hidden = !words;
  setText(link, words);
}

function addressOf(panel) {
  const { rows, listed, newest } = panel.dataset;
  const models = all("[data-model]", panel).map((row) => row.dataset.model).join(",");
  return `${rows}?${new URLSearchParams({ models, listed, newest, q: new URLSearchParams(location.search).get("q") ?? "" })}`;
}
