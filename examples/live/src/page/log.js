/* ---- Saying something ---- */

// What was refused for a reason that passes, and when. It has passed when the stream goes on; by then
// the reason could be read.
const passing = new Map();
const READABLE = 4000;

function refuse(id, why, passes) {
  setText($(id), why);
  $(id).hidden = false;
  if (passes) passing.set(id, Date.now()); else passing.delete(id);
}

function forgive() {
  for (const [id, since] of passing) {
    if (Date.now() - since < READABLE) continue;
    passing.delete(id);
    $(id).hidden = true;
  }
}

$('say').addEventListener('submit', async event => {
  event.preventDefault();
  const text = $('text').value;
  if (!text.trim()) return;
  $('refused').hidden = true;
  try {
    const answer = await fetch(`say?${new URLSearchParams({ client: live.client, name: live.name })}`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain; charset=utf-8' },
      body: text,
      signal: AbortSignal.timeout(15000),
    });
    if (answer.ok) {
      if ($('text').value === text) $('text').value = '';
      follow = true;
      flushSoon();
    } else {
      const reason = (await answer.text()).trim().slice(0, 300);
      // Of what a store has not answered to, nobody knows.
      const sent = answer.status === 504 ? 'Perhaps not sent' : 'Not sent';
      refuse('refused', `${sent}: ${reason || `the server answered ${answer.status}`}`, answer.status > 500);
    }
  } catch (error) {
    refuse('refused', error.name === 'TimeoutError'
      ? 'Perhaps not sent: no answer within 15 seconds.'
      : 'Not sent: the server cannot be reached. Your text is still here.', true);
  }
});

/* ---- The log ---- */

// Each kind has its own limit, so that a flood of lines cannot push the chat out.
const LIMITS = { line: 400, chat: 80, mark: 20 };
const kept = { line: [], chat: [], mark: [] };
let waiting = [];
let dropped = 0;
let follow = true;
let unread = 0;
let unseenChats = 0;
let flushQueued = false;
let spoken = [];
let spokenLines = 0;
let linesSpokenAt = 0;

// `how` it came is '' for what is published now; else 'kept', from before this page came, 'again',
// after a loss, or 'handed', by the tab that keeps the stream. Without a time it is older than this page.
function add(kind, glyph, body, time, how) {
  const item = make('li', kind);
  const stamp = make('time');
  if (how === 'again') body.append(make('span', 'again', '↺ replayed'));
  item.append(glyph, body, stamp);
  const entry = { kind, item, stamp };
  setTime(entry, time);
  waiting.push(entry);
  lastEntry = entry;
  kept[kind].push(entry);
  if (kept[kind].length > LIMITS[kind]) { kept[kind].shift().gone = true; dropped += 1; }
  flushSoon();
  return entry;
}

function setTime(entry, time) {
  entry.time = time;
  if (time !== null) {
    entry.stamp.dateTime = new Date(time).toISOString();
    entry.stamp.title = new Date(time).toLocaleString();
  }
  showAge(entry, Date.now());
}

