-- wrk script: POST the file $BODY, always the same, with the headers of $HEADERS ("name: value" lines); report as JSON.
-- One body: wrk then sends bytes that it formatted once, so that it takes as little as it can of the shared cores.
local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
for line in os.getenv("HEADERS"):gmatch("[^\n]+") do
  local name, value = line:match("^([^:]+):%s*(.*)$")
  wrk.headers[name] = value
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests":%d,"us":%d,"non2xx":%d,"socket_errors":%d,"timeouts":%d,"p50_ms":%.4f,"p99_ms":%.4f}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
