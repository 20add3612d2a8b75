//! The program as it is started.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

#[path = "../../with_common/scenarios/page.rs"]
mod scenarios;

const PROGRAM: &str = env!("CARGO_BIN_EXE_with-datastar");
const SCRIPTS: &[&str] = &["datastar.js"];
const INSTALL: &str = "examples/with_datastar/install";
const EVENTS: &[&str] = &[
    "event: datastar-patch-elements",
    "data: selector #wall",
    "data: mode prepend",
    "data: elements <li><b>A &amp; B</b>&lt;b&gt;hello&lt;/b&gt;</li>",
    "data: signals {\"claps\":1}",
    "data: signals {\"people\":1}",
];
