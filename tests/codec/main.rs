//! The codec: what the decoder makes of any bytes, and the encoder of any event.

#[path = "../kit/mod.rs"]
mod kit;

mod allocations;
mod random;
mod round_trip;
mod spec_vectors;
