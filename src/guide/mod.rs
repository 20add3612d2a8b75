//! Guides: how to come from another library. There is no code here.

pub mod from_go_sse;
