//! The whole system's tests, in one binary: each further test file would be
//! another link.

mod books;
mod chaos;
mod walls;
mod worker;
