// Reads a URL with the `EventSource` of a package, and prints a JSON line for all that happens:
//
//     node event-source.cjs PACKAGE URL TYPE...
"use strict";
const [from, url, ...types] = process.argv.slice(2);
const { EventSource } = require(from);

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const source = new EventSource(url);
source.addEventListener("open", () => say({ open: true }));
source.addEventListener("error", () => {
  say(source.readyState === EventSource.CLOSED ? { closed: true } : { lost: true });
});
for (const type of types) {
  source.addEventListener(type, ({ type, data, lastEventId }) => {
    say({ message: { type, data, id: lastEventId } });
  });
}

// Ends with the test that started it.
process.stdin.resume().on("end", () => process.exit(0));
