//! Kills, freezes and cuts off a whole offpeak, with the real binary, a real
//! PostgreSQL and the stand-in, and judges from outside what came of it.
//! `scripts/torture` builds the binary that it torments.
//!
//! Nothing of it is part of the product. If it dies, the processes that it
//! started die with it.

pub mod behavior;
pub mod client;
#[expect(
    clippy::disallowed_methods,
    reason = "the harness looks behind the walls with statements of its own"
)]
pub mod cluster;
pub mod ground;
pub mod image;
#[expect(
    clippy::disallowed_methods,
    reason = "the harness looks behind the walls with statements of its own"
)]
pub mod judge;
pub mod machine;
pub mod outcome;
#[expect(
    clippy::disallowed_methods,
    reason = "the harness looks behind the walls with statements of its own"
)]
pub mod part;
pub mod report;
pub mod scenario;
pub mod wait;
pub mod world;

/// A line for whoever watches.
#[expect(clippy::print_stderr, reason = "the harness talks to its terminal")]
pub fn say(line: &str) {
    eprintln!("{line}");
}
