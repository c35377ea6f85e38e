//! The only SQL of offpeak: one file per table or per question, free functions,
//! checked at compile time against the committed cache in `.sqlx`.
//!
//! Two kinds of access, two types. [`Tenants`] runs as the API's role and gives
//! transactions that are bound to one tenant ([`TenantTx`]); [`System`] runs as
//! the worker's role and sees all tenants. Neither owns a table, and row-level
//! security is forced on both.
//!
//! What it never does: decide. States, limits and prices are decided in
//! `offpeak-domain`; this crate says what the rows are and refuses a write
//! whose row has moved on. If the process dies here, a transaction is lost
//! whole, and every transaction is safe to run again by natural key.

mod access;
mod bounded;
mod error;
mod migrate;
mod probe;

pub mod api_key;
pub mod attempts;
pub mod batch;
pub mod batches;
pub mod booked;
pub mod bucket;
pub mod budget;
pub mod cache;
pub mod call;
pub mod cancel;
pub mod comparison;
pub mod context;
pub mod credential;
pub mod deadline;
pub mod delta;
pub mod event;
pub mod group;
pub mod hold;
pub mod idempotency;
pub mod incident;
pub mod invariants;
pub mod job;
pub mod job_type;
pub mod lease;
pub mod list;
pub mod look;
pub mod notify;
pub mod open_batch;
pub mod origin;
pub mod overview;
pub mod pace;
pub mod pause;
pub mod prime;
pub mod quarantine;
pub mod ready;
pub mod recover;
pub mod release;
pub mod result;
pub mod retry;
pub mod room;
pub mod sendable;
pub mod session;
pub mod settle;
pub mod share;
pub mod stream;
pub mod tenant;
pub mod tend;
pub mod ticket;
pub mod took;
pub mod torture;
pub mod turnaround;
pub mod twin;
pub mod uncertain;
pub mod upstream;
pub mod usage;
pub mod workspace;

pub use access::{Options, System, SystemTx, TenantTx, Tenants};
pub use error::{Error, Result};
pub use migrate::{Migrated, migrate, schema_version};
