//! The stand-in as its callers see it: through the real client over a loopback
//! connection, or as a router where headers matter.
//!
//! Every module is marked `cfg(test)`, by which clippy knows tests from the rest.

#[cfg(test)]
mod desk;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod create;
#[cfg(test)]
mod entry;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod restart;
