/* ---- The stream ---- */

let source = null;
let lastEventId = '';
let heard = 0;            // when the latest event arrived, by this page's clock
let openedAt = 0;
let ticking = false;      // this connection has brought counters, so silence means trouble
let loss = null;          // { since, failures, entry, mark } while the stream is away
let failures = 0;         // failed attempts before the first connection, or since the loss
let replayLeft = 0;
let farewell = false;     // the server has said that it stops
let total = 0;
let reopenTimer = 0;

const SILENT = 4000;      // counters come once a second
const DEAD = 20000;

// EventSource reconnects by itself and sends Last-Event-ID. A new one, which is needed for a
// new name and where a browser has given up, can only say it in the query.
function connect() {
  clearTimeout(reopenTimer);
  if (source) source.close();
  const query = new URLSearchParams({ client: live.client, name: live.name });
  if (lastEventId) query.set('lastEventId', lastEventId);
  const mine = source = new EventSource(`events?${query}`);
  const on = (type, handle) => mine.addEventListener(type, event => {
    if (mine !== source) return;
    handle(event);
  });
  on('open', opened);
  on('error', failed);
  for (const type of Object.keys(handlers)) on(type, event => receive(type, event));
}

function opened() {
  live.connections += 1;
  openedAt = heard = Date.now();
  failures = 0;
  farewell = false;
  ticking = false;
  replayLeft = 0;
  showState();
}

function failed() {
  failures += 1;
  if (live.connections > 0) lose(Date.now());
  if (source.readyState === EventSource.CLOSED) {
    const wait = Math.min(30000, 1000 * 2 ** Math.min(failures - 1, 5)) * (.75 + Math.random() / 2);
    reopenTimer = setTimeout(connect, wait);
  }
  showState();
}

function lose(since) {
  if (loss) return;
  live.losses += 1;
  const mark = { from: since - clockAhead, to: null, missing: false, replayed: 0 };
  chartMarks.push(mark);
  if (chartMarks.length > 50) chartMarks.shift();
  loss = { since, mark, entry: logMark() };
  const [title, detail] = farewell
    ? ['The server has stopped', 'It said so before it went. Trying until it is back.']
    : ['Connection lost', 'Trying again. What is published meanwhile will be replayed, as far as the server keeps it.'];
  loss.entry.show(title, detail);
  announce(`${title}, trying again`);
  stale = true;
}

function receive(type, event) {
  const replayed = type !== 'sansse-notice' && replayLeft > 0;
  if (replayed) replayLeft -= 1;
  if (event.lastEventId) lastEventId = event.lastEventId;
  heard = Date.now();
  total += 1;
  live.received.push({ id: event.lastEventId, type, data: event.data.slice(0, 200), replayed });
  if (live.received.length > 2000) { live.received.shift(); live.forgotten += 1; }
  try {
    handlers[type](type === 'line' ? event.data : JSON.parse(event.data), replayed);
  } catch (error) {
    live.malformed += 1;
    console.error(`malformed ${type} event`, error);
  }
}

const handlers = {
  counters(sample, replayed) { ticking = true; addSample(sample, replayed); },
  line(text, replayed) { logLine(text, replayed); },
  chat(message, replayed) { logChat(message, replayed); },
  people({ people }) { allPeople(people); },
  person(person) { onePerson(person); },
  farewell() { farewell = true; },
  // What the server says of the stream itself: how it begins, and what is missing.
  'sansse-notice'({ stream, replayed, lost, reason }) {
    if (stream === 'gap' && reason === 'lag') {
      const missing = lost === null ? 'Events are missing' : `${count(lost, 'event')} ${lost === 1 ? 'is' : 'are'} missing`;
      logMark().show(missing, 'This page was too far behind, and the server keeps its latest events only.', true, reason, 0);
      announce(missing);
      return;
    }
    if (stream === 'place' || stream === 'ending' || stream === 'refused') return;
    const outcome = stream === 'gap' ? reason : stream;
    replayLeft = replayed;
    const lostFor = loss ? openedAt - loss.since : null;
    live.resumes.push({ outcome, replayed, lostFor });
    if (live.resumes.length > 100) live.resumes.shift();
    const missing = stream === 'gap';
    const wasLost = loss !== null;
    if (loss) {
      loss.mark.to = openedAt - clockAhead;
      loss.mark.missing = missing;
      loss.mark.replayed = replayed;
    }
    if (loss || missing) {
      const entry = loss ? loss.entry : logMark();
      const [title, detail] = inWords(outcome, replayed, lostFor);
      entry.show(title, detail, missing, outcome, replayed);
      announce(`${title}. ${detail}`);
    }
    loss = null;
    stale = true;
    if (wasLost) flushSoon();
    showState();
  },
};

