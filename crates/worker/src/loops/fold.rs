//! Folds the differences that writers appended into the tallies that readers
//! add up. If the process dies here, a fold has happened whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use offpeak_store::{delta, point};

use crate::Result;
use crate::outcome::{Outcome, Wait};
use crate::worker::Setting;

/// Differences folded in one transaction.
const CHUNK: i64 = 10_000;

pub(crate) struct Fold(pub(crate) Arc<Setting>);

impl Fold {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let Some(led) = self.0.lead("fold").await? else {
            return Ok(Outcome::default());
        };
        point!("fold.led");
        let folded = delta::fold(&led.setting().system, CHUNK).await?;
        point!("fold.folded");
        let wait = match folded {
            0 => Wait::Idle,
            some if some >= CHUNK.unsigned_abs() => Wait::Now,
            _ => Wait::For(Duration::from_secs(1)),
        };
        Ok(Outcome {
            done: folded,
            wait,
            ..Outcome::default()
        })
    }
}
