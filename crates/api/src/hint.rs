use std::sync::Arc;
use std::time::Duration;

use offpeak_store::{Tenants, notify};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Hints are sent no more often than this.
const APART: Duration = Duration::from_millis(25);

/// Says that jobs became ready, or that events were told: any number of submits in a short time make one
/// NOTIFY, outside of their commits. Losing one costs seconds, never a job.
#[derive(Clone, Debug, Default)]
pub struct Hint(Arc<Notify>);

impl Hint {
    /// After a commit that made something ready.
    pub fn ready(&self) {
        self.0.notify_one();
    }

    /// Passes hints on to the database until `stop`.
    pub async fn forward(self, tenants: Tenants, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.notified() => {}
                () = tenants.told() => {}
            }
            if let Err(error) = notify::ready(&tenants).await {
                tracing::debug!(%error, "a hint was lost");
            }
            if timeout(APART, stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }
}
