//! What tests stand on: a PostgreSQL for the run, a whole offpeak for a test,
//! links that break on demand, and the rules that keep the repository tidy.
//! Never part of the product.

pub mod database;
pub mod freezer;
pub mod proxy;
#[cfg(test)]
mod tidy;
#[expect(
    clippy::disallowed_methods,
    reason = "tests look behind the walls with statements of their own"
)]
pub mod world;
