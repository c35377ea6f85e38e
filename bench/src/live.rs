//! What the live bench is made of: who writes, who listens, what is held against
//! it, and who is in the way.

pub mod abuse;
pub mod bare;
pub mod crowd;
pub mod sample;
pub mod socket;
pub mod storm;
pub mod writer;
