/*
 * SharedEventSource: an EventSource that all tabs of a site share.
 *
 * A browser opens at most six connections to one host over HTTP/1.1. Six tabs with an EventSource
 * each leave none for anything else. With this class one tab, the leading one, has the connection,
 * and tells the others what arrives:
 *
 *     const source = new SharedEventSource('events');
 *     source.addEventListener('chat', event => show(event.data));
 *
 * It has what EventSource has: `onopen`, `onmessage`, `onerror`, `addEventListener`, `readyState`,
 * `url`, `withCredentials`, `close()`, and the same constants. Beyond it:
 *
 *   leads        whether this tab has the connection
 *   shared       whether tabs can share here at all
 *   reconnect()  opens the connection anew, whichever tab has it, also after the server closed it
 *
 * and these options, beside `withCredentials`:
 *
 *   name         the tabs with the same name share one connection; default: the first URL
 *   keep         how many of the latest events of each type a tab gets that joins late, such as
 *                { chat: 80, price: 1 }; default 100 of each type that is not named
 *   snapshot     a function that returns [{ type, data }, ...]: what else a tab needs that joins
 *                late, as events. It is called in the leading tab, whose listeners have seen the
 *                same events as the joining one will have, so that what they know is right for it
 *   resume       (url, id) => url: puts the last event id into the URL with which another tab goes
 *                on, since only EventSource itself can send the header; default: `lastEventId=<id>`
 *                in the query, which sansse reads
 *   notices      the type of the server's events about the stream; default 'sansse-notice'
 *   patience     for how many milliseconds the leading tab may be silent when it is asked; default
 *                5000. After that another takes over
 *
 * The URL may be a function that returns it, which is called for each new connection.
 *
 * How it works. The leading tab holds a lock (Web Locks), and the others stand in line for it. So
 * when the tab is closed, crashes or is frozen, the next one leads. It goes on after the last event
 * that it was told (BroadcastChannel), and the server sends again what came after that. No event is
 * lost, as far as the server keeps what it published, and none comes twice: each event has a number
 * in the sharing, and a tab that was told more than the one that now leads knows what comes again
 * by id, type and data. A change of the leading tab fires `open` in all tabs, and no `error`. A
 * leading tab that answers nobody, since it is stopped in a way that it is not told of, loses the
 * lock to another.
 *
 * A tab that joins gets `open`, a notice {"stream":"kept","replayed":n,...} as from the server, the
 * n events that are kept, and the snapshot. A tab that was away so long that the others no longer
 * have what it missed gets a notice {"stream":"gap",...}, which says how many events it lacks.
 *
 * Where there are no Web Locks (they need a secure context: https, or this machine) or no
 * BroadcastChannel, each tab has a connection of its own. Events without an id cannot be resumed,
 * here as in EventSource. The tabs are trusted: they are of one origin. In a module, write `export`
 * before `class`.
 */
