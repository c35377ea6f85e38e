//! The whole system's tests, in one binary: each further test file would be
//! another link.

mod walls;
mod worker;
