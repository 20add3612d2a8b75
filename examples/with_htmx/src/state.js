// Shows whether the page is connected, and what could not be sent. htmx swaps all else by itself.
"use strict";
const state = document.querySelector(".state");
const problem = document.querySelector(".problem");
const on = (names, listener) => {
  for (const name of names) document.body.addEventListener(name, listener);
};

let connected = false;
let heard = performance.now();

function show() {
  const silent = Math.round((performance.now() - heard) / 1000);
  // A heartbeat comes each 5 s.
  const alive = connected && silent < 15;
  state.classList.toggle("connected", alive);
  const text = !connected ? "connecting …" : alive ? "connected" : `nothing heard for ${silent} s`;
  if (state.textContent !== text) state.textContent = text;
}

function hear() {
  connected = true;
  heard = performance.now();
  show();
}

function lose() {
  connected = false;
  show();
}

setInterval(show, 1000);
// Of htmx 4, then of htmx 2. A heartbeat is an event of the page in htmx 4, and of the source in 2.
on(["htmx:sse:after:connection", "htmx:sse:after:message", "htmx:sseMessage", "heartbeat"], hear);
on(["htmx:sseOpen"], ({ detail: { source } }) => {
  source.addEventListener("heartbeat", hear);
  hear();
});
on(["htmx:sse:error", "htmx:sse:close", "htmx:sseError", "htmx:sseClose"], lose);

// What was said is taken out of its field when the server has it.
function sent({ target }, ok) {
  problem.hidden = ok;
  if (ok && target.matches("form")) target.elements.text.value = "";
}
on(["htmx:afterRequest"], (event) => sent(event, event.detail.successful));
on(["htmx:after:request"], (event) => {
  const { response } = event.detail.ctx;
  if (!event.target.matches("#wall")) sent(event, response?.status < 400);
});
on(["htmx:error"], (event) => {
  if (!event.target.matches("#wall")) sent(event, false);
});
