//! The program as it is started.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

#[path = "../../with_common/scenarios/program.rs"]
mod scenarios;

const PROGRAM: &str = env!("CARGO_BIN_EXE_with-actix");
