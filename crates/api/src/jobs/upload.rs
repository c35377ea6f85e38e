//! One bulk upload: lines are staged in chunks under a group that nobody sees,
//! and the last transaction opens it.
//!
//! It never holds more than one chunk, and no transaction waits for the
//! client. If the process dies here, what was staged stays invisible: the same
//! body under the same key goes on after the last staged line, and without a
//! key it is tidied away later.

use offpeak_domain::id::{GroupId, JobId, Minter};
use offpeak_store::group::{self, Staged};
use offpeak_store::idempotency::{self, Made};
use offpeak_store::job::{self, Entry, NewJob};
use offpeak_store::{Error as Store, TenantTx};
use offpeak_wire::{BulkAnswer, FieldError, JobRequest};

use super::FIELDS;
use super::draft::{Draft, Drafting};
use super::lines::{At, Line, Lines};
use super::submit::stored;
use crate::State;
use crate::body::{MAX_BYTES, parse};
use crate::caller::Caller;
use crate::error::{Code, Error, MAX_FAULTS, Result, fault};
use crate::state::rng;

/// Jobs of a chunk, at most.
const CHUNK_JOBS: usize = 1_000;
/// Bytes of params in a chunk, more or less: its last job may exceed it.
const CHUNK_BYTES: usize = 8_000_000;

/// How the caller wants it.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) key: Option<String>,
    pub(super) name: Option<String>,
    /// Leave out bad lines instead of refusing all.
    pub(super) partial: bool,
}

pub(super) struct Upload<'a> {
    state: &'a State,
    caller: &'a Caller,
    options: Options,
    drafting: Drafting<'a>,
    /// What an earlier try under the same key left: these lines are compared.
    earlier: Staged,
    /// Whether that try was finished: then nothing is stored any more.
    finished: bool,
    /// The group, once it is stored.
    group: Option<GroupId>,
    /// What is committed.
    staged: Staged,
    /// Bytes of params that this try has staged.
    staged_bytes: usize,
    chunk: Vec<Draft>,
    chunk_bytes: usize,
    blank: u64,
    faults: Vec<FieldError>,
    fault_count: u64,
    too_large: bool,
}

/// What the running hash begins with. A body is another one when its bad lines
/// are treated otherwise.
pub(super) fn seed(partial: bool) -> [u8; 32] {
    let mut seed = Staged::NOTHING.chain;
    seed[0] = u8::from(partial);
    seed
}

impl<'a> Upload<'a> {
    /// Finds what an earlier try under the same key left.
    pub(super) async fn begin(
        state: &'a State,
        caller: &'a Caller,
        options: Options,
    ) -> Result<Self> {
        let mut found = None;
        let mut tx = caller.begin().await?;
        if let Some(key) = &options.key
            && let Some(id) = idempotency::group_of(&mut tx, key).await?
        {
            found = group::get(&mut tx, id).await?;
        }
        if found.as_ref().is_none_or(|found| found.opened_at.is_none()) {
            state.room.check(&mut tx, 1, 0).await?;
        }
        tx.commit().await?;
        let nothing = Staged {
            chain: seed(options.partial),
            ..Staged::NOTHING
        };
        let (group, finished, earlier) = match found {
            Some(found) => (Some(found.id), found.opened_at.is_some(), found.staged),
            None => (None, false, nothing),
        };
        Ok(Self {
            drafting: Drafting::new(state, caller),
            state,
            caller,
            options,
            staged: earlier.clone(),
            earlier,
            finished,
            group,
            staged_bytes: 0,
            chunk: Vec::new(),
            chunk_bytes: 0,
            blank: 0,
            faults: Vec::new(),
            fault_count: 0,
            too_large: false,
        })
    }

    /// Takes every line, and says what became of them: the answer, and whether
    /// it repeats an earlier one.
    pub(super) async fn run(mut self, mut lines: Lines) -> Result<BulkAnswer> {
        loop {
            match lines.next().await {
                Ok(Some(line)) => self.take(line, lines.at()).await?,
                Ok(None) => break,
                Err(error) => {
                    // A key may go on with the same body, unless that is too long.
                    if self.options.key.is_none() || error.code() == Code::TooLarge {
                        self.drop_staged().await?;
                    }
                    return Err(error);
                }
            }
        }
        let at = lines.at();
        if at.number < self.earlier.lines {
            return Err(Store::KeyReused.into());
        }
        if self.finished {
            return Ok(self.answer(at, true));
        }
        let jobs = self.staged.jobs + self.chunk.len() as u64;
        if jobs == 0 || self.is_refused() {
            return Err(self.refuse(jobs).await?);
        }
        self.flush(at, true).await?;
        self.state.hint.ready();
        Ok(self.answer(at, false))
    }

    async fn take(&mut self, line: Line, at: At) -> Result<()> {
        let number = at.number;
        if line == Line::Blank {
            self.blank += 1;
        }
        if number <= self.earlier.lines {
            // What was staged before is compared, not read again.
            if number == self.earlier.lines && at.chain != self.earlier.chain {
                return Err(Store::KeyReused.into());
            }
            return Ok(());
        }
        if self.finished {
            return Err(Store::KeyReused.into());
        }
        match line {
            Line::Blank => {}
            Line::TooLong => {
                self.too_large = true;
                let message = format!("is longer than {MAX_BYTES} bytes");
                self.note(number, vec![fault("", "too_large", message)]);
            }
            Line::Text(text) => match self.draft(&text).await? {
                Ok(draft) if !self.is_refused() => {
                    self.chunk_bytes += draft.params.len();
                    self.chunk.push(draft);
                }
                // The rest is read for its faults alone.
                Ok(_) => {}
                Err(faults) => self.note(number, faults),
            },
        }
        if self.chunk.len() >= CHUNK_JOBS || self.chunk_bytes >= CHUNK_BYTES {
            self.flush(at, false).await?;
        }
        Ok(())
    }

