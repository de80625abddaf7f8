// What a comparison says in numbers: both stretches, or both versions, as a whole. No document here, so that node can test it.
import { hitRatio } from "./format.js";

const share = (part, of) => (of ? part / of : null);
// A larger change is told as a factor.
const MOST_PERCENT = 3;

// What of a model is compared, in the order in which it is read. `kind` is how the numbers are written.
export const COMPARED = [
  { key: "requests", kind: "count", of: (whole) => whole.requests },
  { key: "failed", kind: "share", of: (whole) => share(whole.errors, whole.requests + whole.errors) },
  { key: "refused", kind: "count", of: (whole) => whole.rejections },
  { key: "p50", kind: "ms", of: (whole) => whole.p50_ms },
  { key: "p95", kind: "ms", of: (whole) => whole.p95_ms },
  { key: "p99", kind: "ms", of: (whole) => whole.p99_ms },
  { key: "wait", kind: "ms", of: (whole) => whole.queue_mean_ms },
  { key: "compute", kind: "ms", of: (whole) => whole.compute_mean_ms },
  { key: "batch", kind: "decimal", of: (whole) => share(whole.inferences, whole.executions) },
  { key: "hits", kind: "share", of: (whole) => hitRatio(whole) },
];

// {key, kind, before, now, change} each; `before` and `now` are wholes of the history, or null where nothing was measured.
export function comparedRows(before, now) {
  return COMPARED.map(({ key, kind, of }) => {
    const [was, is] = [before, now].map((whole) => (whole ? of(whole) ?? null : null));
    return { key, kind, before: was, now: is, change: changeOf(was, is, kind) };
  });
}

// {points} for shares: how much more of a hundred; else {percent}, or {times} where a percentage would be hard to read.
function changeOf(was, is, kind) {
  if (was === null || is === null) return null;
  if (kind === "share") return { points: (is - was) * 100 };
  if (was === 0) return is === 0 ? { percent: 0 } : null;
  const ratio = is / was;
  return ratio - 1 > MOST_PERCENT ? { times: ratio } : { percent: (ratio - 1) * 100 };
}
