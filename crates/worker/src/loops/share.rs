//! Serves those who waited for the result of another job that has ended: they get a
//! copy of it, or go on without it. Any number of processes may be at it. If one dies
//! here, a few followers were served whole or not at all, and the rest still wait.

use std::sync::Arc;
use std::time::Duration;

use offpeak_store::{point, share};

use crate::Result;
use crate::outcome::{Outcome, Seen, Wait};
use crate::worker::{Loop, Setting};

/// Transactions in one tick.
const ROUNDS: u32 = 20;
/// Until followers that somebody else holds are looked at again.
const HELD: Duration = Duration::from_secs(1);

pub(crate) struct Share(pub(crate) Arc<Setting>);

impl Share {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let (mut done, mut let_go, mut late, mut wait) = (0, 0, 0, Wait::Now);
        for _ in 0..ROUNDS {
            let now = self.0.clock.now().await?;
            let Some(served) = share::serve(&self.0.system, now, now.date()).await? else {
                wait = Wait::Idle;
                break;
            };
            point!("share.served");
            done += served.ended + served.let_go;
            let_go += served.let_go;
            late += served.late;
            if served.held {
                wait = Wait::For(HELD);
                break;
            }
        }
        if let_go > 0 {
            tracing::info!(
                jobs = let_go,
                "what they waited for came to nothing: they go on"
            );
        }
        Ok(Outcome {
            done,
            wait,
            wakes: if let_go > 0 {
                vec![Loop::Form, Loop::Direct]
            } else {
                Vec::new()
            },
            seen: Seen {
                missed: late,
                ..Seen::default()
            },
            ..Outcome::default()
        })
    }
}
