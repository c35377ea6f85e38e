//! The only SQL of offpeak: one file per table or per question, free functions,
//! checked at compile time against the committed cache in `.sqlx`.
//!
//! Three kinds of access, three types. [`Tenants`] runs as the API's role and gives
//! transactions that are bound to one tenant ([`TenantTx`]); [`System`] runs as
//! the worker's role and sees all tenants; [`Operators`] runs as the operator's, which
//! sees counts of all tenants and the content of none. None owns a table, and row-level
//! security is forced on all.
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
mod sealed;

pub mod api_key;
pub mod attempts;
pub mod audit;
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
pub mod data_key;
pub mod deadline;
pub mod delta;
pub mod erasure;
pub mod estimates;
pub mod event;
pub mod export;
pub mod group;
pub mod hold;
pub mod idempotency;
pub mod identity;
pub mod incident;
pub mod invariants;
pub mod job;
pub mod job_type;
pub mod lease;
pub mod limits;
pub mod list;
pub mod look;
pub mod notify;
pub mod open_batch;
pub mod operation;
pub mod operator;
pub mod origin;
pub mod overview;
pub mod pace;
pub mod pause;
pub mod person;
pub mod position;
pub mod prime;
pub mod quarantine;
pub mod ready;
pub mod recover;
pub mod release;
pub mod result;
pub mod retained;
pub mod retention;
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
pub mod upstream_copy;
pub mod upstream_key;
pub mod usage;
pub mod walls;
pub mod workspace;

pub use access::{OperatorTx, Operators, Options, System, SystemTx, TenantTx, Tenants};
pub use error::{Error, Result};
pub use migrate::{Migrated, migrate, schema_version};
pub use sealed::Sealer;
