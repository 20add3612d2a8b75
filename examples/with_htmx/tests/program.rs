//! The program as it is started.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

#[path = "../../with_common/scenarios/page.rs"]
mod scenarios;

const PROGRAM: &str = env!("CARGO_BIN_EXE_with-htmx");
const SCRIPTS: &[&str] = &[
    "htmx.org/dist/htmx.min.js",
    "htmx.org/dist/ext/hx-sse.min.js",
    "htmx2/dist/htmx.min.js",
    "htmx-ext-sse/dist/sse.min.js",
];
const INSTALL: &str = "npm ci --prefix examples/with_htmx";
const EVENTS: &[&str] = &[
    "data: <li><b>A &amp; B</b>&lt;b&gt;hello&lt;/b&gt;</li>",
    "data: <span id=\"claps\" hx-swap-oob=\"true\">1</span>",
    "data: <span id=\"people\" hx-swap-oob=\"true\">you alone</span>",
];
