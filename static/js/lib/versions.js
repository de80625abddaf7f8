// The versions that the live socket tells of. No document here, so that node can test it.

// The one that calls without a version go to; undefined while none of the model's answers them.
export function defaultOf(versions, model) { return versions.find((one) => one.model === model && one.is_default); }

// All of one model and how each stands, as one text that the server makes, too (dashboard/status.py).
export function loaded(versions, model) {
  return versions.filter((one) => one.model === model).map((one) => `${one.version} ${one.state}${one.is_default ? " default" : ""}`).join(",");
}
