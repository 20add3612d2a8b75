-- One call to a realm's log, all or nothing.
--
-- KEYS 1 the state (hash), 2 the log (stream)
-- ARGV 1 `hello`, `append` or `head`   2 run id of the server that the connection leads to
--      3 the realm's epoch             4 the node, which is the life of a process
--      5 the highest position that the node has applied
--      6 how many positions are kept   7 the batch's number
--      8 how many positions it takes   9 the batch
-- Answers: {start, position} to hello and head, {last, count} to append.
--
-- The state: v version of this layout, e epoch, p newest position, r the life of the server that
-- wrote last, c the newest cuts as `position:base;`, newest first, and n:NODE a node's newest batch
-- as `number:last:count:seconds`.
-- The log: `<last>-<count>` d batch, t milliseconds; a cut is `<position>-1` c base:node, t.

-- Lua counts in doubles.
local LIMIT = 9007199254740992
local CUTS = 16
local DAY = 86400

local verb, run, epoch, node = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local seen, kept = tonumber(ARGV[5]), tonumber(ARGV[6])
local number, count = tonumber(ARGV[7]), tonumber(ARGV[8])
local field = 'n:' .. node

-- A server lives until it ends, and also until it follows another one, by which it loses what that
-- one does not have. It may be a master again later, over the same connections; then it says up to
-- where it has the other one's history. The replication id itself changes more often than that.
local function life()
  local info = redis.call('INFO', 'replication')
  local followed = string.match(info, 'master_replid2:(%w+)')
  local offset = string.match(info, 'second_repl_offset:(%d+)')
  if followed and offset then
    return run .. '/' .. followed .. ':' .. offset
  end
  return run
end

local function text(n)
  return string.format('%.0f', n)
end

-- The newest position that the log had, also where its entries are gone.
local function newest_of_log()
  if redis.call('EXISTS', KEYS[2]) == 0 then
    return 0
  end
  local info = redis.call('XINFO', 'STREAM', KEYS[2])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      return tonumber(string.match(info[i + 1], '^(%d+)'))
    end
  end
  return 0
end

-- {start, position}
local function head(position)
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  if not oldest then
    return { text(position), text(position) }
  end
  local last, size = string.match(oldest[1], '^(%d+)-(%d+)$')
  local start = text(tonumber(last) - tonumber(size))
  for i = 1, #oldest[2], 2 do
    if oldest[2][i] == 'c' then
      start = string.match(oldest[2][i + 1], '^(%d+)')
    end
  end
  return { start, text(position) }
end

-- The id before which entries go, so that `kept` positions stay. The jump of a cut is no positions:
-- otherwise each cut would take all that survived it.
local function oldest_kept(position, cuts)
  local left = kept
  for cut, base in string.gmatch(cuts, '(%d+):(%d+);') do
    cut, base = tonumber(cut), tonumber(base)
    if position - left >= cut then
      break
    end
    left = left - (position - cut)
    position = base
  end
  return text(math.max(0, position - left))
end

-- Forgets nodes that are gone for a day. It looks at a few fields, from another one at each hello.
local function forget_nodes(seconds, place)
  local some = redis.call('HSCAN', KEYS[1], place, 'MATCH', 'n:*', 'COUNT', 64)[2]
  for i = 1, #some, 2 do
    local at = tonumber(string.match(some[i + 1], ':(%d+)$') or 0)
    if some[i] ~= field and seconds - at > DAY then
      -- Where nothing can be written, this can wait.
      redis.pcall('HDEL', KEYS[1], some[i])
    end
  end
end

local was = redis.call('HMGET', KEYS[1], 'v', 'e', 'p', 'r', 'c', field)
if was[1] and was[1] ~= '1' then
  return redis.error_reply('SANSSENEWER the data is of version ' .. was[1])
end
if was[2] and was[2] ~= epoch then
  return redis.error_reply('SANSSEEPOCH ' .. was[2])
end
local position, cuts = tonumber(was[3] or 0), was[5] or ''
if verb == 'head' then
  -- A log without its state is behind all that nodes have seen, so that they say hello.
  return was[3] and head(position) or { '0', '0' }
end

local again
if verb == 'append' and was[6] then
  local newest, last, size = string.match(was[6], '^(%d+):(%d+):(%d+):')
  newest = tonumber(newest)
  if number < newest then
    -- It was on its way for so long that a later one has come before it.
    return redis.error_reply('SANSSESTALE the batch ' .. ARGV[7] .. ' comes after a later one')
  end
  if number == newest then
    again = { last, size }
  end
end

local time = redis.call('TIME')
local seconds, micros = tonumber(time[1]), tonumber(time[2])
local millis = text(seconds * 1000 + math.floor(micros / 1000))

local now = life()
-- What survived ends here. A log that is ahead of its state is one whose state was lost, or is old.
local base = position
if verb == 'hello' or not was[3] then
  base = math.max(position, newest_of_log())
end
if not was[3] or was[4] ~= now or seen > position or base > position then
  -- The clock leads beyond all that any server gave away in a life that this one knows nothing of.
  -- It counts 1,024,000 positions a second. The 2 leaves a hole also where the clock does not lead.
  local clock = seconds * 1024000 + math.floor(micros * 1024 / 1000)
  -- Where a server with a clock that is behind has followed another one, it does not lead. So each cut
  -- goes on by up to 2^36 positions that no other life of the realm has drawn.
  local drawn = redis.sha1hex(run .. node .. time[1] .. ':' .. time[2] .. ':' .. text(base))
  local cut = math.max(base, seen, clock) + tonumber(string.sub(drawn, 1, 9), 16) + 2
  if cut + count >= LIMIT then
    return redis.error_reply('SANSSEEND the positions are used up')
  end
  local all, some = text(cut) .. ':' .. text(base) .. ';', 1
  for old in string.gmatch(cuts, '%d+:%d+;') do
    some = some + 1
    if some <= CUTS then
      all = all .. old
    end
  end
  redis.call('XADD', KEYS[2], 'MINID', '~', oldest_kept(cut, all), text(cut) .. '-1',
    'c', text(base) .. ':' .. node, 't', millis)
  redis.call('HSET', KEYS[1], 'v', '1', 'e', epoch, 'p', text(cut), 'r', now, 'c', all)
  position, cuts = cut, all
end
if verb == 'hello' then
  forget_nodes(seconds, time[2])
  return head(position)
end
if again then
  -- Also where it was appended before the cut, and survived it.
  return again
end

local last = position + count
if last >= LIMIT then
  return redis.error_reply('SANSSEEND the positions are used up')
end
redis.call('XADD', KEYS[2], 'MINID', '~', oldest_kept(last, cuts), text(last) .. '-' .. ARGV[8],
  'd', ARGV[9], 't', millis)
redis.call('HSET', KEYS[1], 'p', text(last), field,
  ARGV[7] .. ':' .. text(last) .. ':' .. ARGV[8] .. ':' .. time[1])
return { text(last), ARGV[8] }
