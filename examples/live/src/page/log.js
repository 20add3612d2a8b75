/* ---- Saying something ---- */

$('say').addEventListener('submit', async event => {
  event.preventDefault();
  const text = $('text').value;
  if (!text.trim()) return;
  const refuse = why => { $('refused').textContent = why; $('refused').hidden = false; };
  $('refused').hidden = true;
  try {
    const answer = await fetch(`say?${new URLSearchParams({ client: live.client, name: live.name })}`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain; charset=utf-8' },
      body: text,
      signal: AbortSignal.timeout(10000),
    });
    if (answer.ok) {
      if ($('text').value === text) $('text').value = '';
      follow = true;
      flushSoon();
    } else {
      const reason = (await answer.text()).trim().slice(0, 300);
      refuse(`Not sent: ${reason || `the server answered ${answer.status}`}`);
    }
  } catch (error) {
    refuse(error.name === 'TimeoutError'
      ? 'Not sent: no answer within 10 seconds.'
      : 'Not sent: the server cannot be reached. Your text is still here.');
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

function add(kind, glyph, body, time, replayed) {
  const item = make('li', kind);
  const stamp = make('time');
  stamp.dateTime = new Date(time).toISOString();
  stamp.title = new Date(time).toLocaleString();
  if (replayed) body.append(make('span', 'again', '↺ replayed'));
  item.append(glyph, body, stamp);
  const entry = { kind, item, stamp, time };
  showAge(entry, Date.now());
  waiting.push(entry);
  kept[kind].push(entry);
  if (kept[kind].length > LIMITS[kind]) { kept[kind].shift().gone = true; dropped += 1; }
  flushSoon();
  return entry;
}

function logLine(text, replayed) {
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
  add('line', prompt, body, Date.now(), replayed);
  spokenLines += 1;
}

function logChat({ time, client, name, text }, replayed) {
  const body = make('div');
  body.append(make('bdi', 'who', client === live.client ? `${name} (you)` : name), make('bdi', 'text', text.slice(0, 4000)));
  add('chat', face(client, name), body, time + clockAhead, replayed);
  if (client !== live.client) {
    spoken.push(`${name}: ${text.slice(0, 200)}`);
    if (document.hidden) unseenChats += 1;
  }
}

function logMark() {
  const body = make('div');
  const title = make('p', 'title'), detail = make('p');
  body.append(title, detail);
  const glyph = make('span', 'glyph');
  glyph.setAttribute('aria-hidden', 'true');
  const { item } = add('mark', glyph, body, Date.now(), false);
  return {
    show(words, more, missing = false, outcome = '', replayed = 0) {
      title.textContent = words;
      detail.textContent = more;
      glyph.textContent = outcome === '' ? '✕' : missing ? '!' : '↺';
      item.classList.toggle('missing', missing);
      item.dataset.outcome = outcome;
      item.dataset.replayed = replayed;
      flushSoon();
    },
  };
}

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

function showAge(entry, now) { setText(entry.stamp, ago(now - entry.time)); }
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

