//! Settling a direct call: the same as a chunk, of one job.

use offpeak_domain::job::{Lane, State};
use uuid::Uuid;

use super::{Chunk, Released, release, two};
use crate::call::Call;
use crate::{Error, Result, System, point};

/// How a call came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It was answered, to the process that made it.
    Done,
    /// It was made, and its answer is lost.
    Unknown,
}

impl Chunk {
    /// Begins the chunk of a call by taking its job out of flight. `sender` is the
    /// process that made it; none for whoever finds it left behind.
    ///
    /// [`Error::Moved`] when it has come to its end already: then what is known
    /// about it comes too late.
    pub async fn of_call(
        system: &System,
        call: &Call,
        end: CallEnd,
        sender: Option<Uuid>,
    ) -> Result<(Self, Released)> {
        let key = call.key;
        system.ensure_key(key.tenant).await?;
        let mut tx = system.begin().await?;
        let besides = two::lock(tx.conn(), key, call.job, call.beside).await?;
        let done = sqlx::query!(
            "UPDATE call SET state = $3, ended_at = clock_timestamp()
              WHERE tenant_id = $1 AND id = $2 AND state = 'sending'
                AND ($4::uuid IS NULL OR sender = $4)",
            key.tenant.as_uuid(),
            key.batch.as_uuid(),
            match end {
                CallEnd::Done => "done",
                CallEnd::Unknown => "unknown",
            },
            sender,
        )
        .execute(tx.conn())
        .await?;
        if done.rows_affected() == 0 {
            return Err(Error::Moved(key.batch));
        }
        let mut released = release(tx.conn(), key, &[call.job.as_uuid()]).await?;
        let Some(mut released) = released.pop() else {
            return Err(Error::Moved(key.batch));
        };
        if let Some((batch, state)) = besides {
            released.stands_in(batch, state);
        }
        point!("direct.released");
        Ok((
            Self {
                tx,
                key,
                lane: Lane::Direct,
                from: State::Processing,
                taken: vec![call.job.as_uuid()],
            },
            released,
        ))
    }

    /// Notes in the same transaction what the operator has to know.
    pub async fn note(&mut self, note: &crate::incident::Note<'_>) -> Result<bool> {
        crate::incident::note_within(self.tx.conn(), note).await
    }

    /// Notes how long the call took, or the batch of which this is a part.
    pub async fn took(&mut self, took: &crate::turnaround::Took) -> Result<()> {
        crate::turnaround::note(self.tx.conn(), took).await
    }
}