class SharedEventSource extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  get CONNECTING() { return 0; }
  get OPEN() { return 1; }
  get CLOSED() { return 2; }

  // What tabs can be behind without a gap, and how many characters all that is remembered may have.
  static #RECENT = 512;
  static #MOST_CHARACTERS = 8 << 20;

  #options;
  #makeUrl;
  #url;
  #name;
  #me = Array.from(crypto.getRandomValues(new Uint8Array(8)), byte => byte.toString(16).padStart(2, '0')).join('');
  #readyState = 0;
  #handlers = new Map();
  #types;

  // Events are numbered within a line of leading tabs, each of which has a term. The numbers after
  // the one with which a term begins may have been given by the term before, to other events.
  #line = '';
  #ruling = 0;               // the term of the tab that leads
  #term = 0;                 // the term that gave the last number that was seen
  #begins = new Map();       // term: the number before its first event
  #number = 0;               // of the last event that was seen
  #lastEventId = '';
  #log = [];                 // what is remembered: { number, type, data, id, origin }, oldest first
  #characters = 0;
  #again = [];               // what was seen of an earlier term, and may come again

  #source = null;            // the connection, in the leading tab
  #leader = '';              // the tab that is followed
  #aligned = false;          // the next event that the leading tab tells is the next one here
  #channel = null;
  #wait = null;              // stands in line for the lock
  #release = null;           // lets go of the lock
  #timer = 0;
  #heard = 0;                // when the leading tab was heard last
  #asked = 0;                // when it was asked first, and has not answered since
  #askedLast = 0;
  #grace = 0;                // how long it may take to answer
  #ticked = 0;               // when the timer came last
  #heirs = null;             // what to do when another tab says what it knows

  constructor(url, options = {}) {
    super();
    this.#options = {
      withCredentials: false, keep: {}, snapshot: () => [], notices: 'sansse-notice', patience: 5000,
      resume: (target, id) => { target.searchParams.set('lastEventId', id); return target; },
      ...options,
    };
    this.#makeUrl = typeof url === 'function' ? url : () => url;
    this.#url = this.#target().href;
    this.#name = `shared-event-source:${options.name ?? this.#url}`;
    this.#types = new Set([this.#options.notices]);
    addEventListener('pagehide', this.#stop);
    addEventListener('pageshow', this.#start);
    document.addEventListener('freeze', this.#stop);
    document.addEventListener('resume', this.#start);
    this.#start();
  }

  get url() { return this.#url; }
  get withCredentials() { return this.#options.withCredentials; }
  get readyState() { return this.#readyState; }
  get leads() { return this.#source !== null; }
  get shared() { return Boolean(globalThis.navigator?.locks && globalThis.BroadcastChannel); }

  get onopen() { return this.#handlers.get('open') ?? null; }
  get onmessage() { return this.#handlers.get('message') ?? null; }
  get onerror() { return this.#handlers.get('error') ?? null; }
  set onopen(handler) { this.#setHandler('open', handler); }
  set onmessage(handler) { this.#setHandler('message', handler); }
  set onerror(handler) { this.#setHandler('error', handler); }

  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
    this.#listenFor([String(type)]);
  }

  close() {
    removeEventListener('pagehide', this.#stop);
    removeEventListener('pageshow', this.#start);
    document.removeEventListener('freeze', this.#stop);
    document.removeEventListener('resume', this.#start);
    this.#stop();
    this.#readyState = 2;
  }

  reconnect() {
    if (this.leads) this.#connect();
    else this.#tell({ kind: 'reconnect' });
  }

  /* ---- Coming and going ---- */

  #start = () => {
    if (this.#channel || this.leads) return;
    if (this.#readyState === 2) this.#readyState = 0;
    if (!this.shared) { this.#lead(); return; }
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = message => this.#receive(message.data);
    this.#aligned = false;
    this.#stand();
    this.#ask();
    this.#timer = setInterval(() => this.#watch(), Math.min(1000, this.#options.patience / 5));
  };

  // Leaves the sharing, for good or until the page is shown or thawed again. What it knows it keeps.
  #stop = () => {
    this.#resign();
    this.#wait?.abort();
    this.#channel?.close();
    this.#channel = null;
    clearInterval(this.#timer);
  };

  #stand() {
    const wait = this.#wait = new AbortController();
    navigator.locks.request(this.#name, { signal: wait.signal }, () => this.#hold()).catch(() => this.#lost(wait));
  }

  #steal() {
    this.#wait?.abort();
    const wait = this.#wait = new AbortController();
    navigator.locks.request(this.#name, { steal: true }, () => this.#hold()).catch(() => this.#lost(wait));
  }

  #hold() {
    if (!this.#channel) return null;
    const held = new Promise(release => { this.#release = release; });
    if (this.#line) this.#lead();
    else this.#inherit();
    return held;
  }

  // Another tab has stolen the lock, since this one was silent for long. (Or this one stands in
  // line no more, by its own doing.)
  #lost(wait) {
    if (wait !== this.#wait || wait.signal.aborted || !this.#channel) return;
    this.#resign();
    this.#stand();
    this.#ask();
  }

  #resign() {
    this.#source?.close();
    this.#source = null;
    this.#release?.();
    this.#release = null;
    this.#heirs = null;
    if (this.#readyState === 1) this.#readyState = 0;
  }

  // This tab leads before it was told anything. If there are others, they may know more.
  async #inherit() {
    const release = this.#release;
    const { pending } = await navigator.locks.query();
    if (pending.some(lock => lock.name === this.#name)) {
      await new Promise(done => {
        this.#heirs = done;
        setTimeout(done, this.#options.patience);
        this.#tell({ kind: 'ask', heir: true, types: [...this.#types] });
      });
    }
    if (this.#release === release && this.#channel) this.#lead();
  }

  /* ---- Leading ---- */

  #lead() {
    this.#line ||= this.#me;
    this.#term = this.#ruling += 1;
    this.#leader = this.#me;
    this.#aligned = true;
    this.#begins.set(this.#term, this.#number);
    for (const term of this.#begins.keys()) if (term <= this.#term - 32) this.#begins.delete(term);
    this.#again = [];
    this.#heirs = null;
    this.#connect();
  }

  #connect() {
    this.#source?.close();
    let target = this.#target();
    this.#url = target.href;
    if (this.#lastEventId) target = this.#options.resume(target, this.#lastEventId);
    const source = this.#source = new EventSource(target, { withCredentials: this.#options.withCredentials });
    this.#readyState = 0;
    source.onopen = () => this.#turn(1, 'open');
    source.onerror = () => this.#turn(source.readyState, 'error');
    for (const type of this.#types) source.addEventListener(type, this.#take);
    this.#announce();
  }

  #target() { return new URL(this.#makeUrl(), document.baseURI); }

  #take = event => {
    // What is left of a connection that was closed comes again with the next one.
    if (event.currentTarget !== this.#source) return;
    const entry = { number: this.#number + 1, type: event.type, data: event.data, id: event.lastEventId, origin: event.origin };
    // The others first, since a listener here may do anything.
    this.#tell({ kind: 'event', entry });
    this.#see(entry);
  };

  #turn(readyState, type) {
    this.#tell({ kind: 'state', readyState, type });
    this.#become(readyState, type);
  }

  #announce() {
    this.#tell({ kind: 'lead', line: this.#line, number: this.#number, readyState: this.#readyState });
  }

  #answer({ from, line, numbered, number, id }) {
    const known = line !== undefined && line === this.#line;
    // What the asking tab saw of its term after the next one began has other numbers now.
    let after = number;
    for (const [later, begin] of this.#begins) if (later > numbered) after = Math.min(after, begin);
    // A term that this tab never heard of numbered otherwise. The id tells the place, if anything does.
    const foreign = !this.#begins.has(numbered);
    const same = foreign && id ? this.#log.findLast(entry => entry.id === id) : undefined;
    if (same) after = same.number;
    const reply = {
      kind: 'past', to: from, line: this.#line, numbered: this.#term, number: this.#number, id: this.#lastEventId, readyState: this.#readyState,
      begins: this.#begins, types: [...this.#types],
    };
    if (known) {
      const events = this.#log.filter(entry => entry.number > after);
      this.#tell({ ...reply, after, events, lost: foreign && !same ? null : this.#number - after - events.length });
    } else {
      this.#tell({ ...reply, events: this.#kept(), snapshot: this.#options.snapshot() });
    }
  }

  /* ---- Following ---- */

  #tell(message) {
    this.#channel?.postMessage({ ...message, from: this.#me, term: this.#ruling });
  }

  #ask() {
    this.#askedLast = Date.now();
    if (!this.#asked) {
      this.#asked = this.#askedLast;
      // Not all at once, where all wait for the same, and those first who know where to go on.
      this.#grace = this.#options.patience * (this.#line ? 1 + Math.random() / 2 : 3);
    }
    const place = this.#line ? { line: this.#line, numbered: this.#term, number: this.#number, id: this.#lastEventId } : {};
    this.#tell({ kind: 'ask', ...place, aligned: this.#aligned, types: [...this.#types] });
  }

  #watch() {
    const now = Date.now(), slept = now - this.#ticked > this.#options.patience;
    this.#ticked = now;
    if (this.leads || this.#release) return;
    const silent = now - this.#heard > this.#options.patience;
    const every = this.#aligned ? this.#options.patience : 1000;
    // After a sleep the answers may still wait to be read, or the other tab may have slept as well.
    if (slept) this.#asked = 0;
    if (this.#asked && now - this.#asked > this.#grace) {
      this.#asked = 0;
      this.#steal();
    } else if ((silent || !this.#aligned) && now - this.#askedLast >= Math.min(every, this.#options.patience)) {
      this.#ask();
    }
  }

  #receive(message) {
    if (message.to !== undefined && message.to !== this.#me) return;
    if (message.types) this.#listenFor(message.types, false);
    switch (message.kind) {
      case 'ask': this.#isAsked(message); break;
      case 'reconnect': if (this.leads) this.#connect(); break;
      case 'past': if (this.#heirs) { this.#learn(message); this.#heirs(); } else this.#follow(message); break;
      case 'lead': case 'state': case 'event': this.#follow(message); break;
    }
  }

  #isAsked(message) {
    if (message.heir) { if (this.#line) this.#answer(message); return; }
    if (!this.leads) return;
    // A tab that has seen a later term would take no word from this one.
    if (message.term > this.#ruling) { this.#raise(message.term); return; }
    const level = message.aligned && message.line === this.#line && message.numbered === this.#term;
    if (level && message.number >= this.#number) this.#announce();
    else this.#answer(message);
  }

  #raise(term) {
    this.#term = this.#ruling = term + 1;
    this.#begins.set(this.#term, this.#number);
    this.#announce();
  }

  async #dispute(term) {
    // A tab whose lock was stolen is told by then.
    await navigator.locks.query();
    await new Promise(done => { setTimeout(done, 0); });
    if (this.leads && term >= this.#ruling) this.#raise(term);
  }

  #follow(message) {
    if (this.leads || this.#release) {
      if (message.term >= this.#ruling) this.#dispute(message.term);
      return;
    }
    if (message.term < this.#ruling) return;
    // Of two with one term, the one counts that came last to say that it leads.
    const other = message.term > this.#ruling || message.from !== this.#leader;
    if (other && message.term === this.#ruling && message.kind !== 'lead' && this.#leader) return;
    this.#heard = Date.now();
    this.#asked = 0;
    this.#ruling = message.term;
    this.#leader = message.from;
    if (message.kind === 'past') { this.#align(message); return; }
    if (other) {
      // Until that tab has said what is to come, nothing that it tells fits.
      this.#aligned = false;
      this.#quietly(message.readyState);
      this.#ask();
      return;
    }
    if (!this.#aligned) return;
    if (message.kind === 'lead') {
      this.#quietly(message.readyState);
      if (message.number > this.#number) { this.#aligned = false; this.#ask(); }
    } else if (message.kind === 'state') {
      this.#become(message.readyState, message.type);
    } else if (message.entry.number === this.#number + 1) {
      this.#see(message.entry);
    } else if (message.entry.number > this.#number) {
      this.#aligned = false;
      this.#ask();
    }
  }

  // Takes over what a tab knows, without a word to the listeners of what happened meanwhile.
  #learn({ line, term, numbered, number, id, events, begins }) {
    this.#ruling = Math.max(this.#ruling, term);
    this.#learnPlace({ line, numbered, begins, number, id });
    this.#log = [];
    this.#characters = 0;
    for (const entry of events) this.#remember(entry);
    if (number > 0) this.#join(events, []);
  }

  #align(message) {
    const { after, events, lost, readyState, snapshot } = message;
    const wasElsewhere = this.#line !== '' && after === undefined;
    if (after === undefined) {
      const seen = new Set(this.#log.map(SharedEventSource.#mark));
      this.#learnPlace(message);
      const fresh = events.filter(entry => !seen.has(SharedEventSource.#mark(entry)));
      this.#log = [];
      this.#characters = 0;
      for (const entry of events) this.#remember(entry);
      const begins = readyState === 1 || events.length > 0;
      if (this.#readyState !== 1 && begins) this.#become(1, 'open');
      // Where nothing has come yet, the server's own words are still to come.
      if (wasElsewhere || begins && message.number > 0) this.#join(fresh, snapshot, wasElsewhere);
    } else {
      if (after < this.#number) {
        const base = this.#log.findLast(entry => entry.number <= after)?.id ?? '';
        const later = this.#log.filter(entry => entry.number > after);
        // What has no id of its own is not sent again.
        this.#again = [...this.#again, ...later.filter(entry => entry.id !== base)].slice(-SharedEventSource.#RECENT);
        this.#log = this.#log.filter(entry => entry.number <= after);
        this.#number = after;
      }
      if (this.#readyState !== 1 && readyState === 1) this.#become(1, 'open');
      if (lost !== 0) this.#say({ stream: 'gap', replayed: events.length, lost, reason: 'lag' });
      for (const entry of events) this.#see(entry);
      this.#learnPlace(message);
    }
    this.#aligned = true;
    if (readyState === 2 && this.#readyState !== 2) this.#become(2, 'error');
    else if (this.#readyState !== readyState) this.#quietly(readyState);
  }

  #learnPlace({ line, numbered, begins, number, id }) {
    this.#line = line;
    this.#term = numbered;
    this.#begins = begins;
    this.#number = number;
    this.#lastEventId = id;
  }

  #join(events, snapshot, wasElsewhere = false) {
    this.#say(wasElsewhere
      ? { stream: 'gap', replayed: events.length, lost: null, reason: 'lag' }
      : { stream: 'kept', replayed: events.length, lost: 0, reason: null });
    for (const entry of events) this.#fire(entry);
    for (const { type, data } of snapshot) this.#fire({ type, data, id: this.#lastEventId, origin: this.#target().origin });
  }

  /* ---- What listeners get ---- */

  #see(entry) {
    this.#number = entry.number;
    this.#lastEventId = entry.id;
    this.#remember(entry);
    if (this.#again.length) {
      if (entry.type === this.#options.notices) {
        this.#fire({ ...entry, data: this.#withoutAgain(entry.data) });
        return;
      }
      const mark = SharedEventSource.#mark(entry);
      const at = this.#again.findIndex(seen => SharedEventSource.#mark(seen) === mark);
      if (at >= 0) { this.#again.splice(0, at + 1); return; }
    }
    this.#fire(entry);
  }

  // Of what the server sends again, this tab's listeners have had some.
  #withoutAgain(data) {
    try {
      const notice = JSON.parse(data);
      if (!notice.replayed) return data;
      const had = this.#again.filter(entry => entry.type !== this.#options.notices).length;
      return JSON.stringify({ ...notice, replayed: Math.max(0, notice.replayed - had) });
    } catch { return data; }
  }

  #say(notice) {
    this.#fire({ type: this.#options.notices, data: JSON.stringify(notice), id: this.#lastEventId, origin: this.#target().origin });
  }

  #fire({ type, data, id, origin }) {
    if (this.#readyState !== 2) this.dispatchEvent(new MessageEvent(type, { data, lastEventId: id, origin }));
  }

  #become(readyState, type) {
    this.#readyState = readyState;
    // What is sent again from now on comes after this tab's place, too.
    if (type === 'error') this.#again = [];
    this.dispatchEvent(new Event(type));
  }

  #quietly(readyState) { if (readyState !== undefined && readyState !== 2) this.#readyState = readyState; }

  #setHandler(type, handler) {
    const before = this.#handlers.get(type);
    if (before) this.removeEventListener(type, before);
    this.#handlers.delete(type);
    if (typeof handler !== 'function') return;
    this.#handlers.set(type, handler);
    this.addEventListener(type, handler);
  }

  #listenFor(types, tell = true) {
    const fresh = types.filter(type => type !== 'open' && type !== 'error' && !this.#types.has(type));
    for (const type of fresh) {
      this.#types.add(type);
      this.#source?.addEventListener(type, this.#take);
    }
    if (tell && fresh.length && !this.leads) this.#tell({ kind: 'types', types: fresh });
  }

  /* ---- What is remembered ---- */

  static #mark(entry) { return JSON.stringify([entry.id, entry.type, entry.data]); }

  #most(type) { return this.#options.keep[type] ?? 100; }

  #remember(entry) {
    this.#log.push(entry);
    this.#characters += entry.data.length;
    const most = SharedEventSource.#RECENT + [...this.#types].reduce((sum, type) => sum + this.#most(type), 0);
    // By half more than is needed, so that it is seldom looked through.
    if (this.#log.length > most * 1.5 || this.#characters > SharedEventSource.#MOST_CHARACTERS * 1.5) this.#forget();
  }

  #forget() {
    const counts = new Map(), log = [];
    let characters = 0;
    for (const entry of this.#log.toReversed()) {
      const count = (counts.get(entry.type) ?? 0) + 1;
      counts.set(entry.type, count);
      const isRecent = entry.number > this.#number - SharedEventSource.#RECENT;
      if (!isRecent && count > this.#most(entry.type)) continue;
      if (characters + entry.data.length > SharedEventSource.#MOST_CHARACTERS) break;
      characters += entry.data.length;
      log.push(entry);
    }
    this.#log = log.reverse();
    this.#characters = characters;
  }

  #kept() {
    const counts = new Map();
    return this.#log.toReversed().filter(({ type }) => {
      counts.set(type, (counts.get(type) ?? 0) + 1);
      return type !== this.#options.notices && counts.get(type) <= this.#most(type);
    }).reverse();
  }
}
