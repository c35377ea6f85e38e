//! The parts of a run. Each gives a verdict and what it counted.

pub mod failover;
pub mod freezes;
pub mod kills;
pub mod links;
pub mod mutants;
pub mod points;
pub mod recovery;
mod scenes;
