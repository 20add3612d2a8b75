/* ---- People ---- */

function face(client, name) {
  const node = make('span', 'face', ([...name.trim()][0] || '?').toUpperCase());
  let hue = 7;
  for (const letter of client) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  node.style.setProperty('--hue', hue);
  node.setAttribute('aria-hidden', 'true');
  return node;
}

// The list comes whole when the stream begins, or each person by itself where several servers share
// the stream; then one event for each change.
const people = new Map();
let peopleQueued = false;

function allPeople(list) {
  people.clear();
  for (const person of list) people.set(person.client, person);
  showPeopleSoon();
}

// Without a session somebody may be loading the page again, and is still here.
// What is kept of before this page came is no change. Where a list comes, it has all of that.
function onePerson(person, how) {
  if (person.here) people.set(person.client, person); else people.delete(person.client);
  if (how === 'kept') { showPeopleSoon(); return; }
  live.changes.push(person);
  if (live.changes.length > 100) live.changes.shift();
  showPeopleSoon();
}

function showPeopleSoon() {
  if (peopleQueued) return;
  peopleQueued = true;
  setTimeout(() => { peopleQueued = false; showPeople(); }, 50);
}

function showPeople() {
  const names = new Map();
  for (const { name } of people.values()) names.set(name, (names.get(name) || 0) + 1);
  const mine = people.get(live.client);
  const others = [...people.values()].filter(person => person !== mine).sort((a, b) => a.name.localeCompare(b.name) || (a.client < b.client ? -1 : 1));
  const all = mine ? [mine, ...others] : others;
  const before = new Map([...$('people').children].filter(item => item.dataset.client).map(item => [item.dataset.client, item]));
  const shown = all.slice(0, 40).map(({ client, name, sessions }) => {
    const notes = [];
    if (client === live.client) notes.push('you');
    else if (names.get(name) > 1) notes.push(`#${client.slice(0, 4)}`);
    if (sessions > 1) notes.push(`${sessions} streams`);
    const words = JSON.stringify([name, notes]);
    let item = before.get(client);
    if (!item || item.dataset.words !== words) {
      item = make('li', client === live.client ? 'you' : '');
      item.dataset.client = client;
      item.dataset.words = words;
      item.append(face(client, name), make('bdi', '', name));
      if (notes.length) item.append(make('small', '', notes.join(', ')));
    }
    item.dataset.sessions = sessions;
    return item;
  });
  if (all.length > shown.length) shown.push(make('li', 'more', `and ${all.length - shown.length} more`));
  if (!shown.length) shown.push(make('li', 'none', 'Nobody'));
  // Who stays keeps the place and the focus.
  const list = $('people');
  for (const item of [...list.children]) if (!shown.includes(item)) item.remove();
  shown.forEach((item, at) => { if (list.children[at] !== item) list.insertBefore(item, list.children[at] || null); });
  setText($('present-title'), all.length > 1 ? `${all.length} people` : 'People');
}
