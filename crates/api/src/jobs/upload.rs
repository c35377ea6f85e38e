//! One bulk upload: lines are staged in chunks under a group that nobody sees,
//! and the last transaction opens it.
//!
//! It never holds more than two chunks, one that is being written and one that
//! is being read, and no transaction waits for the client. If the process dies
//! here, what was staged stays invisible: the same body under the same key goes
//! on after the last staged line, and without a key it is tidied away later.

use offpeak_store::Error as Store;
use offpeak_store::group::{self, Staged};
use offpeak_store::idempotency;
use offpeak_wire::{BulkAnswer, FieldError, JobRequest};

use super::FIELDS;
use super::draft::{Draft, Drafting};
use super::lines::{At, Line, Lines};
use super::stage::{Chunk, Stage, Writing};
use crate::State;
use crate::body::{MAX_BYTES, parse};
use crate::caller::Caller;
use crate::error::{Code, Error, MAX_FAULTS, Result, fault};

/// How the caller wants it.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) key: Option<String>,
    pub(super) name: Option<String>,
    /// Leave out bad lines instead of refusing all.
    pub(super) partial: bool,
}

pub(super) struct Upload<'a> {
    drafting: Drafting<'a>,
    partial: bool,
    /// What an earlier try under the same key left: these lines are compared.
    earlier: Staged,
    /// Whether that try was finished: then nothing is stored any more.
    finished: bool,
    writing: Writing,
    chunk: Chunk,
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
        if let Some(key) = &options.key {
            let mut tx = caller.begin().await?;
            if let Some(id) = idempotency::group_of(&mut tx, key).await? {
                found = group::get(&mut tx, id).await?;
            }
            tx.commit().await?;
        }
        if found.as_ref().is_none_or(|found| found.opened_at.is_none()) {
            state.room.check(caller, 1, 0).await?;
        }
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
            partial: options.partial,
            writing: Writing::new(Stage {
                state: state.clone(),
                caller: caller.clone(),
                key: options.key,
                name: options.name,
                group,
                staged: earlier.clone(),
                bytes: 0,
            }),
            earlier,
            finished,
            chunk: Chunk::default(),
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
                    // What was read whole counts: the next try finds it.
                    let keyed = self.writing.settle().await?.key.is_some();
                    // A key may go on with the same body, unless that is too long.
                    if !keyed || error.code() == Code::TooLarge {
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
            let stage = self.writing.settle().await?.clone();
            return Ok(self.answer(&stage, at));
        }
        let jobs = self.writing.settle().await?.staged.jobs + self.chunk.jobs();
        if jobs == 0 || self.is_refused() {
            return Err(self.refuse(jobs).await?);
        }
        let chunk = std::mem::take(&mut self.chunk);
        let stage = self.writing.open(chunk, at).await?.clone();
        stage.state.hint.ready();
        Ok(self.answer(&stage, at))
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
                Ok(draft) if !self.is_refused() => self.chunk.push(number, draft),
                // The rest is read for its faults alone.
                Ok(_) => {}
                Err(faults) => self.note(number, faults),
            },
        }
        if self.chunk.is_full() {
            let chunk = std::mem::take(&mut self.chunk);
            self.writing.begin(chunk, at).await?;
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
        self.fault_count > 0 && !self.partial
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
            self.chunk = Chunk::default();
        }
    }

    /// Drops what was staged, unless an earlier try has finished it.
    async fn drop_staged(&mut self) -> Result<()> {
        if self.finished {
            return Ok(());
        }
        self.writing.give_up().await
    }

    /// Drops what was staged, and says why.
    async fn refuse(mut self, jobs: u64) -> Result<Error> {
        self.drop_staged().await?;
        let (code, detail) = match self.faults.first() {
            None => (
                Code::NoJobs,
                "the body holds no line with a job; nothing was stored".into(),
            ),
            Some(first) => {
                let at = first.line.unwrap_or_default();
                let hint = if jobs > 0 && !self.partial {
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

    fn answer(self, stage: &Stage, at: At) -> BulkAnswer {
        let jobs = stage.staged.jobs;
        let group = stage.group.map(|group| group.to_string());
        BulkAnswer {
            group: group.unwrap_or_default(),
            jobs,
            skipped: at.number.saturating_sub(self.blank).saturating_sub(jobs),
            lines: at.number,
            replayed: self.finished,
            errors: self.faults,
        }
    }
}
