//! A look at the first lines of a message batch.

use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_anthropic::shape::MessageBatch;
use offpeak_anthropic::{Error as CallError, Line};
use offpeak_domain::id::CustomId;

use crate::Result;
use crate::chunk::{self, Whose};
use crate::upstream::Upstream;

/// Lines that are looked at to learn whose a message batch is. A stray line may
/// stand among ours, and before them: one that names somebody else says little.
pub(super) const PEEK: usize = 100;

/// Whose a message batch is: ours by the first line in our form, with these ids;
/// somebody else's (`Some(None)`) when so many lines, or all that there are,
/// named something and none was in our form; `None` while nothing says it.
pub(crate) async fn peek(
    upstream: &Upstream,
    batch: &MessageBatch,
) -> Result<Option<Option<CustomId>>> {
    let mut results = match upstream.results(batch).await {
        Ok(results) => results,
        Err(error) if matches!(of_read(&error), Reading::Missing) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut foreign = false;
    for _ in 0..PEEK {
        match results.next_line().await {
            Ok(Some(Line::Whole { bytes, .. } | Line::Oversized { head: bytes, .. })) => {
                match chunk::whose(&bytes) {
                    Whose::Ours(id) => return Ok(Some(Some(id))),
                    Whose::Foreign => foreign = true,
                    Whose::Unreadable => {}
                }
            }
            Ok(None) => break,
            // What comes behind the break may be ours.
            Err(CallError::Transport { .. } | CallError::Timeout { .. } | CallError::Slow) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(foreign.then_some(None))
}
