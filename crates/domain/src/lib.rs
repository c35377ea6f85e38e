//! The rules of offpeak, as pure functions.
//!
//! What it is: ids, states, the planning of batches, what a result line means
//! for its job, retry delays, money and prices, job types and secrets. Each
//! decision is a function from facts to a decision *and its reason*, so that
//! it can be read, tried and tested without a server or a database.
//!
//! What it never does: no IO, no async, no clock, no randomness of its own.
//! Whoever needs the time or a random number passes it in.
//!
//! Where to begin: [`plan`] decides which batches leave and says why, and its
//! test table shows every reason; [`settle`] decides what a result line means;
//! [`batch`] holds the life of a batch as one table; [`job_type`] turns an
//! input into a request. The rest are the words ([`id`], [`job`]) and the
//! figures ([`money`], [`price`]) that these speak in.
//!
//! What happens if it dies here: nothing. No function keeps anything between
//! two calls; the caller asks again with the same facts and gets the same
//! answer.

mod field;
mod label;

pub mod api_key;
pub mod audit;
pub mod batch;
pub mod breaker;
pub mod budget;
pub mod cache;
pub mod comparison;
pub mod deliver;
pub mod estimate;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod id;
pub mod incident;
pub mod job;
pub mod job_type;
pub mod left;
pub mod limits;
pub mod money;
pub mod operation;
pub mod origin;
pub mod params;
pub mod person;
pub mod plan;
pub mod price;
pub mod quarantine;
pub mod rate;
pub mod reconcile;
pub mod refusal;
pub mod results;
pub mod retention;
pub mod retry;
pub mod room;
pub mod route;
pub mod scope;
pub mod secret;
pub mod settle;
pub mod signin;
pub mod statement;
pub mod tenant;
pub mod turnaround;
pub mod upstream_key;
pub mod vault;

pub use field::FieldError;
pub use label::UnknownLabel;
