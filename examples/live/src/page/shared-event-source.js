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
 * when the tab is closed, crashes or is frozen, the next one leads. It asks the server for what comes
 * after the last event that it was told (BroadcastChannel), so that no event is lost, as far as the
 * server keeps what it published. None comes twice: a tab that was told more than the one that leads
 * now knows what will come again. A change of the leading tab fires `open` in all tabs, and no
 * `error`. A leading tab that answers nobody, since it hangs, loses the lock to another.
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

  // What this tab was told: its place in the stream, and what led to it.
  #joined = false;
  #lastEventId = '';
  #log = [];                 // { number, type, data, id, origin }, oldest first, numbered by this tab
  #number = 0;
  #whole = 1;                // from this number on, the log has all that came
  #characters = 0;
  #again = [];               // what the leading tab is still to be told, and this one was told already
  #had = new Set();          // what this tab was told before it lost its place

  #source = null;            // the connection, in the leading tab
  #leader = '';              // the tab that is followed
  #term = 0;                 // which of all leading tabs that is
  #aligned = false;          // what the leading tab tells comes next here
  #question = 0;             // the latest, since only its answer fits
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
    if (this.#joined) this.#lead();
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
        this.#question += 1;
        this.#tell({ kind: 'ask', heir: true, question: this.#question, place: null, types: [...this.#types] });
      });
    }
    if (this.#release === release && this.#channel) this.#lead();
  }

  /* ---- Leading ---- */

  #lead() {
    this.#joined = this.#aligned = true;
    this.#leader = this.#me;
    this.#term += 1;
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
    const entry = { type: event.type, data: event.data, id: event.lastEventId, origin: event.origin };
    // The others first, since a listener here may do anything.
    this.#tell({ kind: 'event', entry });
    this.#see(entry);
  };

  #turn(readyState, type) {
    this.#tell({ kind: 'state', readyState, type });
    this.#become(readyState, type);
  }

  #announce() { this.#tell({ kind: 'lead', readyState: this.#readyState }); }

  #isAsked({ from, question, term, heir, leader, place }) {
    // An heir holds the lock. The others are to say what they know.
    if (heir ? !this.#joined : !this.leads) return;
    // A tab that has followed a later one would take no word from this one.
    if (!heir && term > this.#term) { this.#raise(term); return; }
    // Channels lose nothing and keep the order, so that a tab that follows need not say where it is.
    if (leader === this.#me && term === this.#term) { this.#announce(); return; }
    const answer = { kind: 'answer', to: from, question, readyState: this.#readyState, place: this.#place(), types: [...this.#types] };
    const at = place ? this.#find(place) : -1;
    if (at < 0) {
      this.#tell({ ...answer, log: this.#log, whole: this.#whole, kept: this.#kept(), snapshot: this.#options.snapshot() });
      return;
    }
    const events = this.#log.slice(at);
    const before = this.#log[at - 1]?.number ?? 0;
    const isKnown = at === this.#log.length || before >= this.#whole - 1;
    this.#tell({ ...answer, events, lost: isKnown ? this.#number - before - events.length : null });
  }

  #raise(term) {
    this.#term = term + 1;
    this.#announce();
  }

  async #dispute(term) {
    // A tab whose lock was stolen is told by then.
    await navigator.locks.query();
    await new Promise(done => { setTimeout(done, 0); });
    if (this.leads && term >= this.#term) this.#raise(term);
  }

  /* ---- Following ---- */

  #tell(message) {
    this.#channel?.postMessage({ ...message, from: this.#me, term: this.#term });
  }

  #ask() {
    this.#askedLast = Date.now();
    if (!this.#asked) {
      this.#asked = this.#askedLast;
      // Not all at once, where all wait for the same, and those first who know where to go on.
      this.#grace = this.#options.patience * (this.#joined ? 1 + Math.random() / 2 : 3);
    }
    this.#question += 1;
    this.#tell({
      kind: 'ask', question: this.#question, leader: this.#aligned ? this.#leader : '',
      place: this.#joined ? this.#place() : null, types: [...this.#types],
    });
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
      case 'answer': if (this.#heirs) this.#learn(message); else this.#follow(message); break;
      case 'lead': case 'state': case 'event': this.#follow(message); break;
    }
  }

  #learn(message) {
    if (message.question !== this.#question) return;
    this.#term = Math.max(this.#term, message.term);
    if (message.kept.length) this.#become(1, 'open');
    this.#adopt(message);
    this.#heirs();
  }

  #follow(message) {
    if (this.leads || this.#release) {
      if (message.term >= this.#term) this.#dispute(message.term);
      return;
    }
    if (message.term < this.#term) return;
    const other = message.term > this.#term || message.from !== this.#leader;
    // Of two with one term, the one counts that came last to say that it leads.
    if (other && message.term === this.#term && message.kind !== 'lead' && this.#leader) return;
    this.#heard = Date.now();
    this.#asked = 0;
    if (other) {
      // Until that tab has said what comes next, nothing that it tells fits.
      this.#term = message.term;
      this.#leader = message.from;
      this.#aligned = false;
      this.#again = [];
    }
    switch (message.kind) {
      case 'answer':
        if (!this.#aligned && message.question === this.#question) this.#align(message);
        break;
      case 'lead':
        this.#quietly(message.readyState);
        if (!this.#aligned) this.#ask();
        break;
      case 'state': if (this.#aligned) this.#become(message.readyState, message.type); break;
      case 'event': if (this.#aligned) this.#see(message.entry); break;
    }
    if (other && !this.#aligned && message.kind !== 'lead') this.#ask();
  }

  // Takes up what the leading tab tells at the place where this one is.
  #align(message) {
    const { place, events, lost, readyState } = message;
    this.#aligned = true;
    if (this.#readyState !== 1 && (readyState === 1 || !this.#joined && message.kept.length)) this.#become(1, 'open');
    if (!this.#joined) {
      this.#adopt(message);
    } else if (events) {
      if (lost !== 0) this.#say({ stream: 'gap', replayed: events.length, lost, reason: 'lag' });
      for (const entry of events) this.#see(entry);
    } else {
      // This tab was told more than that one, or they have nothing in common.
      const at = this.#find(place);
      if (at >= 0) this.#again = this.#log.slice(at).filter(entry => entry.id !== place.id && !this.#isNotice(entry));
      else this.#adopt(message);
    }
    if (readyState === 2 && this.#readyState !== 2) this.#become(2, 'error');
    else this.#quietly(readyState);
  }

  // Takes over what another tab knows, instead of what this one knew.
  #adopt({ log, whole, kept, snapshot, place }) {
    const isNew = !this.#joined;
    const had = this.#had = new Set([...this.#had, ...this.#log.map(SharedEventSource.#mark)].slice(-8 * SharedEventSource.#RECENT));
    this.#joined = true;
    this.#log = log;
    this.#whole = whole;
    this.#number = log.at(-1)?.number ?? 0;
    this.#characters = log.reduce((sum, entry) => sum + entry.data.length, 0);
    this.#lastEventId = place.id;
    // What comes before something that this tab had is older than that.
    const events = kept.slice(kept.findLastIndex(entry => had.has(SharedEventSource.#mark(entry))) + 1);
    // Where nothing has come yet, or no stream is there, the server's own words are still to come.
    if (isNew && (!log.length || this.#readyState !== 1)) return;
    this.#say(isNew
      ? { stream: 'kept', replayed: events.length, lost: 0, reason: null }
      : { stream: 'gap', replayed: events.length, lost: null, reason: 'lag' });
    for (const entry of events) this.#fire(entry);
    for (const { type, data } of snapshot) this.#fire({ type, data, id: this.#lastEventId, origin: this.#target().origin });
  }

  /* ---- What listeners get ---- */

  #see(entry) {
    if (this.#again.length && this.#isNotice(entry)) {
      // It tells the place of the leading tab. This one is further.
      this.#fire({ ...entry, data: this.#withoutAgain(entry.data) });
      return;
    }
    const mark = SharedEventSource.#mark(entry);
    const at = this.#again.findIndex(seen => SharedEventSource.#mark(seen) === mark);
    this.#again = at < 0 ? [] : this.#again.slice(at + 1);
    if (at >= 0) return;
    this.#lastEventId = entry.id;
    this.#remember(entry);
    if (!this.#had.has(mark)) this.#fire(entry);
  }

  // Of what the server sends again, this tab's listeners have had some.
  #withoutAgain(data) {
    try {
      const notice = JSON.parse(data);
      if (!notice.replayed) return data;
      return JSON.stringify({ ...notice, replayed: Math.max(0, notice.replayed - this.#again.length) });
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

  static #mark({ id, type, data }) { return JSON.stringify([id, type, data]); }

  #isNotice(entry) { return entry.type === this.#options.notices; }

  // Where this tab is: the last id, and how many events came with it, since events without an id of
  // their own have that of the one before.
  #place() {
    let count = 0;
    for (let at = this.#log.length - 1; at >= 0 && this.#log[at].id === this.#lastEventId; at -= 1) {
      if (!this.#isNotice(this.#log[at])) count += 1;
    }
    return { id: this.#lastEventId, count: Math.max(count, 1) };
  }

  // Where in the log that comes next which a tab at this place was not told; -1 if nobody can say.
  #find({ id, count }) {
    // Without ids there are no places. What comes from now on is all that such a stream promises.
    if (id === '') return this.#lastEventId === '' ? this.#log.length : -1;
    const last = this.#log.findLastIndex(entry => entry.id === id);
    if (last < 0) return -1;
    let at = last;
    while (at > 0 && this.#log[at - 1].id === id) at -= 1;
    for (let left = count; at <= last && left > 0; at += 1) if (!this.#isNotice(this.#log[at])) left -= 1;
    return at;
  }

  #most(type) { return this.#options.keep[type] ?? 100; }

  #remember(entry) {
    this.#number += 1;
    this.#log.push({ ...entry, number: this.#number });
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
    this.#whole = Math.max(this.#whole, this.#number - SharedEventSource.#RECENT + 1, log[0]?.number ?? 0);
  }

  #kept() {
    const counts = new Map();
    return this.#log.toReversed().filter(({ type }) => {
      counts.set(type, (counts.get(type) ?? 0) + 1);
      return type !== this.#options.notices && counts.get(type) <= this.#most(type);
    }).reverse();
  }
}
