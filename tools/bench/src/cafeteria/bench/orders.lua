-- Places orders for wrk: each with a fresh key, a student and an item by chance. CAFETERIA_BENCH_TOKENS and
-- CAFETERIA_BENCH_ITEMS hold them, CAFETERIA_BENCH_RUN makes this run's keys its own. The request is put together
-- from strings made beforehand, so that the generator takes little of the machine that it measures.
local heads, tails = {}, {}
for token in string.gmatch(os.getenv("CAFETERIA_BENCH_TOKENS"), "%S+") do
  heads[#heads + 1] = "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    .. "Authorization: Bearer " .. token .. "\r\nIdempotency-Key: "
end
for item in string.gmatch(os.getenv("CAFETERIA_BENCH_ITEMS"), "%S+") do
  local body = '{"lines":[{"item_id":"' .. item .. '","quantity":1}]}'
  tails[#tails + 1] = "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local threads = {}
function setup(thread)
  thread:set("number", #threads)
  threads[#threads + 1] = thread
end

answers = {}
function init()
  local run = os.getenv("CAFETERIA_BENCH_RUN")
  keys, sent = run .. "-" .. number .. "-", 0
  math.randomseed(tonumber(run, 16) % 2147483647 + number)
end

function request()
  sent = sent + 1
  return heads[math.random(#heads)] .. keys .. sent .. tails[math.random(#tails)]
end

function response(status)
  answers[status] = (answers[status] or 0) + 1
end

function done(summary, latency)
  local total = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("answers")) do total[status] = (total[status] or 0) + count end
  end
  local counted = {}
  for status, count in pairs(total) do counted[#counted + 1] = string.format('"%d": %d', status, count) end
  local errors = summary.errors
  io.write(string.format(
    'SUMMARY {"seconds": %.4f, "answers": {%s}, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "errors": %d, "timeouts": %d}\n',
    summary.duration / 1e6, table.concat(counted, ", "), latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000, errors.connect + errors.read + errors.write, errors.timeout))
end
