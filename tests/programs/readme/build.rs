//! Takes the server's source out of the README.

use std::path::Path;

const README: &str = "../../../README.md";
const ADDRESS: &str = "\"127.0.0.1:8080\"";

fn main() {
    println!("cargo::rerun-if-changed={README}");
    let text = std::fs::read_to_string(README).expect("the README is there");
    let (_, section) = text.split_once("\n## A server\n").expect("it has such a section");
    let (_, code) = section.split_once("\n```rust,no_run\n").expect("which begins with the code");
    let (code, _) = code.split_once("\n```\n").expect("and the code has an end");
    assert_eq!(code.matches(ADDRESS).count(), 1, "the address stands in it once");
    let address = "std::env::args().nth(1).expect(\"an address\")";
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    let path = Path::new(&out).join("server.rs");
    std::fs::write(path, code.replace(ADDRESS, address)).expect("cargo's directory can be written");
}