function inWords(outcome, replayed, lostFor) {
  const lost = lostFor === null ? 'The stream was opened anew' : `Connection was lost for ${duration(lostFor)}`;
  const again = replayed === 1 ? '1 event was replayed' : `${count(replayed, 'event')} were replayed`;
  switch (outcome) {
    case 'live': return [lost, 'This page had received nothing before, so there was nothing to resume from.'];
    case 'complete': return [lost, replayed ? `${again}, nothing is missing.` : 'Nothing was published meanwhile, nothing is missing.'];
    case 'retention': return [`${lost}: events are missing`, `The server keeps its latest events only, and the first ones that this page missed are no longer among them. ${again}.`];
    case 'restart': return [`${lost}: events may be missing`, `The server was started anew and does not remember what it published before. ${replayed ? `${again} from since then.` : 'Nothing could be replayed.'}`];
    default: return [`${lost}: events may be missing`, `The server does not know the event that this page saw last, so it cannot tell what came after. ${replayed ? `${again}.` : 'Nothing could be replayed.'}`];
  }
}

function showState() {
  const now = Date.now();
  const open = source && source.readyState === EventSource.OPEN;
  let state, word, detail;
  if (open && now - heard > SILENT && ticking) {
    [state, word, detail] = ['silent', 'Silent', `nothing received for ${duration(now - heard)}`];
  } else if (open) {
    const since = now - openedAt < 10000 ? 'just connected' : `for ${duration(now - openedAt)}`;
    [state, word, detail] = ['live', 'Live', `${since}, ${count(total, 'event')}`];
  } else if (loss) {
    const tries = failures > 1 ? `, ${count(failures - 1, 'attempt')} failed` : '';
    [state, word, detail] = ['lost', farewell ? 'Server stopped' : 'Connection lost', `${duration(now - loss.since)} ago${tries}`];
  } else if (failures) {
    [state, word, detail] = ['lost', 'Not connected', `no answer, ${count(failures, 'attempt')} failed`];
  } else {
    [state, word, detail] = ['connecting', 'Connecting', 'opening the event stream'];
  }
  live.state = state;
  $('state').dataset.state = state;
  setText($('state-word'), word);
  setText($('state-detail'), detail);
  $('retry').hidden = state !== 'lost' && state !== 'silent';
  const news = document.hidden && unseenChats ? `(${unseenChats}) ` : '';
  document.title = `${news}${state === 'lost' ? '✕ ' : ''}live`;
}

function tryNow() {
  if (live.connections > 0) lose(heard);
  connect();
  showState();
}
$('retry').addEventListener('click', tryNow);
addEventListener('online', () => { if (source.readyState !== EventSource.OPEN) tryNow(); });
addEventListener('pageshow', event => { if (event.persisted) tryNow(); });
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) unseenChats = 0;
  stale = true;
  showState();
});
setInterval(() => {
  // A network that has vanished ends no connection: the missing counters tell.
  if (source.readyState === EventSource.OPEN && ticking && Date.now() - heard > DEAD) tryNow();
  showState();
}, 500);

