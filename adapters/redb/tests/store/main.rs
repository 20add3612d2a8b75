//! A store through its public interface, on files.
//!
//! `SANSSE_SEED` sets the first seed of the random tests, and `SANSSE_ROUNDS` how many rounds they
//! have.

mod full;
mod killed;
mod kit;
mod opening;
mod reading;
mod realm;
mod spoilt;
mod writing;
