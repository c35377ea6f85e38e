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
const CHUNK: i64 = 1_000;
/// While there is something to number, so much of it comes together: the cost of
/// a numbering, and of every client's frame, is that of one event.
const TOGETHER: Duration = Duration::from_millis(25);

pub(crate) struct Relay(pub(crate) Arc<Setting>);

impl Relay {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let Some(led) = self.0.lead("relay").await? else {
            return Ok(Outcome::default());
        };
        let system = &led.setting().system;
        point!("relay.led");
        let numbered = event::number(system, CHUNK).await?;
        point!("relay.numbered");
        if numbered.taken > 0
            && let Err(error) = notify::numbered(system, &numbered.tenants).await
        {
            tracing::debug!(%error, "a hint was lost");
        }
        let wait = match numbered.taken {
            0 => Wait::Idle,
            some if some >= CHUNK.unsigned_abs() => Wait::Now,
            _ => Wait::For(TOGETHER),
        };
        Ok(Outcome {
            done: numbered.taken,
            wait,
            ..Outcome::default()
        })
    }
}
