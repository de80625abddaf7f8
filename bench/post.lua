-- wrk script: POST the file $BODY, always the same, or the lines of the file $BODIES in turn, with the headers of
-- $HEADERS ("name: value" lines); report as JSON.
-- One body: wrk then sends bytes that it formatted once, so that it takes as little as it can of the shared cores.
wrk.method = "POST"
for line in os.getenv("HEADERS"):gmatch("[^\n]+") do
  local name, value = line:match("^([^:]+):%s*(.*)$")
  wrk.headers[name] = value
end

if os.getenv("BODIES") then
  local packets, position = {}, 0
  init = function()
    for line in io.lines(os.getenv("BODIES")) do
      packets[#packets + 1] = wrk.format(nil, nil, nil, line)
    end
  end
  request = function()
    position = position % #packets + 1
    return packets[position]
  end
else
  local file = assert(io.open(os.getenv("BODY"), "rb"))
  wrk.body = file:read("*a")
  file:close()
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests":%d,"us":%d,"non2xx":%d,"socket_errors":%d,"timeouts":%d,"p50_ms":%.4f,"p99_ms":%.4f}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
