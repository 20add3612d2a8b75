// Reads a URL with @microsoft/fetch-event-source, and prints a JSON line for all that happens:
//
//     node fetch-event-source.cjs URL
//
// It is made for pages, so that it looks for what a page has. It makes a message of each block,
// also of one without data; such a message is printed as it comes.
"use strict";
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = require("@microsoft/fetch-event-source");
const [url] = process.argv.slice(2);

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
class Over extends Error {}

let last = "";
fetchEventSource(url, {
  openWhenHidden: true,
  async onopen(response) {
    if (response.status === 204) throw new Over();
    if (!response.ok) throw new Error(`status ${response.status}`);
    say({ open: true });
  },
  onmessage({ event, data, id }) {
    last = id || last;
    say({ message: { type: event || "message", data, id: last } });
  },
  // A proper end is the end of it otherwise.
  onclose() { throw new Error("the stream has ended"); },
  onerror(error) {
    if (error instanceof Over) throw error;
    process.stderr.write(`${error}\n`);
    say({ lost: true });
  },
}).catch(() => say({ closed: true }));
// Ends with the test that started it.
process.stdin.resume().on("end", () => process.exit(0));
