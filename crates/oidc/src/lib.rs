//! A company's identity server, which says who somebody is: OpenID Connect, the
//! authorization code flow with PKCE.
//!
//! The flow itself, and every check of what the server sends, is the crate
//! `openidconnect`'s. Here are one server's settings, what it says of itself (kept for a
//! while), bounds on every call, and the names of what goes wrong.
//!
//! What it never does: know a tenant or a person, keep a token, follow a redirect, believe
//! an address that the server has not verified, or print what it was sent. If the process
//! dies here, somebody begins to sign in again.

mod error;
mod http;
mod identity;
mod provider;
#[cfg(test)]
mod tests;

pub use error::{Error, Unproven};
pub use identity::Identity;
pub use provider::{Options, Proof, Provider};
