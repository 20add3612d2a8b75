// Reads each URL with the `EventSource` of a package, and prints a JSON line for all that happens:
//
//     node event-source.cjs PACKAGE URL...
"use strict";
const [from, ...urls] = process.argv.slice(2);
const { EventSource } = require(from);

for (const url of urls) {
  const port = Number(new URL(url).port);
  const say = (what) => {
    process.stdout.write(`${JSON.stringify({ port, at: Date.now(), ...what })}\n`);
  };
  const source = new EventSource(url);
  source.onmessage = ({ data }) => say({ message: data });
  source.onerror = () => say({ error: source.readyState });
}
// Ends with the test that started it.
process.stdin.resume().on("end", () => process.exit(0));
