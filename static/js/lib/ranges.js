// Which stretch of time a page of charts shows and what it is compared with, as it stands in the address. No document
// here, so that node can test it.
export const RANGES = { live: 300, "15m": 900, "1h": 3600, "24h": 86_400, "7d": 604_800 };
const FIRST = "live";
// The socket brings seconds; longer ranges are asked for anew each minute.
const LONGEST_FOLLOWED_S = 3600;
const SHORTEST_S = 5;
// The API's.
const LONGEST_S = 400 * 86_400;
// Minutes are rolled up about once a minute; asking more often would show nothing new.
const REFRESH_MS = 60_000;
// A comparison is read anew as a whole, percentiles included: of an hour those are four times 3,600 rows, added up by the
// process that answers inference. Smaller, or for longer ranges: more to add up.
const REFRESH_COMPARED_MS = 5_000, LONGEST_COMPARED_OFTEN_S = 300;
export const REFRESHES_MS = [REFRESH_COMPARED_MS, REFRESH_MS];

const DAY_S = 86_400;
const COMPARE = /^(?:earlier|day|week|\d+,\d+|@\d{1,10})$/u;

// {range, from, to, compare}: from and to (unix seconds) only of a custom range; compare: "", "earlier" (as long as the range),
// "day", "week", "@<unix seconds>" where another range begins, or "1,2": two versions, the newer one first.
export function readRange(search) {
  const asked = new URLSearchParams(search);
  const from = Number(asked.get("from")), to = Number(asked.get("to"));
  const compare = COMPARE.test(asked.get("compare") ?? "") ? asked.get("compare") : "";
  if (from > 0 && to - from >= SHORTEST_S) return { range: "custom", from, to, compare };
  return { range: RANGES[asked.get("range")] ? asked.get("range") : FIRST, from: null, to: null, compare };
}

export function writeRange(state, search) {
  const query = new URLSearchParams(search);
  for (const name of ["range", "from", "to", "compare"]) query.delete(name);
  if (state.range === "custom") {
    query.set("from", Math.round(state.from));
    query.set("to", Math.round(state.to));
  } else if (state.range !== FIRST) query.set("range", state.range);
  if (state.compare) query.set("compare", state.compare);
  return query.size ? `?${query}` : "";
}

export function windowOf(state, now) {
  return state.range === "custom" ? [state.from, state.to] : [Math.max(0, now - RANGES[state.range]), now];
}

export function follows(state) { return state.range !== "custom" && RANGES[state.range] <= LONGEST_FOLLOWED_S; }

// How often such a range is asked for anew, one of REFRESHES_MS; null where it never changes or the socket brings it.
export function refreshMs(state) {
  if (state.range === "custom") return null;
  if (!state.compare) return follows(state) ? null : REFRESH_MS;
  return RANGES[state.range] <= LONGEST_COMPARED_OFTEN_S ? REFRESH_COMPARED_MS : REFRESH_MS;
}

// A dragged stretch becomes a custom range, never shorter than what charts can show, nor longer than what is kept, and
// it ends now at the latest.
export function zoomed(state, from, to, now) {
  const middle = (from + to) / 2, half = Math.max(SHORTEST_S, to - from) / 2;
  const end = Math.max(SHORTEST_S + 1, Math.min(Math.ceil(middle + half), Math.ceil(now)));
  const start = Math.max(1, end - LONGEST_S, Math.min(Math.floor(middle - half), end - SHORTEST_S));
  return { ...state, range: "custom", from: start, to: end };
}

// Another range that begins there, as a comparison; null for what is no moment, such as a field that is half typed.
export function comparedAt(unixS) { return unixS > 0 ? `@${Math.round(unixS)}` : null; }

// The two versions of a comparison; null where it is none of versions.
export function versionsOf(compare) { return compare.includes(",") ? compare.split(",").map(Number) : null; }

// How many seconds before a window the one lies that it is compared with; null where that is none of time.
export function shiftOf(compare, [start, end]) {
  if (compare.startsWith("@")) return Math.round(start - Number(compare.slice(1)));
  return { earlier: Math.round(end - start), day: DAY_S, week: 7 * DAY_S }[compare] ?? null;
}
