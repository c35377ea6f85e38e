//! The binary's parts: configuration, a private PostgreSQL, the wiring of
//! server and worker, and the client commands.
//!
//! What it never does: decide about jobs or money, or write SQL. It is the only
//! crate that reads the environment. If the process dies here, everything
//! accepted is in PostgreSQL, and the next start goes on from there.

pub mod admin;
pub mod cli;
pub mod client;
pub mod config;
pub mod dashboard;
pub mod demo;
pub mod dev;
pub mod engine;
pub mod entropy;
pub mod exit;
pub mod folder;
pub mod log;
pub mod open_files;
pub mod output;
pub mod postgres;
pub mod reach;
pub mod seed;
pub mod serve;
pub mod signals;
