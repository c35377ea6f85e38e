//! Numbers what was told, each tenant's events in the order in which they were
//! committed, and says so to whoever follows them. If the process dies here, a
//! numbering has happened whole or not at all, and whoever missed the hint reads
//! the stream a few seconds later.

use std::sync::Arc;
use std::time::Duration;

use offpeak_store::{event, notify, point};

use crate::Result;
use crate::outcome::{Outcome, Wait};
use crate::worker::Setting;

/// Rows numbered in one transaction.
const CHUNK: u16 = 1_000;
/// While there is something to number, so much of it comes together: the cost of
/// a numbering, and of every client's frame, is that of one event.
const TOGETHER: Duration = Duration::from_millis(25);
/// Numberings under one lease, which costs a commit to take.
const ROUNDS: usize = 40;

pub(crate) struct Relay(pub(crate) Arc<Setting>);

impl Relay {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let Some(led) = self.0.lead("relay").await? else {
            return Ok(Outcome::default());
        };
        let setting = led.setting();
        point!("relay.led");
        let mut outcome = Outcome::default();
        for _ in 0..ROUNDS {
            let numbered = event::number(&setting.system, CHUNK.into()).await?;
            point!("relay.numbered");
            if numbered.taken == 0 {
                return Ok(outcome);
            }
            outcome.done += numbered.taken;
            if let Err(error) = notify::numbered(&setting.system, &numbered.tenants).await {
                tracing::debug!(%error, "a hint was lost");
            }
            if numbered.taken < CHUNK.into() {
                setting.pause(TOGETHER).await;
            }
        }
        outcome.wait = Wait::Now;
        Ok(outcome)
    }
}
