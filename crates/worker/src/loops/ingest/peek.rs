//! A look at the first lines of a message batch.

use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_anthropic::shape::MessageBatch;
use offpeak_anthropic::{Error as CallError, Line};
use offpeak_domain::id::CustomId;

use crate::Result;
use crate::chunk::{self, Whose};
use crate::upstream::Upstream;

/// Lines that are looked at to learn whose a message batch is.
const PEEK: usize = 100;

/// Whose a message batch is, by the first line that says so: ours with these
/// ids, or somebody else's (`Some(None)`); `None` while nothing says it.
pub(crate) async fn peek(
    upstream: &Upstream,
    batch: &MessageBatch,
) -> Result<Option<Option<CustomId>>> {
    let mut results = match upstream.results(batch).await {
        Ok(results) => results,
        Err(error) if matches!(of_read(&error), Reading::Missing) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    for _ in 0..PEEK {
        match results.next_line().await {
            Ok(Some(Line::Whole { bytes, .. } | Line::Oversized { head: bytes, .. })) => {
                match chunk::whose(&bytes) {
                    Whose::Ours(id) => return Ok(Some(Some(id))),
                    Whose::Foreign => return Ok(Some(None)),
                    Whose::Unreadable => {}
                }
            }
            Ok(None)
            | Err(CallError::Transport { .. } | CallError::Timeout { .. } | CallError::Slow) => {
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