    async fn draft(&mut self, text: &[u8]) -> Result<std::result::Result<Draft, Vec<FieldError>>> {
        let request: JobRequest = match parse(text, FIELDS) {
            Ok(request) => request,
            Err(faults) => return Ok(Err(faults)),
        };
        if request.idempotency_key.is_some() {
            return Ok(Err(vec![fault(
                "/idempotency_key",
                "not_allowed",
                "has no place in a bulk line; the header `idempotency-key` names the whole upload",
            )]));
        }
        self.drafting.draft(&request).await
    }

    fn is_refused(&self) -> bool {
        self.fault_count > 0 && !self.options.partial
    }

    fn note(&mut self, line: u64, faults: Vec<FieldError>) {
        self.fault_count += faults.len() as u64;
        let room = MAX_FAULTS.saturating_sub(self.faults.len());
        self.faults
            .extend(faults.into_iter().take(room).map(|fault| FieldError {
                line: Some(line),
                ..fault
            }));
        if self.is_refused() {
            self.chunk = Vec::new();
            self.chunk_bytes = 0;
        }
    }

    /// Stores the chunk and how far the upload came, and at its end opens it:
    /// one transaction.
    async fn flush(&mut self, at: At, last: bool) -> Result<()> {
        let mut tx = self.caller.begin().await?;
        let bytes = self.staged_bytes + self.chunk_bytes;
        if let Err(full) = self.room(&mut tx, bytes, last).await {
            drop(tx);
            // Under a key what is staged stays: the same body goes on after it.
            if self.options.key.is_none() {
                self.drop_staged().await?;
            }
            return Err(full);
        }
        let mut minter = Minter::new(tx.now(), rng());
        let group = match self.group {
            Some(group) => group,
            None => self.create(&mut tx, minter.mint()).await?,
        };
        let chunk: Vec<NewJob> = std::mem::take(&mut self.chunk)
            .into_iter()
            .map(|draft| stored(draft, minter.mint::<JobId>(), Some(group), self.state))
            .collect();
        self.chunk_bytes = 0;
        job::insert_chunk(&mut tx, &chunk, Entry::Staged).await?;
        let staged = Staged {
            lines: at.number,
            chain: at.chain,
            jobs: self.staged.jobs + chunk.len() as u64,
        };
        group::advance(&mut tx, group, &self.staged, &staged).await?;
        if last {
            group::open(&mut tx, group, &staged).await?;
        }
        tx.commit().await?;
        self.group = Some(group);
        self.staged = staged;
        self.staged_bytes = bytes;
        Ok(())
    }

    /// Whether the queue takes all that this upload has staged and its chunk.
    async fn room(&self, tx: &mut TenantTx, bytes: usize, last: bool) -> Result<()> {
        let jobs = self.staged.jobs + self.chunk.len() as u64;
        if last {
            // From now on they wait.
            let jobs = usize::try_from(jobs).unwrap_or(usize::MAX);
            self.state.room.take(tx, jobs, bytes).await
        } else {
            self.state.room.check(tx, jobs, bytes as u64).await
        }
    }

    async fn create(&self, tx: &mut TenantTx, id: GroupId) -> Result<GroupId> {
        if let Some(key) = &self.options.key {
            let (made, _) = idempotency::claim_group(tx, key, id).await?;
            if made == Made::Before {
                // It was free when this upload began.
                return Err(Store::KeyBusy.into());
            }
        }
        group::create(tx, id, self.options.name.as_deref()).await?;
        Ok(id)
    }

    /// Drops what was staged, which nobody has seen: it is tidied away later.
    async fn drop_staged(&self) -> Result<()> {
        let Some(group) = self.group.filter(|_| !self.finished) else {
            return Ok(());
        };
        let mut tx = self.caller.begin().await?;
        if !group::drop(&mut tx, group, &self.staged).await? {
            return Err(Store::KeyBusy.into());
        }
        Ok(tx.commit().await?)
    }

    /// Drops what was staged, and says why.
    async fn refuse(self, jobs: u64) -> Result<Error> {
        self.drop_staged().await?;
        let (code, detail) = match self.faults.first() {
            None => (
                Code::NoJobs,
                "the body holds no line with a job; nothing was stored".into(),
            ),
            Some(first) => {
                let at = first.line.unwrap_or_default();
                let hint = if jobs > 0 && !self.options.partial {
                    "; nothing was stored (partial=true keeps the good lines)"
                } else {
                    "; nothing was stored"
                };
                let code = if self.too_large {
                    Code::TooLarge
                } else {
                    Code::InvalidLines
                };
                let field = if first.field.is_empty() {
                    "the line"
                } else {
                    &first.field
                };
                let count = self.fault_count;
                let faults = if count == 1 { "fault" } else { "faults" };
                let message = &first.message;
                (
                    code,
                    format!("{count} {faults}, first in line {at}: {field} {message}{hint}"),
                )
            }
        };
        Ok(Error::new(code, detail)
            .with(self.faults)
            .of(self.fault_count))
    }

    fn answer(self, at: At, replayed: bool) -> BulkAnswer {
        let jobs = self.staged.jobs;
        BulkAnswer {
            group: self
                .group
                .map(|group| group.to_string())
                .unwrap_or_default(),
            jobs,
            skipped: at.number.saturating_sub(self.blank).saturating_sub(jobs),
            lines: at.number,
            replayed,
            errors: self.faults,
        }
    }
}
