-- What wrk sends. Arguments: operation, token, file of record ids (or -), prefix of this run's keys, seed, collection.
-- Each request has an Idempotency-Key of its own and a record drawn uniformly.

local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end

local records, head, tail, place, operation, prefix, collection = {}, nil, nil, 0, nil, nil, nil

function init(arguments)
    operation = arguments[1]
    local token, file = arguments[2], arguments[3]
    prefix = string.format("%s-%d-", arguments[4], number)
    if file ~= "-" then
        for line in io.lines(file) do records[#records + 1] = line end
    end
    collection = arguments[6]
    math.randomseed(tonumber(arguments[5]) + number)
    local common = string.format(" HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: Bearer %s\r\n", wrk.host, wrk.port, token)
    local body = operation == "create" and '{"amount":1000000000000}' or '{"amount":1}'
    if operation == "read" or operation == "list" then
        tail = common .. "\r\n"
    else
        head = common .. "Content-Type: application/json\r\nContent-Length: " .. #body .. '\r\nIdempotency-Key: "'
        tail = '"\r\n\r\n' .. body
    end
end

function request()
    if operation == "list" then return "GET " .. collection .. "?limit=20" .. tail end
    if operation == "read" then return "GET " .. collection .. "/" .. records[math.random(#records)] .. tail end
    place = place + 1
    local key = prefix .. place
    if operation == "create" then return "POST " .. collection .. head .. key .. tail end
    return "POST " .. collection .. "/" .. records[math.random(#records)] .. "/capture" .. head .. key .. tail
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format(
        '\nfigures {"commands":%d,"microseconds":%d,"p50_us":%d,"p99_us":%d,"refused":%d,"broken":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
