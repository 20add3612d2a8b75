// `shared-event-source.js` in virtual time: tabs that come, go, hang and freeze, a network that cuts,
// locks and channels that take their time, all by chance. Each tab must get every event from where it
// joined, once and in order, and in the end one tab must have the one connection. Every other seed has
// tabs that hang and freeze. There it may be that nobody is left who knows how to go on; then each hole
// must be told.
//
//     node simulation.mjs <file> <first seed> <seeds>
//
// It prints the seed with which it fails.

import { readFileSync } from 'node:fs';

const [file, first, seeds] = process.argv.slice(2);
const source = readFileSync(file, 'utf8');
const NAME = 'lock';

/* ---- Chance and time ---- */

function chance(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return { next, below: n => Math.floor(next() * n) };
}

class World {
  constructor(seed) {
    this.random = chance(seed);
    this.now = 1e12;
    this.queue = [];
    this.order = 0;
    this.tabs = [];
    this.server = new FakeServer(this);
    this.locks = new FakeLocks(this);
  }
  // For a tab: not while it hangs or is frozen, and not at all once it is closed.
  at(delay, act, tab = null) { this.queue.push({ time: this.now + delay, order: this.order++, act, tab }); }
  async run(until) {
    for (;;) {
      let best = null;
      for (const task of this.queue) {
        const time = Math.max(task.time, task.tab?.busyUntil ?? 0);
        if (time > until) continue;
        if (!best || time < best.time || time === best.time && task.order < best.task.order) best = { time, task };
      }
      if (!best) break;
      this.queue.splice(this.queue.indexOf(best.task), 1);
      if (best.task.tab?.closed) continue;
      this.now = Math.max(this.now, best.time);
      best.task.act();
      // What was promised happens within the same task.
      for (let i = 0; i < 6; i += 1) await null;
      await new Promise(setImmediate);
    }
    this.now = until;
  }
  latency() { return this.random.next() < .9 ? this.random.below(5) : this.random.below(60); }
}

/* ---- What browsers bring ---- */

class FakeServer {
  constructor(world) { this.world = world; this.log = []; this.open = new Set(); this.asked = 0; }
  publish() {
    const number = this.log.length + 1;
    this.log.push(number);
    for (const connection of this.open) connection.send('message', String(number), String(number));
  }
  cut() { for (const connection of this.open) connection.cut(); }
  accept(connection, id) {
    this.asked += 1;
    this.open.add(connection);
    const place = id === '' ? this.log.length : Number(id);
    const missed = this.log.slice(place);
    const stream = id === '' ? 'live' : 'complete';
    connection.send('sansse-notice', JSON.stringify({ stream, replayed: missed.length, lost: 0, reason: null }), String(place));
    for (const number of missed) connection.send('message', String(number), String(number));
  }
}

class FakeLocks {
  constructor(world) { this.world = world; this.held = null; this.pending = []; }
  grant() {
    if (this.held || !this.pending.length) return;
    const request = this.held = this.pending.shift();
    this.world.at(this.world.latency(), () => {
      if (this.held !== request) return;
      Promise.resolve(request.callback({ name: NAME })).then(() => this.free(request, request.resolve), error => this.free(request, () => request.reject(error)));
    }, request.tab);
  }
  free(request, settle) {
    settle();
    if (this.held === request) { this.held = null; this.grant(); }
  }
  gone(tab) {
    this.pending = this.pending.filter(request => request.tab !== tab);
    if (this.held?.tab === tab) { this.held = null; this.world.at(this.world.latency(), () => this.grant()); }
  }
  of(tab) {
    const world = this.world;
    return {
      request: (name, { signal, steal }, callback) => new Promise((resolve, reject) => {
        const request = { tab, callback, resolve, reject };
        const fail = () => reject(new DOMException('gone', 'AbortError'));
        signal?.addEventListener('abort', () => {
          if (!this.pending.includes(request)) return;
          this.pending.splice(this.pending.indexOf(request), 1);
          fail();
        });
        world.at(world.latency(), () => {
          if (signal?.aborted) return fail();
          if (steal) {
            const robbed = this.held;
            this.held = null;
            if (robbed) world.at(world.latency(), () => robbed.reject(new DOMException('stolen', 'AbortError')), robbed.tab);
            this.pending.unshift(request);
          } else this.pending.push(request);
          this.grant();
        });
      }),
      query: () => new Promise(resolve => world.at(world.latency(), () => {
        const pending = this.pending.map(() => ({ name: NAME })), held = this.held ? [{ name: NAME }] : [];
        world.at(world.latency(), () => resolve({ held, pending }), tab);
      })),
    };
  }
}