function logLine(text, how) {
  const body = make('div');
  const prompt = make('span', 'glyph', '›');
  prompt.setAttribute('aria-label', 'line');
  // Colours meant for a terminal go, other control characters become visible.
  const visible = text.slice(0, 2000).replace(/\x1b\[[\d;:]*m/g, '').replace(/[\0-\x08\x0b-\x1f\x7f]/g,
    c => c === '\x7f' ? '␡' : String.fromCharCode(0x2400 + c.charCodeAt(0)));
  const code = make('code', '', visible);
  code.dir = 'auto';
  body.append(code);
  if (text.length > 2000) body.append(make('span', 'rest', ` … ${count(text.length - 2000, 'more character')}`));
  add('line', prompt, body, how === 'kept' ? null : Date.now(), how);
  if (how !== 'kept') spokenLines += 1;
}

function logChat({ time, client, name, text }, how) {
  const body = make('div');
  body.append(make('bdi', 'who', client === live.client ? `${name} (you)` : name), make('bdi', 'text', text.slice(0, 4000)));
  add('chat', face(client, name), body, time + clockAhead, how);
  if (client !== live.client && how !== 'kept') {
    spoken.push(`${name}: ${text.slice(0, 200)}`);
    if (document.hidden) unseenChats += 1;
  }
}

// Losses with nothing between them are one mark. Gaps have marks of their own: a connection that was
// lost says nothing of what a gap has cost.
let lastMark = null;
let lastEntry = null;
function markFor(kind) {
  if (lastMark?.kind !== kind || lastMark.entry !== lastEntry) return lastMark = newMark(kind);
  setTime(lastEntry, Date.now());
  return lastMark;
}

function newMark(kind) {
  const since = Date.now();
  const body = make('div'), title = make('p', 'title'), detail = make('p');
  body.append(title, detail);
  const glyph = make('span', 'glyph');
  glyph.setAttribute('aria-hidden', 'true');
  const entry = add('mark', glyph, body, since, '');
  const sum = { losses: 0, farewells: 0, gaps: 0, away: 0, replayed: 0, lost: 0, unknown: false, reasons: new Set() };

  function away(farewell) {
    const before = sum.losses, within = duration(Date.now() - since);
    const alike = sum.farewells === (farewell ? before : 0);
    sum.losses += 1;
    if (farewell) sum.farewells += 1;
    const often = before && alike ? `, for the ${ordinal(sum.losses)} time in ${within}` : '';
    const others = alike ? ''
      : before === 1 ? ` The connection was away once before, ${within} ago.`
        : ` The connection was away ${times(before)} before, in the last ${within}.`;
    show('✕', `${farewell ? 'The server has stopped' : 'Connection lost'}${often}`, (farewell
      ? 'It said so before it went. Trying until it is back.'
      : 'Trying again. What is published meanwhile will be replayed, as far as the server keeps it.') + others);
  }
  function back(lostFor, replayed, lost, reason) {
    sum.away += lostFor;
    sum.replayed += replayed;
    return miss(lost, reason);
  }
  function gap(lost, reason) {
    sum.gaps += 1;
    return miss(lost, reason);
  }
  function miss(lost, reason) {
    if (lost === null) sum.unknown = true; else sum.lost += lost;
    if (reason) sum.reasons.add(WHY[reason] ?? WHY.other);
    const missing = sum.unknown || sum.lost > 0;
    const often = sum.losses > 1 ? `${times(sum.losses)}, for ${duration(sum.away)} in all` : `for ${duration(sum.away)}`;
    const parts = [
      sum.losses ? `Connection was lost ${often}` : '',
      !missing ? '' : !sum.lost ? 'events may be missing' : `${sum.lost === 1 ? '1 event is' : `${count(sum.lost, 'event')} are`} missing${sum.unknown ? ', and perhaps more' : ''}`,
    ].filter(Boolean);
    const again = sum.replayed === 1 ? '1 event was replayed' : `${count(sum.replayed, 'event')} were replayed`;
    const words = parts.join(': ').replace(/^./, letter => letter.toUpperCase());
    const more = missing ? [...sum.reasons, sum.replayed ? `${again}.` : ''].filter(Boolean).join(' ')
      : sum.replayed ? `${again}, nothing is missing.` : 'Nothing was published meanwhile, nothing is missing.';
    show(missing ? '!' : '↺', words, more);
    entry.item.classList.toggle('missing', missing);
    entry.item.dataset.outcome = missing ? 'gap' : 'complete';
    Object.assign(entry.item.dataset, { replayed: sum.replayed, losses: sum.losses, gaps: sum.gaps });
    return `${words}. ${more}`;
  }
  function show(sign, words, more) {
    glyph.textContent = sign;
    title.textContent = words;
    detail.textContent = more;
    flushSoon();
  }
  return { kind, entry, away, back, gap };
}

const times = n => n === 2 ? 'twice' : count(n, 'time');
const ordinal = n => `${n}${n % 10 === 1 && n % 100 !== 11 ? 'st' : n % 10 === 2 && n % 100 !== 12 ? 'nd' : n % 10 === 3 && n % 100 !== 13 ? 'rd' : 'th'}`;
const WHY = {
  retention: 'The server keeps its latest events only, and the first ones that this page missed are no longer among them.',
  restart: 'The server was started anew and does not remember what it published before.',
  log: 'The store behind the server was started again. What it had not saved is missing.',
  lag: 'This page was too far behind, so that it was sent on.',
  other: 'The server does not know the event that this page saw last, so that it cannot tell what came after.',
};

function announce(words) { spoken.push(words); flushSoon(); }

function flushSoon() {
  if (flushQueued) return;
  flushQueued = true;
  let done = false;
  const once = () => { if (!done) { done = true; flushQueued = false; flush(); } };
  requestAnimationFrame(once);
  setTimeout(once, 250);       // hidden tabs get no frames
}

function flush() {
  const log = $('log');
  const anchor = follow ? null : [...log.children].find(item => item.offsetTop + item.offsetHeight > log.scrollTop && !item.hidden && item.id !== 'older');
  const before = anchor ? anchor.offsetTop - log.scrollTop : 0;
  const fresh = waiting.filter(entry => !entry.gone);
  waiting = [];
  for (const entry of shownEntries) if (entry.gone) { entry.item.remove(); shownEntries.delete(entry); }
  for (const entry of fresh) shownEntries.add(entry);
  log.append(...fresh.map(entry => entry.item));
  $('older').hidden = dropped === 0;
  if (dropped) setText($('older'), `${count(dropped, 'older entry', 'older entries')} no longer shown`);
  $('empty').hidden = shownEntries.size > 0;
  if (follow) {
    log.scrollTop = log.scrollHeight;
    unread = 0;
  } else {
    unread += fresh.length;
    if (anchor && anchor.isConnected) log.scrollTop = anchor.offsetTop - before;
  }
  showNewer();
  speak();
}
const shownEntries = new Set();

function showNewer() {
  $('newer').hidden = follow;
  if (!follow) setText($('newer'), unread ? `↓ ${count(unread, 'new entry', 'new entries')}` : '↓ To the latest');
}

function speak() {
  const now = Date.now();
  const words = spoken.length > 4 ? [count(spoken.length, 'new message')] : spoken;
  if (spokenLines && now - linesSpokenAt > 10000) {
    words.push(count(spokenLines, 'new line'));
    spokenLines = 0;
    linesSpokenAt = now;
  }
  if (words.length) $('announce').textContent = words.join('. ');
  spoken = [];
}

function showAge(entry, now) { setText(entry.stamp, entry.time === null ? 'earlier' : ago(now - entry.time)); }
setInterval(() => { const now = Date.now(); for (const entry of shownEntries) showAge(entry, now); }, 5000);

$('log').addEventListener('scroll', () => {
  const log = $('log');
  follow = log.scrollHeight - log.scrollTop - log.clientHeight < 32;
  if (follow) unread = 0;
  showNewer();
});
$('newer').addEventListener('click', () => { follow = true; flush(); $('log').focus({ preventScroll: true }); });
new ResizeObserver(() => { if (follow) $('log').scrollTop = $('log').scrollHeight; }).observe($('log'));
for (const choice of document.querySelectorAll('.filter input')) {
  choice.addEventListener('change', () => { $('log').dataset.show = choice.value; follow = true; flush(); });
}

