// Reads a URL with `fetch` and a loop over eventsource-parser, as many programs do, and prints a
// JSON line for all that happens:
//
//     node parser-loop.cjs URL
//
// The loop keeps the id of the last event, since the parser hands over ids with events alone.
"use strict";
const { createParser } = require("eventsource-parser");
const [url] = process.argv.slice(2);

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

async function read() {
  let last;
  let retry = 3000;
  for (;;) {
    try {
      const response = await fetch(url, { headers: last ? { "Last-Event-ID": last } : {} });
      if (response.status === 204) return say({ closed: true });
      if (!response.ok) throw new Error(`status ${response.status}`);
      say({ open: true });
      const parser = createParser({
        onEvent({ event, data, id }) {
          if (id !== undefined) last = id;
          say({ message: { type: event ?? "message", data, id: last ?? "" } });
        },
        onRetry(time) { retry = time; },
      });
      const decoder = new TextDecoder();
      for await (const chunk of response.body) parser.feed(decoder.decode(chunk, { stream: true }));
    } catch (error) {
      process.stderr.write(`${error}\n`);
    }
    say({ lost: true });
    await sleep(retry);
  }
}

read();
// Ends with the test that started it.
process.stdin.resume().on("end", () => process.exit(0));
