
/* ---- An answer, word by word, from a topic of its own that ends ---- */

const answer = live.answer;
let answerSource = null;
let answerLost = false;
let wordAt = 0;           // when the latest word of it came, or its stream began
const STALLED = 5000;     // words come eight a second

// A tab remembers where its answer is, not what it was: the server says it again.
const remembered = {
  get() { try { return sessionStorage.getItem('live.answer'); } catch { return null; } },
  set(url) { try { sessionStorage.setItem('live.answer', url); } catch { /* not after a reload, then */ } },
  clear() { try { sessionStorage.removeItem('live.answer'); } catch { /* there is none */ } },
};

function listen(url) {
  if (answerSource) answerSource.close();
  Object.assign(answer, { url, text: '', words: 0, again: 0, whole: false, connections: 0, state: 'coming' });
  const mine = answerSource = new EventSource(url);
  const on = (type, handle) => mine.addEventListener(type, event => {
    if (mine !== answerSource) return;
    handle(event);
    showAnswer();
  });
  wordAt = Date.now();
  on('open', () => { answer.connections += 1; answerLost = false; wordAt = Date.now(); });
  on('sansse-notice', event => { if (!answer.words) answer.again = JSON.parse(event.data).replayed; });
  on('word', event => { answer.text += event.data; answer.words += 1; wordAt = Date.now(); answer.state = 'coming'; });
  on('end', event => { answer.state = 'coming'; answer.whole = JSON.parse(event.data).words === answer.words; });
  on('error', () => {
    answerLost = !answer.whole;
    answer.state = 'coming';
    // EventSource asks again by itself, until it is told that there is no more.
    if (mine.readyState === EventSource.CLOSED) answerEnded();
  });
  showAnswer();
}

function answerEnded() {
  answer.state = answer.whole ? 'complete' : answer.words ? 'broken' : 'gone';
  if (answer.whole) announce(`The answer: ${answer.text}`);
  // Not at once: streams break off as well when a page is left, to be loaded again.
  else setTimeout(() => { if (answer.state === 'broken' || answer.state === 'gone') remembered.clear(); }, 2000);
}

// A lost connection has words of its own.
setInterval(() => {
  if (answer.state === 'coming' && !answer.whole && !answerLost && Date.now() - wordAt > STALLED) answer.state = 'stalled';
  if (answer.state === 'stalled') showAnswer();
}, 500);

function showAnswer() {
  const box = $('answer'), text = $('answer-text');
  const follows = text.scrollHeight - text.scrollTop - text.clientHeight < 32;
  box.hidden = false;
  box.dataset.state = answer.state;
  setText(text, answer.text);
  if (follows) text.scrollTop = text.scrollHeight;
  const words = count(answer.words, 'word');
  const again = answer.again > 1 ? `, ${Math.min(answer.again, answer.words)} of them again after a reload` : '';
  setText($('answer-state'), {
    coming: answer.whole ? `${words}${again}; asking whether there is more` : answerLost ? `${words}; the connection is lost, trying again` : `${words}${again} …`,
    stalled: `✕ ${words}${again}, and nothing more for ${duration(Date.now() - wordAt)}.${awaySince ? ` The store behind the server is ${away}.` : ''}`,
    complete: `✓ ${words}${again}. The topic has ended, the answer is 204, and the browser asks no more.`,
    broken: `✕ ${words}, and then it broke off. The server has no more of it.`,
    gone: 'The last answer is kept no more.',
  }[answer.state]);
}

$('ask').addEventListener('click', async () => {
  $('unasked').hidden = true;
  $('ask').disabled = true;
  try {
    const reply = await fetch('ask', { method: 'POST', signal: AbortSignal.timeout(15000) });
    if (reply.ok) {
      const url = reply.headers.get('Location');
      remembered.set(url);
      listen(url);
    } else {
      const reason = (await reply.text()).trim().slice(0, 300);
      refuse('unasked', `No answer: ${reason || `the server answered ${reply.status}`}`, true);
    }
  } catch (error) {
    refuse('unasked', `No answer: ${error.name === 'TimeoutError' ? 'none within 15 seconds.' : 'the server cannot be reached.'}`, true);
  }
  $('ask').disabled = false;
});
if (remembered.get()) listen(remembered.get());
