//! Whether the credential that a process has now sees the workspace that a batch
//! was sent to. With a key of another workspace, or another base URL, every batch
//! of before is absent, and that proves nothing.

use std::time::Duration;

use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_domain::incident::Kind;
use offpeak_store::batch::Key;
use offpeak_store::incident::Note;
use offpeak_store::workspace;
use time::OffsetDateTime;

use crate::Result;
use crate::upstream::Upstream;
use crate::worker::Setting;

/// How far back a message batch of ours is sure to be known at Anthropic.
const KEPT: Duration = Duration::from_hours(28 * 24);

/// Asks for the message batch of ours that was sent next to this one. True also
/// when there is none: then nothing can be told, as in a fresh deployment.
pub(super) async fn is_same(
    setting: &Setting,
    upstream: &Upstream,
    key: Key,
    sent_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool> {
    let system = &setting.system;
    let witness = workspace::witness(system, upstream.id, key, sent_at, now - KEPT).await?;
    let Some(witness) = witness else {
        return Ok(true);
    };
    if upstream.has_seen(&witness) {
        return Ok(true);
    }
    match upstream.batch(&witness).await {
        Ok(_) => {
            upstream.saw(witness);
            workspace::is_known(system, upstream.id, now).await?;
            Ok(true)
        }
        Err(error) if of_read(&error) == Reading::Missing => {
            let detail = format!(
                "this upstream's key does not know {witness}, which was sent next to the batch {}",
                key.batch
            );
            let note = Note {
                kind: Kind::OtherWorkspace,
                at: now,
                upstream: Some(upstream.id),
                tenant: upstream.owner(),
                batch: None,
                upstream_batch_id: None,
                detail: &detail,
            };
            workspace::differs(system, &note).await?;
            tracing::error!(
                upstream = %upstream.id, batch = %key.batch, witness,
                "a batch of ours is not known: is the key of another workspace? What is not \
                 listed proves nothing"
            );
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
