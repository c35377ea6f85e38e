//! The half of an upload that writes: one chunk after the other, each while the
//! next is being read.

use offpeak_domain::id::{GroupId, JobId, Minter};
use offpeak_store::estimates::Corrections;
use offpeak_store::group::{self, Staged};
use offpeak_store::idempotency::{self, Made};
use offpeak_store::job::{self, Entry, NewJob};
use offpeak_store::{Error as Store, TenantTx, budget, mutant, point};
use offpeak_wire::FieldError;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::draft::Draft;
use super::lines::At;
use super::submit::stored;
use crate::State;
use crate::caller::Caller;
use crate::error::{Code, Error, Result, fault};
use crate::limits::Jobs;
use crate::room::Place;
use crate::state::rng;

/// Jobs of a chunk, at most.
const CHUNK_JOBS: usize = 1_000;
/// Bytes of params in a chunk, more or less: its last job may exceed it.
const CHUNK_BYTES: usize = 8_000_000;

/// Jobs that are stored together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Each with its line.
    drafts: Vec<(u64, Draft)>,
    bytes: usize,
}

impl Chunk {
    pub(super) fn push(&mut self, line: u64, draft: Draft) {
        self.bytes += draft.params.len();
        self.drafts.push((line, draft));
    }

    pub(super) fn jobs(&self) -> u64 {
        self.drafts.len() as u64
    }

    pub(super) fn is_full(&self) -> bool {
        self.drafts.len() >= CHUNK_JOBS || self.bytes >= CHUNK_BYTES
    }
}

/// What of an upload is committed, and how its next chunk gets there.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) state: State,
    pub(super) caller: Caller,
    pub(super) key: Option<String>,
    pub(super) name: Option<String>,
    /// The group, once it is stored.
    pub(super) group: Option<GroupId>,
    /// What is committed.
    pub(super) staged: Staged,
    /// Bytes of params that this try has committed.
    pub(super) bytes: u64,
}

impl Stage {
    /// Stores a chunk and how far the upload came, and at its end opens it:
    /// one transaction.
    async fn store(mut self, chunk: Chunk, at: At, last: bool) -> Result<Self> {
        let bytes = self.bytes + chunk.bytes as u64;
        let place = match self.room(&chunk, bytes, last).await {
            Ok(place) => place,
            Err(full) => {
                // Under a key what is staged stays: the same body goes on after it.
                if self.key.is_none() {
                    self.drop_staged().await?;
                }
                return Err(full);
            }
        };
        let mut tx = self.caller.go_on().await?;
        let now = tx.now();
        let measured = budget::measured(&mut tx).await?;
        let corrections = measured.as_deref().map(Corrections::of);
        let mut minter = Minter::new(now, rng());
        let group = match self.group {
            Some(group) => group,
            None => self.create(&mut tx, minter.mint()).await?,
        };
        let (lines, drafts): (Vec<u64>, Vec<Draft>) = chunk.drafts.into_iter().unzip();
        let jobs: Vec<NewJob> = drafts
            .into_iter()
            .map(|draft| {
                let mut new = stored(draft, minter.mint::<JobId>(), Some(group), &self.state);
                new.expected = corrections
                    .as_ref()
                    .map(|known| known.expect(&new, now.date(), &self.state.prices));
                new
            })
            .collect();
        job::insert_chunk(&mut tx, &jobs, Entry::Staged).await?;
        let staged = Staged {
            lines: at.number,
            chain: at.chain,
            jobs: self.staged.jobs + jobs.len() as u64,
        };
        group::advance(&mut tx, group, &self.staged, &staged).await?;
        if last {
            group::open(&mut tx, group, &staged).await?;
        }
        if let Err(error) = budget::reserve(&mut tx, now, &jobs).await {
            drop(tx);
            return Err(self.over_budget(error, &lines).await?);
        }
        point!("api.chunk_open");
        if mutant!("ack_before_commit") {
            tokio::spawn(tx.commit());
        } else {
            tx.commit().await?;
        }
        point!("api.chunk");
        self.group = Some(group);
        self.staged = staged;
        self.bytes = bytes;
        let (jobs, place) = place;
        jobs.keep();
        if let Some(place) = place {
            place.keep();
        }
        Ok(self)
    }

