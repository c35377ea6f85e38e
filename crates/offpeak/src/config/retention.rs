//! `[retention]`: how long what jobs were asked and have answered is kept.

use anyhow::bail;
use offpeak_domain::retention::{DAYS, Days, Fault};
use serde::Deserialize;

/// `[retention]`
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Retention {
    /// Days for requests and metadata.
    pub inputs_days: u32,
    /// Days for results.
    pub results_days: u32,
}

impl Retention {
    /// As the loops and the API take it.
    pub fn days(self) -> Days {
        Days {
            inputs: self.inputs_days,
            results: self.results_days,
        }
    }

    pub(super) fn check(self) -> anyhow::Result<()> {
        let (first, last) = (DAYS.start(), DAYS.end());
        match self.days().check() {
            Ok(_) => Ok(()),
            Err(Fault::Inputs) => {
                bail!("configuration: retention.inputs_days must be from {first} to {last}")
            }
            Err(Fault::Results) => {
                bail!("configuration: retention.results_days must be from {first} to {last}")
            }
            Err(Fault::Order) => bail!(
                "configuration: retention.inputs_days is more than retention.results_days: \
                 requests go before results"
            ),
        }
    }
}
