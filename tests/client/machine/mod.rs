//! The client machine beyond the table of connection behaviour, by subject, in memory and in virtual
//! time.

mod attempts;
mod extremes;
mod notices;
mod one_shot;
mod policy;
mod redirects;
mod refusals;
mod requests;
mod secrets;
mod slept_through;
mod timeouts;
