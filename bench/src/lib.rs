//! What the benches share: a private cluster, real texts, figures, memory.
//!
//! Each program below `src/bin` measures one thing and ends with one line of
//! JSON, which `report` turns into docs/performance.md. They run alone, on a
//! release build, and never touch a database that is not their own.

#![expect(
    clippy::disallowed_methods,
    reason = "a bench has no configuration and reads its own"
)]

pub mod bill;
pub mod child;
pub mod cluster;
pub mod discard;
pub mod ending;
pub mod fair;
pub mod figures;
pub mod live;
pub mod load;
pub mod memory;
pub mod sealing;
pub mod server;
pub mod slow;
pub mod texts;
pub mod upload;
pub mod upstream;

/// Says how far a bench came, for whoever watches.
pub fn say(line: impl std::fmt::Display) {
    use std::io::Write as _;
    // Nobody reads along: the bench goes on all the same.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a line of the outcome.
pub fn print(line: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The value of `--name` among the arguments, or this.
pub fn argument<T: std::str::FromStr>(name: &str, otherwise: T) -> anyhow::Result<T> {
    let mut arguments = std::env::args().skip(1);
    while let Some(one) = arguments.next() {
        if one.strip_prefix("--") == Some(name) {
            let value = arguments.next().unwrap_or_default();
            return value
                .parse()
                .map_err(|_| anyhow::anyhow!("--{name} {value}: not understood"));
        }
    }
    Ok(otherwise)
}
