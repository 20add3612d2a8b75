/* ---- The stream ---- */

let heard = 0;            // when the latest event arrived, by this page's clock
let sign = 0;             // when the latest sign of the server itself did
let news = 0;             // how many counters were published only then
let openedAt = 0;
let begun = false;        // this connection has said how its stream goes on
let awaySince = 0;        // since when nothing came, where the server says that its store takes nothing
let away = 'away';        // or 'full'
let asking = false;       // the server is being asked
let askedAt = 0;
let loss = null;          // { since, entry, mark } while the stream is away
let failures = 0;         // failed attempts before the first connection, or since the loss
let refusal = null;       // why the server gives no stream for now
let refused = false;      // this connection was such an answer
let replay = '';          // what came before this moment: 'kept', 'again', 'handed', or nothing
let replayLeft = 0;
let farewell = false;     // the server has said that it stops
let total = 0;
let reopenTimer = 0;

// Counters come once a second, through the store. Their silence may be the store's: the server is
// asked about that before the page speaks of silence.
const QUIET = 2500;
const SILENT = 4000;
const DEAD = 20000;
const ASK_EVERY = 3000;

// All tabs share one stream. What a tab gets that joins them is what the server keeps for one that
// asks it, and who is here, which the others know.
const source = new SharedEventSource(
  () => `events?${new URLSearchParams({ client: live.client, name: live.name })}`,
  {
    name: 'live',
    keep: { counters: 125, line: LIMITS.line, chat: LIMITS.chat, people: 0, person: 0, farewell: 0 },
    snapshot: () => [{ type: 'people', data: JSON.stringify({ people: [...people.values()] }) }],
  },
);

source.onopen = () => {
  openedAt = heard = sign = Date.now();
  begun = refused = false;
  replayLeft = 0;
  showState();
};

source.onerror = () => {
  failures += 1;
  if (!refused) refusal = null;
  refused = false;
  if (live.connections > 0) lose(Date.now());
  // It asks again by itself, unless the answer was no stream. One tab is enough for the asking.
  if (source.readyState === SharedEventSource.CLOSED && source.leads) {
    const wait = Math.min(30000, 1000 * 2 ** Math.min(failures - 1, 5)) * (.75 + Math.random() / 2);
    clearTimeout(reopenTimer);
    reopenTimer = setTimeout(() => source.reconnect(), wait);
  }
  showState();
};

function lose(since) {
  if (loss) return;
  live.losses += 1;
  const mark = { from: since - clockAhead, to: null, missing: false, replayed: 0 };
  chartMarks.push(mark);
  if (chartMarks.length > 50) chartMarks.shift();
  loss = { since, mark, entry: markFor('loss') };
  loss.entry.away(farewell);
  announce(farewell ? 'The server has stopped' : 'Connection lost, trying again');
  stale = true;
}

function receive(type, event) {
  const how = replayLeft > 0 ? replay : '';
  if (how) replayLeft -= 1;
  heard = sign = Date.now();
  total += 1;
  note(type, event, how !== '');
  try {
    handlers[type](type === 'line' ? event.data : JSON.parse(event.data), how);
  } catch (error) {
    live.malformed += 1;
    console.error(`malformed ${type} event`, error);
  }
}

function note(type, event, replayed) {
  live.received.push({ id: event.lastEventId, type, data: event.data.slice(0, 200), replayed });
  if (live.received.length > 2000) { live.received.shift(); live.forgotten += 1; }
}

const handlers = {
  counters(sample, how) { if (!how) goesOn(); showNode(sample); addSample(sample, how); },
  line(text, how) { logLine(text, how); },
  chat(message, how) { logChat(message, how); },
  people({ people }) { allPeople(people); },
  person(person, how) { onePerson(person, how); },
  farewell() { farewell = true; },
};
for (const type of Object.keys(handlers)) source.addEventListener(type, event => receive(type, event));

// Which of several servers it is, and how well that is where it is not as usual.
function showNode({ node, health }) {
  live.node = node;
  setText($('node'), node && `node ${node}${health === 'ready' ? '' : `, ${health}`}`);
}

// What the server says of the stream itself: how it goes on, and what is missing.
source.addEventListener('sansse-notice', event => {
  const notice = JSON.parse(event.data);
  heard = sign = Date.now();
  note('sansse-notice', event, false);
  switch (notice.stream) {
    case 'refused':
      refusal = notice.reason ?? 'other';
      refused = true;
      showState();
      return;
    case 'ending': farewell = true; return;
    case 'place': return;
  }
  if (begun) {
    if (notice.lost !== 0) gap(notice);
    return;
  }
  begun = true;
  begin(notice);
});

function begin({ stream, replayed, lost, reason }) {
  live.connections += 1;
  failures = 0;
  refusal = null;
  farewell = false;
  const lostFor = loss ? openedAt - loss.since : null;
  live.resumes.push({ stream, replayed, lost, reason, lostFor });
  if (live.resumes.length > 100) live.resumes.shift();
  // Where another tab went on with the stream, this one has missed nothing that it could speak of.
  replay = loss ? 'again' : stream === 'kept' ? 'kept' : 'handed';
  replayLeft = replayed;
  const missing = lost !== 0;
  if (loss) {
    Object.assign(loss.mark, { to: openedAt - clockAhead, missing, replayed });
    announce(loss.entry.back(lostFor, replayed, lost, reason));
  } else if (missing) {
    gap({ lost, reason });
  }
  loss = null;
  stale = true;
  askHealth();
  showState();
}