    /// Whether the tenant's rate takes this chunk, and the queue all that this upload
    /// has staged and the chunk. At its end they take their place.
    async fn room(&self, chunk: &Chunk, bytes: u64, last: bool) -> Result<(Jobs, Option<Place>)> {
        let (state, caller) = (&self.state, &self.caller);
        let taken = state.allowance.jobs(caller.tenant(), chunk.jobs())?;
        let jobs = self.staged.jobs + chunk.jobs();
        let place = if last {
            Some(state.room.take(caller, jobs, bytes).await?)
        } else {
            state.room.check(caller, jobs, bytes).await?;
            None
        };
        Ok((taken, place))
    }

    /// What is said of a chunk that could not be reserved for. All that was staged
    /// before it is dropped, under a key as well, and what was reserved for it is free:
    /// it would hold back others for an upload that may never end.
    async fn over_budget(&self, error: Store, lines: &[u64]) -> Result<Error> {
        let Store::OverBudget(refusal) = &error else {
            return Ok(error.into());
        };
        self.drop_staged().await?;
        let line = lines.get(refusal.place).copied();
        let message = "is the first for which the budget has no room; nothing was stored";
        let first = FieldError {
            line,
            ..fault("", Code::BudgetExceeded.as_str(), message)
        };
        Ok(Error::from(error).with(vec![first]))
    }

    /// Drops what was staged, which nobody has seen: it is tidied away later.
    async fn drop_staged(&self) -> Result<()> {
        let Some(group) = self.group else {
            return Ok(());
        };
        let mut tx = self.caller.begin().await?;
        if !group::drop(&mut tx, group, &self.staged).await? {
            return Err(Store::KeyBusy.into());
        }
        Ok(tx.commit().await?)
    }

    async fn create(&self, tx: &mut TenantTx, id: GroupId) -> Result<GroupId> {
        if let Some(key) = &self.key {
            let (made, _) = idempotency::claim_group(tx, key, id).await?;
            if made == Made::Before {
                // It was free when this upload began.
                return Err(Store::KeyBusy.into());
            }
        }
        group::create(tx, id, self.name.as_deref()).await?;
        Ok(id)
    }
}

/// At most one chunk on its way into the database. Dropped it is given up, and
/// its transaction with it.
pub(super) struct Writing {
    stage: Stage,
    under_way: Option<AbortOnDropHandle<Result<Stage>>>,
}

impl Writing {
    pub(super) fn new(stage: Stage) -> Self {
        Self {
            stage,
            under_way: None,
        }
    }

    /// Begins to store a chunk, once the one before is committed.
    pub(super) async fn begin(&mut self, chunk: Chunk, at: At) -> Result<()> {
        let stage = self.settle().await?.clone();
        // A task of its own: reading the next lines keeps this one busy, and
        // the database would wait for it between two statements.
        let store = stage.store(chunk, at, false).in_current_span();
        self.under_way = Some(AbortOnDropHandle::new(tokio::spawn(store)));
        Ok(())
    }

    /// Waits for the chunk that is under way, and says what is committed.
    pub(super) async fn settle(&mut self) -> Result<&Stage> {
        if let Some(task) = self.under_way.take() {
            self.stage = match task.await.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(stored) => stored?,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(error)) => return Err(Error::internal(&error)),
            };
        }
        Ok(&self.stage)
    }

    /// Stores the last chunk, and opens the group.
    pub(super) async fn open(&mut self, chunk: Chunk, at: At) -> Result<&Stage> {
        let stage = self.settle().await?.clone();
        self.stage = stage.store(chunk, at, true).await?;
        Ok(&self.stage)
    }

    /// Drops what was staged.
    pub(super) async fn give_up(&mut self) -> Result<()> {
        self.settle().await?.drop_staged().await
    }
}
