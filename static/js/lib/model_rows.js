// A model's measurements as rows for charts: from a second of the socket, or from columns of the history. No document here,
// so that node can test it.
import { hitRatio } from "./format.js";
import { TimeStore } from "./store.js";

const IDLE = { rps: 0, errors: 0, rejections: 0, queue_depth: 0, in_flight: 0 };
// Executions by size: 1, 2, 3 to 4, 5 to 8, 9 to 16, and all above.
export const SIZES = ["size_1", "size_2", "size_4", "size_8", "size_16", "size_more"];
export const KEYS = ["rps", "errors", "rejections", "p50_ms", "p95_ms", "p99_ms", "queue_ms", "compute_ms", "queue_depth", "in_flight", "batch", "hit", "cache_mib", "busy", "instances", ...SIZES];

// One second (or a longer step) as what the charts show.
export function rowOf(second, stepS) {
  return {
    rps: second.requests / stepS,
    errors: second.errors / stepS,
    rejections: second.rejections / stepS,
    p50_ms: second.p50_ms,
    p95_ms: second.p95_ms,
    p99_ms: second.p99_ms,
    queue_ms: second.queue_mean_ms ?? null,
    compute_ms: second.compute_mean_ms ?? null,
    queue_depth: second.queue_depth,
    in_flight: second.in_flight,
    batch: second.executions ? second.inferences / second.executions : null,
    hit: hitRatio(second),
    cache_mib: second.cache_bytes === undefined || second.cache_bytes === null ? null : second.cache_bytes / 1_048_576,
    busy: second.busy_ratio ?? null,
    instances: second.instances,
    ...bySize(second.rows_by_bits, stepS),
  };
}

function bySize(counts, stepS) {
  const row = Object.fromEntries(SIZES.map((key) => [key, counts ? 0 : null]));
  for (const [bits, executions] of Object.entries(counts ?? {})) row[SIZES[Math.min(Number(bits), SIZES.length - 1)]] += executions / stepS;
  return row;
}

// A moment with a row of all models together but none of this one means that this one was idle; without either, nothing
// was measured, and the chart shows a gap.
export function storeOf(history, total) {
  const store = new TimeStore(KEYS, history.resolution_s);
  let instances = null;
  const names = Object.keys(history).filter((name) => Array.isArray(history[name]));
  for (let index = 0; index < history.at.length; index += 1) {
    if (history.requests[index] !== null) {
      const second = Object.fromEntries(names.map((name) => [name, history[name][index]]));
      instances = second.instances;
      store.push(second.at, rowOf(second, history.resolution_s));
    } else if (total.requests[index] !== null) {
      store.push(history.at[index], { ...IDLE, instances });
    }
  }
  return store;
}
