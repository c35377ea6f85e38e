//! The one source of randomness: everything below takes it as a parameter.

use rand::SeedableRng as _;
use rand::rngs::{StdRng, SysRng};

/// A generator seeded by the system.
pub fn source() -> anyhow::Result<StdRng> {
    StdRng::try_from_rng(&mut SysRng)
        .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))
}
