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
mod damage;
#[cfg(test)]
mod entry;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod script;
#[cfg(test)]
mod switches;
