//! Client for the parts of Anthropic's API that offpeak uses: message batches,
//! messages, token counting, models, usage and cost reports.
//!
//! Two features: `types` is the JSON shapes alone (the stand-in and the API use
//! these), `client` adds the HTTP client.
//!
//! What it never does: it retries nothing (the worker decides, with a
//! [`Disposition`]), it follows no redirect, it holds no batch in memory in
//! either direction, it sends the key to no host but the configured one, it puts
//! no prompt, result or key into an error, and it does not know what a tenant is.
//!
//! If the process dies here, a create may or may not have been stored upstream;
//! that is why its caller commits the intent before it calls.

pub mod shape;

#[cfg(feature = "client")]
mod answer;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
pub mod disposition;
#[cfg(feature = "client")]
mod error;
#[cfg(all(feature = "client", any(test, feature = "fuzz")))]
pub mod fuzz;
#[cfg(feature = "client")]
mod lines;
#[cfg(feature = "client")]
mod reports;
#[cfg(feature = "client")]
mod results;
#[cfg(feature = "client")]
mod upload;

#[cfg(feature = "client")]
pub use answer::Answered;
#[cfg(feature = "client")]
pub use client::{Client, Config};
#[cfg(feature = "client")]
pub use disposition::{Disposition, Reading};
#[cfg(feature = "client")]
pub use error::{ApiError, Error};
#[cfg(feature = "client")]
pub use lines::Line;
#[cfg(feature = "client")]
pub use results::Results;

/// The API version that the client sends with every call; recorded with each batch.
pub const API_VERSION: &str = "2026-10-21";

/// The version before it, still accepted by the API, with other rules for `params`.
pub const API_VERSION_2023: &str = "2023-06-01";

/// Every API version that exists, oldest first.
pub const API_VERSIONS: [&str; 2] = [API_VERSION_2023, API_VERSION];
