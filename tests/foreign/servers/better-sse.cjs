// An event-stream server by better-sse, told by JSON lines on standard input what to do; `servers.rs`
// beside this directory says which.
"use strict";
const http = require("node:http");
const readline = require("node:readline");
const { createSession, createEventBuffer } = require("better-sse");

const options = JSON.parse(process.argv[2]);
const history = [];
const open = new Map();
let finished = false;

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const asItIs = { serializer: (text) => text };

/** What better-sse makes of an event; it leaves it to its caller to write each line of the data. */
function written({ type, id, data }) {
  const buffer = createEventBuffer(asItIs);
  if (type !== null) buffer.event(type);
  if (id !== null) buffer.id(id);
  for (const line of data.split("\n")) buffer.data(line);
  return buffer.dispatch();
}

async function stream(request, response) {
  const asked = { accept: request.headers.accept, lastEventId: request.headers["last-event-id"] ?? null };
  if (finished) {
    response.writeHead(204).end();
    say({ asked });
    return;
  }
  const { retry, ping } = options;
  const session = await createSession(request, response, { ...asItIs, retry, keepAlive: ping });
  const place = history.findIndex(({ id }) => id !== null && id === session.lastId);
  // From here on nothing waits, so that nothing is published in between.
  for (const event of session.lastId === "" ? [] : history.slice(place + 1)) {
    session.batch(written(event));
  }
  open.set(session, response);
  session.once("disconnected", () => open.delete(session));
  say({ asked });
}

function end(how) {
  for (const [, response] of open) how(response);
  open.clear();
}

const orders = {
  publish(event) {
    history.push(event);
    for (const session of open.keys()) {
      if (typeof event.type === "string" && typeof event.id === "string" && !event.data.includes("\n")) {
        session.push(event.data, event.type, event.id);
      } else {
        session.batch(written(event));
      }
    }
  },
  comment(text) {
    for (const session of open.keys()) {
      session.batch(createEventBuffer().comment(text).dispatch());
    }
  },
  retry(time) {
    for (const session of open.keys()) {
      session.batch(createEventBuffer().retry(time).dispatch());
    }
  },
  cut(event) {
    const text = written(event).read();
    end((response) => {
      const { socket } = response;
      response.write(text.slice(0, text.length - 3), () => socket.destroy());
    });
  },
  end() {
    end((response) => response.end());
  },
  finish() {
    finished = true;
    orders.end();
  },
};

const server = http.createServer(stream);
server.listen(options.port, "127.0.0.1", () => say({ port: server.address().port }));

readline
  .createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on("line", (line) => {
    const [[order, argument]] = Object.entries(JSON.parse(line));
    orders[order](argument);
  })
  .on("close", () => process.exit(0));
