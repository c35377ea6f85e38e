//! One file per loop, in the order in which a job meets them.

pub(crate) mod direct;
pub(crate) mod enroll;
mod erase;
pub(crate) mod escalate;
pub(crate) mod fold;
pub(crate) mod form;
pub(crate) mod ingest;
pub(crate) mod operate;
pub(crate) mod poll;
pub(crate) mod purge;
pub(crate) mod reconcile;
pub(crate) mod relay;
pub(crate) mod rescue;
pub(crate) mod share;
mod stranger;
pub(crate) mod submit;
pub(crate) mod sweep;
pub(crate) mod tend;
mod workspace;