function channelOf(world, tab) {
  return class {
    #closed = false;
    constructor() { tab.channel = this; this.arrivals = new Map(); }
    postMessage(message) {
      if (this.#closed) throw new Error('the channel is closed');
      const copy = structuredClone(message);
      for (const other of world.tabs) {
        const channel = other.channel;
        if (other === tab || !channel) continue;
        // One after the other, from each to each.
        const time = Math.max(world.now + world.latency(), this.arrivals.get(other) ?? 0);
        this.arrivals.set(other, time);
        world.at(time - world.now, () => { if (other.channel === channel) channel.onmessage?.({ data: copy }); }, other);
      }
    }
    close() { this.#closed = true; if (tab.channel === this) tab.channel = null; }
  };
}

function eventSourceOf(world, tab) {
  return class FakeEventSource extends EventTarget {
    constructor(url) {
      super();
      this.readyState = 0;
      this.id = url.searchParams.get('lastEventId') ?? '';
      tab.sources.add(this);
      this.connect();
    }
    connect() {
      const attempt = this.attempt = {};
      let last = 0;
      const soon = act => {
        last = Math.max(world.now + world.latency(), last);
        world.at(last - world.now, () => { if (this.attempt === attempt) act(); }, tab);
      };
      const connection = this.connection = {
        send: (type, data, id) => soon(() => {
          this.id = id;
          this.dispatchEvent(new MessageEvent(type, { data, lastEventId: id, origin: 'http://x' }));
        }),
        cut: () => {
          world.server.open.delete(connection);
          // What is on its way is lost.
          const cutOff = this.attempt = {};
          world.at(world.latency(), () => {
            if (this.attempt !== cutOff) return;
            this.readyState = 0;
            this.onerror?.(new Event('error'));
            world.at(200, () => { if (this.attempt === cutOff) this.connect(); }, tab);
          }, tab);
        },
      };
      world.at(world.latency(), () => {
        if (this.attempt !== attempt) return;
        soon(() => { this.readyState = 1; this.onopen?.(new Event('open')); });
        world.server.accept(connection, this.id);
      });
    }
    close() {
      this.attempt = null;
      this.readyState = 2;
      world.server.open.delete(this.connection);
      tab.sources.delete(this);
    }
  };
}

class Tab {
  constructor(world, number) {
    Object.assign(this, { world, number, closed: false, busyUntil: 0, frozen: false, channel: null, sources: new Set(), seen: [], notices: [], errors: 0, told: [] });
    const windowEvents = new EventTarget(), documentEvents = new EventTarget();
    this.documentEvents = documentEvents;
    const timers = new Map();
    let timer = 0;
    const again = (id, delay, act) => world.at(delay, () => { if (timers.has(id)) { act(); again(id, delay, act); } }, this);
    const scope = {
      navigator: { locks: world.locks.of(this) },
      BroadcastChannel: channelOf(world, this),
      EventSource: eventSourceOf(world, this),
      document: Object.assign(documentEvents, { baseURI: 'http://x/' }),
      addEventListener: windowEvents.addEventListener.bind(windowEvents),
      removeEventListener: windowEvents.removeEventListener.bind(windowEvents),
      crypto: { getRandomValues: bytes => bytes.map(() => world.random.below(256)) },
      Math: Object.assign(Object.create(Math), { random: world.random.next, min: Math.min, max: Math.max }),
      Date: { now: () => world.now },
      setTimeout: (act, delay = 0) => world.at(delay, act, this),
      setInterval: (act, delay) => { timers.set(timer += 1, true); again(timer, delay, act); return timer; },
      clearInterval: id => timers.delete(id),
    };
    scope.globalThis = scope;
    const Class = new Function(...Object.keys(scope), `${source}; return SharedEventSource;`)(...Object.values(scope));
    this.source = new Class('events', { name: NAME, keep: { message: 20 } });
    this.source.onmessage = event => this.seen.push(Number(event.data));
    this.source.onerror = () => { this.errors += 1; };
    this.source.addEventListener('sansse-notice', event => this.notices.push(JSON.parse(event.data)));
  }
  close() {
    // As when its process dies: without a word.
    this.closed = true;
    for (const source of [...this.sources]) source.close();
    this.channel = null;
    this.world.locks.gone(this);
  }
  hang(time) { this.busyUntil = Math.max(this.busyUntil, this.world.now + time); }
  freeze(time) {
    this.documentEvents.dispatchEvent(new Event('freeze'));
    this.hang(time);
    this.world.at(time, () => this.documentEvents.dispatchEvent(new Event('resume')), this);
  }
}

/* ---- A run ---- */

const sum = { asked: 0, tabs: 0, total: 0, gaps: 0 };

async function run(seed) {
  const world = new World(seed), { random } = world;
  const hangs = seed % 2 === 0;
  const start = world.now;
  const living = () => world.tabs.filter(tab => !tab.closed);
  const idle = () => living().filter(tab => tab.busyUntil <= world.now);
  const pick = list => list[random.below(list.length)];
  let number = 0;
  for (let time = 0; time < 60000;) {
    time += random.below(700);
    await world.run(start + time);
    const what = random.below(100);
    if (what < 60) for (let i = random.below(6); i >= 0; i -= 1) world.server.publish();
    else if (what < 72 && living().length < 6) world.tabs.push(new Tab(world, number += 1));
    else if (what < 80 && living().length > 1) pick(living()).close();
    else if (what < 85 && hangs && idle().length) pick(idle()).hang(random.below(15000));
    else if (what < 90 && hangs && idle().length) pick(idle()).freeze(random.below(15000));
    else if (what < 96) world.server.cut();
  }
  if (!living().length) world.tabs.push(new Tab(world, number += 1));
  // All calms down, whoever hangs wakes up, and everybody has what was published last.
  await world.run(start + 120000);
  for (let i = 0; i < 5; i += 1) world.server.publish();
  await world.run(start + 130000);
  const total = world.server.log.length, wrong = [];
  for (const tab of living()) {
    const { seen } = tab;
    const breaks = seen.filter((event, at) => at > 0 && event !== seen[at - 1] + 1).length;
    const gaps = tab.notices.filter(notice => notice.lost !== 0).length;
    if (new Set(seen).size < seen.length) wrong.push(`tab ${tab.number}: something came twice: ${brief(seen)} of ${total}`);
    if (seen[seen.length - 1] !== total) wrong.push(`tab ${tab.number}: not to the end: ${brief(seen)} of ${total}`);
    // What was skipped, where it lost its place, and where it goes on after what it had.
    if (hangs ? breaks > 2 * gaps : breaks || gaps) wrong.push(`tab ${tab.number}: ${gaps} gaps told: ${brief(seen)} of ${total}`);
    sum.gaps += gaps;
    if (tab.source.readyState !== 1) wrong.push(`tab ${tab.number}: state ${tab.source.readyState}`);
  }
  const leads = living().filter(tab => tab.source.leads).length;
  if (leads !== 1) wrong.push(`${leads} tabs lead`);
  if (world.server.open.size !== 1) wrong.push(`${world.server.open.size} connections`);
  return { wrong, asked: world.server.asked, tabs: number, total };
}

// The places where it is not the next number.
function brief(seen) {
  const parts = [];
  seen.forEach((event, at) => { if (at === 0 || event !== seen[at - 1] + 1) parts.push(`${at ? `${seen[at - 1]}, ` : ''}${event}`); });
  return `${parts.join(' | ')} … ${seen[seen.length - 1]}`;
}

for (let seed = Number(first); seed < Number(first) + Number(seeds); seed += 1) {
  const { wrong, ...did } = await run(seed);
  for (const key of Object.keys(did)) sum[key] += did[key];
  if (wrong.length) {
    console.log(`seed ${seed}:\n${wrong.join('\n')}`);
    process.exit(1);
  }
}
console.log(`${seeds} runs: ${sum.tabs} tabs, ${sum.total} events, ${sum.asked} connections, ${sum.gaps} gaps told`);
