// Rows by time, as columns. A missing stretch becomes one row of nulls, so that charts show it as a gap. No document here,
// so that node can test it.

// Two steps may lie this far apart before it counts as a gap: reports come about each second, and one may fall on either
// side of a full second.
const GAP_STEPS = 2.5;

export class TimeStore {
  constructor(keys, resolutionS) {
    this.keys = keys;
    this.resolutionS = resolutionS;
    this.times = [];
    this.columns = new Map(keys.map((key) => [key, []]));
  }

  column(key) { return this.columns.get(key); }

  push(at, row) {
    const last = this.times.at(-1);
    if (last !== undefined && at <= last) return;
    if (last !== undefined && at - last > this.resolutionS * GAP_STEPS) this.#append(last + this.resolutionS, {});
    this.#append(at, row);
  }

  // Drop what lies before `from`; done in bulk, since shifting arrays each second would be wasteful.
  trim(from) {
    const first = this.times.findIndex((time) => time >= from);
    if (first < 60) return;
    this.times = this.times.slice(first);
    for (const key of this.keys) this.columns.set(key, this.columns.get(key).slice(first));
  }

  // This store's column on another's times: for each of them the value `shiftS` before it, null where none is near.
  onto(times, key, shiftS) {
    const known = this.column(key);
    let index = 0;
    return times.map((time) => {
      const wanted = time - shiftS;
      while (index < this.times.length - 1 && this.times[index] < wanted - this.resolutionS / 2) index += 1;
      return Math.abs(this.times[index] - wanted) <= this.resolutionS ? known[index] : null;
    });
  }

  // As a table that other programs read: a row a moment, UTC. other: {store, shiftS} that it is compared with, whose columns
  // follow under their names with `compared_` before them.
  csv(other = null) {
    const cell = (value) => (value === null || value === undefined ? "" : String(value));
    const beside = other ? this.keys.map((key) => other.store.onto(this.times, key, other.shiftS)) : [];
    const columns = [...this.keys.map((key) => this.columns.get(key)), ...beside];
    const names = [...this.keys, ...(other ? this.keys.map((key) => `compared_${key}`) : [])];
    const rows = this.times.map((time, index) => [new Date(time * 1000).toISOString(), ...columns.map((column) => cell(column[index]))].join(","));
    return `${["at", ...names].join(",")}\n${rows.join("\n")}\n`;
  }

  #append(at, row) {
    this.times.push(at);
    for (const key of this.keys) this.columns.get(key).push(row[key] ?? null);
  }
}
