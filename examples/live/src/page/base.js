'use strict';
/*
 * window.live says what has happened, for tests and for the curious:
 *   state        'connecting', 'live', 'silent', 'waiting' where the store behind the server takes nothing, or
 *                'lost', as the head of the page shows it
 *   client,name  who this page is
 *   connections  how often the stream was begun
 *   leads        whether this tab has the connection, which all tabs share
 *   losses       how often a stream that had begun was lost
 *   gaps         how often the server said in the middle of a stream that events are missing
 *   resumes      how each connection went on: { stream, replayed, lost, reason, lostFor }, the first
 *                four as the server said them, lostFor in ms, null where nothing had been lost; the
 *                latest 100
 *   received     what was received, oldest first: { id, type, data, replayed }, data cut after 200
 *                characters; the latest 2000
 *   forgotten    how many have left the front of `received`
 *   changes      who came, went, or opened and closed tabs, as told by events; the latest 100
 *   answer       the answer that was asked for last: { url, text, words, again, whole, connections,
 *                state }, where again is how many events came at once when the page was loaded, whole
 *                whether none of the words is missing, and state 'coming', 'stalled' when no word has
 *                come for long, 'complete' when the browser was told that there is no more, 'broken'
 *                or 'gone'
 *   malformed    how many events were not what their type promises
 */
const live = window.live = {
  state: 'connecting', client: '', name: '', connections: 0, leads: false, losses: 0, gaps: 0,
  resumes: [], received: [], forgotten: 0, changes: [], malformed: 0,
  answer: { url: '', text: '', words: 0, again: 0, whole: false, connections: 0, state: '' },
};

const $ = id => document.getElementById(id);
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const count = (n, one, many = one + 's') => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
const still = matchMedia('(prefers-reduced-motion: reduce)');

function duration(ms) {
  const s = ms / 1000;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  const [big, unit, small, part] = minutes < 60 ? [minutes, 'min', Math.floor(s % 60), 's'] : [Math.floor(minutes / 60), 'h', minutes % 60, 'min'];
  return small ? `${big} ${unit} ${small} ${part}` : `${big} ${unit}`;
}
function ago(ms) {
  const s = ms / 1000;
  if (s < 10) return 'now';
  if (s < 60) return `${Math.floor(s / 10) * 10} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}
function scaled(value, step, units) {
  let unit = 0;
  while (Math.abs(value) >= step * .9995 && unit < units.length - 1) { value /= step; unit += 1; }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : +value.toFixed(1)}\u00a0${units[unit]}`;
}
const bytes = value => scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
const rate = value => scaled(value, 1000, ['B/s', 'kB/s', 'MB/s', 'GB/s']);
const percent = value => `${Math.round(value)}\u00a0%`;

/* ---- Who this page is: one client for all tabs of a browser ---- */

const store = {
  get(key) { try { return localStorage.getItem(`live.${key}`); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(`live.${key}`, value); } catch { /* private window: this tab only */ } },
};
function newClientId() {
  // crypto.randomUUID is missing where the page is served without TLS to another machine.
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), b => b.toString(16).padStart(2, '0')).join('');
}
live.client = store.get('client') || newClientId();
store.set('client', live.client);
const guestName = `guest-${live.client.slice(0, 4)}`;
live.name = store.get('name') || guestName;
$('name').value = live.name;

function rename(name) {
  name = [...name.trim()].slice(0, 40).join('') || guestName;
  $('name').value = name;
  if (name === live.name) return;
  live.name = name;
  // The server learns it with a new connection, which one tab has.
  if (source.leads) source.reconnect();
}
$('rename').addEventListener('submit', event => {
  event.preventDefault();
  rename($('name').value);
  store.set('name', live.name);
});
addEventListener('storage', event => {
  if (event.key === 'live.name' && event.newValue) rename(event.newValue);
});

