#![no_main]

#[path = "../../tests/fuzzing/targets/mod.rs"]
mod fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::batch::run(data));
