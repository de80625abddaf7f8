-- wrk script: POST the lines of $BODIES in turn, with the headers of $HEADERS ("name: value" lines); report as JSON.
local packets, position = {}, 0

init = function()
  wrk.method = "POST"
  for line in os.getenv("HEADERS"):gmatch("[^\n]+") do
    local name, value = line:match("^([^:]+):%s*(.*)$")
    wrk.headers[name] = value
  end
  for line in io.lines(os.getenv("BODIES")) do
    packets[#packets + 1] = wrk.format(nil, nil, nil, line)
  end
end

request = function()
  position = position % #packets + 1
  return packets[position]
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests":%d,"us":%d,"non2xx":%d,"socket_errors":%d,"timeouts":%d,"p50_ms":%.4f,"p99_ms":%.4f}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