// A counter has come that is new, which only a store that is there lets through.
function goesOn() {
  news += 1;
  storeIsBack();
  forgive();
}

function storeIsBack() {
  if (awaySince) announce('The store behind the server takes events again');
  awaySince = 0;
}

// Whether the server itself is there, and its store. A stream does not tell: what keeps it alive while
// there are no events does not reach the page.
async function askHealth() {
  if (asking) return;
  asking = true;
  askedAt = Date.now();
  const since = heard, before = news;
  let word = '';
  try {
    const reply = await fetch('health', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
    word = (await reply.text()).trim();
  } catch { /* no answer, and so no sign */ }
  asking = false;
  if (word === 'stale' || word === 'down' || word === 'full') {
    if (news !== before) return;
    sign = Date.now();
    away = word === 'full' ? 'full' : 'away';
    if (!awaySince) announce(`The store behind the server is ${away}`);
    awaySince ||= since;
  } else if (awaySince && word === 'ready') {
    // The counters are on their way.
    sign = Date.now();
    storeIsBack();
  } else {
    awaySince = 0;
  }
  showState();
}

function gap({ lost, reason }) {
  live.gaps += 1;
  const now = Date.now() - clockAhead;
  chartMarks.push({ from: now, to: now, missing: true, replayed: 0 });
  if (chartMarks.length > 50) chartMarks.shift();
  announce(markFor('gap').gap(lost, reason));
  stale = true;
}

const REFUSALS = {
  full: 'the server has no room', draining: 'the server is about to stop', closed: 'the server is about to start again', joining: 'the server is reading the stream',
  client: 'you have as many streams as one may have', address: 'your address has as many streams as it may have',
  connections: 'the server has as many connections as it may have',
};

function showState() {
  const now = Date.now();
  const open = source.readyState === SharedEventSource.OPEN && begun;
  let state, word, detail;
  if (awaySince && (open || refusal)) {
    [state, word, detail] = ['waiting', 'Waiting for the server’s store', `it is ${away}, nothing new for ${duration(now - awaySince)}`];
  } else if (open && now - sign > SILENT) {
    [state, word, detail] = ['silent', 'Silent', `nothing received for ${duration(now - heard)}`];
  } else if (open) {
    const since = now - openedAt < 10000 ? 'just connected' : `for ${duration(now - openedAt)}`;
    [state, word, detail] = ['live', 'Live', `${since}, ${count(total, 'event')}`];
  } else if (refusal) {
    [state, word, detail] = ['lost', 'Please wait', `${REFUSALS[refusal] ?? 'the server has no stream for now'}, trying again`];
  } else if (loss) {
    const tries = failures > 1 ? `, ${count(failures - 1, 'attempt')} failed` : '';
    [state, word, detail] = ['lost', farewell ? 'Server stopped' : 'Connection lost', `${duration(now - loss.since)} ago${tries}`];
  } else if (failures) {
    [state, word, detail] = ['lost', 'Not connected', `no answer, ${count(failures, 'attempt')} failed`];
  } else {
    [state, word, detail] = ['connecting', 'Connecting', 'opening the event stream'];
  }
  live.state = state;
  live.leads = source.leads;
  $('state').dataset.state = state;
  setText($('state-word'), word);
  setText($('state-detail'), detail);
  $('retry').hidden = state !== 'lost' && state !== 'silent';
  const news = document.hidden && unseenChats ? `(${unseenChats}) ` : '';
  document.title = `${news}${state === 'lost' ? '✕ ' : ''}live`;
  showTabs();
}

// Over HTTP/1.1 browsers open six connections to one server.
function showTabs() {
  setText($('tabs-note'), source.shared
    ? `All your tabs share one stream, which ${source.leads ? 'this tab' : 'another tab'} keeps open. With one each, the seventh would get none: browsers open six connections to a server.`
    : 'Each of your tabs has a stream of its own, since this page came from another machine without TLS. Browsers open six connections to a server: a seventh tab would wait, and so would what you say, until one of your tabs is closed.');
}

function tryNow() {
  if (live.connections > 0) lose(sign);
  source.reconnect();
  showState();
}
$('retry').addEventListener('click', tryNow);
// Of all tabs, the one that has the connection sees to it.
addEventListener('online', () => { if (source.leads && source.readyState !== SharedEventSource.OPEN) tryNow(); });
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) unseenChats = 0;
  stale = true;
  showState();
});
setInterval(() => {
  const now = Date.now(), open = source.readyState === SharedEventSource.OPEN;
  // A network that has vanished ends no connection: the missing counters and answers tell.
  if (source.leads && open && now - sign > DEAD) tryNow();
  else if ((open && now - heard > QUIET || refusal) && now - askedAt > ASK_EVERY) askHealth();
  showState();
}, 500);
showState();

