//! Links a program that has no entry and no start files, and drops nothing that it does not reach,
//! so that every symbol that the codec refers to must be found.

fn main() {
    println!("cargo::rustc-link-arg-bins=-nostartfiles");
    println!("cargo::rustc-link-arg-bins=-Wl,--entry=0,--no-gc-sections");
    // The `alloc` that comes with the compiler is built for unwinding, which a program that aborts
    // never does.
    for symbol in ["rust_eh_personality", "_Unwind_Resume"] {
        println!("cargo::rustc-link-arg-bins=-Wl,--defsym={symbol}=0");
    }
    // For `memcpy` and its like, which the compiler calls.
    println!("cargo::rustc-link-lib=c");
    println!("cargo::rerun-if-changed=build.rs");
}
