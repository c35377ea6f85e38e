//! Upkeep: partitions ahead of time, statistics, uploads that nobody finished,
//! idempotency keys that expired, a look at the disk. If the process dies here, the next tick does
//! the rest.

use std::sync::Arc;
use std::time::Duration;

use offpeak_domain::room::Level;
use offpeak_store::{room, tend};

use crate::Result;
use crate::outcome::{Outcome, Wait};
use crate::worker::Setting;

/// Days for which partitions stand ready.
const AHEAD: i32 = 7;
/// Rows removed in one transaction.
const CHUNK: i64 = 1000;
/// Between two rounds with nothing left to remove.
const ROUND: Duration = Duration::from_mins(1);
/// Between two refreshes of the parents' statistics, which read a sample of every
/// partition; the partitions' own are autovacuum's affair.
const ANALYSE: Duration = Duration::from_hours(6);

pub(crate) struct Tend(pub(crate) Arc<Setting>);

impl Tend {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let Some(led) = self.0.lead("tend").await? else {
            return Ok(Outcome::default());
        };
        let setting = led.setting();
        let (system, options) = (&setting.system, &setting.options);
        let now = self.0.clock.now().await?;
        let made = tend::partitions_ahead(system, AHEAD).await?;
        if made > 0 {
            tracing::info!(made, "partitions made");
        }
        let folder = options.data_folder.as_deref();
        let level = room::measure(system, options.storage, folder).await?;
        if level != Level::Ok {
            tracing::error!(
                level = level.as_str(),
                "the database's disk is full: jobs are refused until there is room"
            );
        }
        // A lease that nobody renews says when it was done last, to all processes.
        if setting.once_in(ANALYSE, "analyse").await? {
            tend::analyse(system).await?;
        }
        let patience = options.upload_patience;
        let staged = tend::purge_unopened(system, now, patience, CHUNK).await?;
        let keys = tend::purge_keys(system, now, options.key_age, CHUNK).await?;
        let wait = if staged + keys > 0 {
            Wait::Now
        } else {
            Wait::For(ROUND)
        };
        Ok(Outcome {
            done: u64::from(made) + staged + keys,
            wait,
            ..Outcome::default()
        })
    }
}
