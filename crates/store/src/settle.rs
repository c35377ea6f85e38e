//! Settling: a line takes effect only if the same transaction deletes its row
//! from `inflight`. Everything else that is written comes from the deleted set,
//! so the same line, read again, in any order, after a crash, changes nothing.

mod direct;
mod measured;
mod released;
mod two;
mod write;

use std::collections::HashMap;
use std::time::Duration;

use offpeak_domain::id::{JobId, UpstreamId};
use offpeak_domain::incident::Kind;
use offpeak_domain::job::{Failure, Lane, Outcome, State};
use offpeak_domain::quarantine::Flaw;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::batch::Key;
use crate::budget::{self, Booked};
use crate::delta::{self, Change};
use crate::event::{self, Billed, Told, UserKey};
use crate::incident::{self, Note};
use crate::lease::interval;
use crate::open_batch::Ended;
use crate::quarantine::{self, Flawed};
use crate::share::{self, Left};
use crate::{Error, Result, System, SystemTx, mutant, point, took};

pub use direct::CallEnd;
pub use measured::Measured;
pub use released::Released;
use released::{Other, release};
pub(crate) use two::lock as lock_both;

/// One chunk in the making: its inflight rows are deleted, its effects are not
/// yet written. Dropped without [`Chunk::commit`] nothing has happened.
#[derive(Debug)]
pub struct Chunk {
    tx: SystemTx,
    key: Key,
    /// How these attempts were made.
    lane: Lane,
    /// In which state the jobs of this batch were counted until now.
    from: State,
    /// Every job that was taken out of flight.
    taken: Vec<Uuid>,
}

/// How a released job goes on.
#[derive(Clone, Debug)]
pub enum Next {
    /// It ends with this result.
    End {
        /// Completed or failed.
        outcome: Outcome,
        /// Why it failed.
        failure: Option<Failure>,
        /// Anthropic's stop reason.
        stop_reason: Option<String>,
    },
    /// It becomes ready again.
    Again {
        /// What the attempt is remembered as.
        as_outcome: &'static str,
        /// The label of that attempt.
        label: Option<String>,
        /// Whether it counts against the limit of tries.
        counts: bool,
        /// Backoff.
        after: Duration,
        /// At most so many jobs in its next batch.
        max_items: Option<i32>,
    },
    /// It has its result already; the line goes to the attempts.
    SetAside {
        /// What the attempt is remembered as.
        as_outcome: &'static str,
    },
    /// The attempt came to nothing, and the job goes on by its other one.
    Leave {
        /// What the attempt is remembered as.
        as_outcome: &'static str,
        /// The label of that attempt.
        label: Option<String>,
        /// How long until it may be called for once more.
        after: Option<Duration>,
    },
}

/// What a line is whose job is not in flight any more, if it is no replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// Another line took effect on the job.
    Conflicting,
    /// The job was never in this batch.
    Unknown,
}

/// One effect.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The job it falls on.
    pub released: Released,
    /// How it goes on.
    pub next: Next,
    /// The raw line, if there was one.
    pub line: Option<Vec<u8>>,
    /// SHA-256 of the line.
    pub line_hash: Option<Vec<u8>>,
    /// Model that answered, where it did; otherwise the one asked for counts.
    pub model: Option<String>,
    /// How the attempt reached Anthropic.
    pub lane: Lane,
    /// Usage and money; zero where nothing is billed.
    pub measured: Measured,
    /// Whether it goes into the ledger.
    pub billed: bool,
}

impl Effect {
    /// From which state its job comes into which; none where it stays.
    fn moved(&self, from: State) -> Option<(State, State)> {
        let released = &self.released;
        let to = match &self.next {
            Next::End { outcome, .. } => State::from(*outcome),
            Next::Again { .. } => State::Queued,
            // What is marked has not been leading.
            Next::Leave { .. } if !released.canceled => released.other?.state,
            Next::Leave { .. } | Next::SetAside { .. } => return None,
        };
        let from = released.counted(from);
        (from != to).then_some((from, to))
    }
}

impl Chunk {
    /// Begins a chunk of an ended batch by taking these jobs out of flight, and
    /// renews the term for which nobody else reads the batch. Jobs that are not
    /// in flight in this batch any more are missing from the answer: their
    /// lines are replays.
    ///
    /// [`Error::Moved`] when the batch is not ended any more, or is another
    /// message batch by now: what was read is not about it.
    pub async fn begin(
        system: &System,
        ended: &Ended,
        term: Duration,
        jobs: &[JobId],
    ) -> Result<(Self, HashMap<JobId, Released>)> {
        let key = ended.key;
        system.ensure_key(key.tenant).await?;
        let mut tx = system.begin().await?;
        let done = sqlx::query!(
            "UPDATE batch SET ingest_until = clock_timestamp() + $3::interval
              WHERE tenant_id = $1 AND id = $2 AND state = 'ended' AND upstream_batch_id = $4",
            key.tenant.as_uuid(),
            key.batch.as_uuid(),
            interval(term),
            ended.upstream_batch_id,
        )
        .execute(tx.conn())
        .await?;
        if done.rows_affected() == 0 {
            return Err(Error::Moved(key.batch));
        }
        let ids: Vec<Uuid> = jobs.iter().map(|job| job.as_uuid()).collect();
        let released = release(tx.conn(), key, &ids).await?;
        let dropped = released.iter().filter(|one| one.dropped).count();
        if dropped > 0 {
            // It is an earlier create that was stored, and was made with them.
            sqlx::query!(
                "UPDATE batch SET items = items + $3 WHERE tenant_id = $1 AND id = $2",
                key.tenant.as_uuid(),
                key.batch.as_uuid(),
                i32::try_from(dropped).unwrap_or(0),
            )
            .execute(tx.conn())
            .await?;
        }
        point!("ingest.released");
        if mutant!("settle_without_row") {
            tx.commit().await?;
            tx = system.begin().await?;
        }
        let taken = taken(&released);
        let released = released.into_iter().map(|row| (row.job, row)).collect();
        Ok((
            Self {
                tx,
                key,
                lane: Lane::Batch,
                from: State::Processing,
                taken,
            },
            released,
        ))
    }

    /// Begins a chunk of a batch that Anthropic does not hold (refuted or
    /// rejected), with up to `limit` of its jobs.
    pub(crate) async fn of_unsent(
        mut tx: SystemTx,
        key: Key,
        limit: i64,
    ) -> Result<(Self, Vec<Released>)> {
        let ids = sqlx::query_scalar!(
            "SELECT id FROM inflight
              WHERE tenant_id = $1 AND batch_id = $2 ORDER BY id LIMIT $3",
            key.tenant.as_uuid(),
            key.batch.as_uuid(),
            limit,
        )
        .fetch_all(tx.conn())
        .await?;
        let released = release(tx.conn(), key, &ids).await?;
        Ok((
            Self {
                tx,
                key,
                lane: Lane::Batch,
                from: State::Queued,
                taken: taken(&released),
            },
            released,
        ))
    }

    /// Writes down that no job of this unsent batch is left in it.
    pub(crate) async fn freed(&mut self) -> Result<()> {
        sqlx::query!(
            "UPDATE batch SET freed_at = clock_timestamp() WHERE tenant_id = $1 AND id = $2",
            self.key.tenant.as_uuid(),
            self.key.batch.as_uuid(),
        )
        .execute(self.tx.conn())
        .await?;
        Ok(())
    }

    /// Those of these lines, whose jobs are not in flight any more, that are no
    /// replay: they differ from the line of this batch that took effect on the
    /// job, or name a job that was never in it. By their place.
    pub async fn odd(&mut self, replays: &[(JobId, [u8; 32])]) -> Result<HashMap<usize, Odd>> {
        if replays.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<Uuid> = replays.iter().map(|(job, _)| job.as_uuid()).collect();
        let hashes: Vec<&[u8]> = replays.iter().map(|(_, hash)| hash.as_slice()).collect();
        // Given up or canceled without a line, it stands there without a hash.
        let rows = sqlx::query!(
            r#"SELECT line.place AS "place!", stood.rows > 0 AS "known!"
                 FROM unnest($3::uuid[], $4::bytea[]) WITH ORDINALITY AS line (id, hash, place)
                CROSS JOIN LATERAL (
                      SELECT count(*) AS rows, count(s.hash) AS hashes,
                             coalesce(bool_or(s.hash = line.hash), false) AS same
                        FROM (SELECT r.line_hash AS hash
                                FROM result r
                               WHERE r.tenant_id = $1 AND r.id = line.id AND r.id = ANY ($3)
                                 AND (r.batch_id = $2 OR r.outcome = 'canceled')
                              UNION ALL
                              SELECT coalesce(a.line_hash,
                                              -- Of the version before, and not sealed.
                                              CASE WHEN a.key_id = 0 THEN sha256(a.line) END)
                                FROM attempt a
                               WHERE a.tenant_id = $1 AND a.id = line.id AND a.id = ANY ($3)
                                 AND (a.batch_id = $2 OR a.outcome = 'canceled')) AS s) AS stood
                WHERE stood.rows = 0 OR (stood.hashes > 0 AND NOT stood.same)"#,
            self.key.tenant.as_uuid(),
            self.key.batch.as_uuid(),
            &ids,
            &hashes as _,
        )
        .fetch_all(self.tx.conn())
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let place = usize::try_from(row.place).ok()?.checked_sub(1)?;
                let odd = if row.known {
                    Odd::Conflicting
                } else {
                    Odd::Unknown
                };
                Some((place, odd))
            })
            .collect())
    }

    /// Puts flawed lines aside and notes that there are some, once a batch and
    /// kind; with the effects, or not at all.
    pub async fn quarantine(
        &mut self,
        now: OffsetDateTime,
        upstream: UpstreamId,
        upstream_batch_id: &str,
        lines: &[Flawed],
    ) -> Result<()> {
        quarantine::insert(&mut self.tx, self.key, now, lines).await?;
        point!("ingest.quarantined");
        let notes = [
            (
                Kind::QuarantinedLine,
                "result lines of it could not be read, or name no job of it",
                lines
                    .iter()
                    .any(|line| !matches!(line.flaw, Flaw::Conflict | Flaw::DuplicateId)),
            ),
            (
                Kind::ConflictingLine,
                "two result lines of one job differ; the first one stands",
                lines.iter().any(|line| line.flaw == Flaw::Conflict),
            ),
        ];
        for (kind, detail, _) in notes.into_iter().filter(|(_, _, some)| *some) {
            let note = Note {
                kind,
                at: now,
                upstream: Some(upstream),
                tenant: Some(self.key.tenant),
                batch: Some(self.key.batch),
                upstream_batch_id: Some(upstream_batch_id),
                detail,
            };
            incident::note_within(self.tx.conn(), &note).await?;
        }
        Ok(())
    }

    /// Writes the effects and commits: results, outputs, attempts, ready rows,
    /// ledger (under `day`, whose prices count) and counts, each as one set.
    pub async fn commit(
        mut self,
        now: OffsetDateTime,
        day: Date,
        effects: &[Effect],
    ) -> Result<()> {
        let (key, from, lane) = (self.key, self.from, self.lane);
        let lines = write::lines(&mut self.tx, key, effects).await?;
        let conn = self.tx.conn();
        write::results(conn, key, now, effects).await?;
        write::outputs(conn, key, effects, &lines).await?;
        if lane == Lane::Batch {
            point!("ingest.results");
        } else {
            point!("direct.results");
        }
        write::attempts(conn, key, now, effects, &lines).await?;
        write::ready(conn, key, now, lane, effects).await?;
        write::ledger(conn, key, (now, day), effects).await?;
        two::others(conn, key, now, effects).await?;
        two::absorb(conn, key, (now, day), effects).await?;
        let left = effects.iter().filter_map(left).collect();
        share::ended(conn, key.tenant, now, left).await?;
        delta::append(
            conn,
            key.tenant,
            effects.iter().flat_map(|effect| changes(from, effect)),
        )
        .await?;
        let told: Vec<Told> = effects
            .iter()
            .filter_map(|effect| told(from, effect))
            .collect();
        // A call has an id of its own there, which is nobody's affair.
        let by = (lane == Lane::Batch).then_some(key.batch);
        event::jobs(conn, key.tenant, by, told).await?;
        event::billed(conn, key, billed(effects)).await?;
        took::note(conn, key.tenant, now, effects.iter().filter_map(completed)).await?;
        let booked: Vec<Booked<'_>> = effects.iter().filter_map(booked).collect();
        budget::settle(conn, key.tenant, now, &self.taken, &booked).await?;
        if lane == Lane::Batch {
            point!("ingest.chunk_open");
        } else {
            point!("direct.settle_open");
        }
        self.tx.commit().await
    }
}

fn taken(released: &[Released]) -> Vec<Uuid> {
    released.iter().map(|one| one.job.as_uuid()).collect()
}

/// What an effect books for its job.
fn booked(effect: &Effect) -> Option<Booked<'_>> {
    let Effect {
        released,
        next,
        measured,
        ..
    } = effect;
    let ends = matches!(next, Next::End { .. }) && released.attempt == 1;
    let as_estimated = effect.lane == released.lane && !measured.unpriced;
    effect.billed.then(|| Booked {
        job: released.job.as_uuid(),
        cost_pico: measured.cost_pico,
        tells_of: (ends && as_estimated).then(|| {
            let job_type = released.job_type.as_deref().unwrap_or_default();
            (job_type, released.model.as_str())
        }),
    })
}

/// What an effect tells of its job.
fn told(from: State, effect: &Effect) -> Option<Told> {
    let Effect { released, next, .. } = effect;
    let (_, state) = effect.moved(from)?;
    Some(Told {
        job: released.job,
        state,
        label: match next {
            Next::End { failure, .. } => failure.map(Failure::label),
            Next::Again { .. } | Next::SetAside { .. } | Next::Leave { .. } => None,
        },
        group: released.group,
        user: released.user_label.as_deref().map(UserKey::of),
        cost: (state.is_final() && !effect.measured.unpriced).then_some(effect.measured.cost_pico),
    })
}

/// A job that an effect ends well, and its type.
fn completed(effect: &Effect) -> Option<(JobId, Option<&str>)> {
    let Effect { released, next, .. } = effect;
    let well = matches!(
        next,
        Next::End {
            outcome: Outcome::Completed,
            ..
        }
    );
    well.then_some((released.job, released.job_type.as_deref()))
}

/// A job that an effect ends, and that leads nobody any more.
fn left(effect: &Effect) -> Option<Left> {
    match &effect.next {
        Next::End { outcome, .. } => Some(Left {
            job: effect.released.job.as_uuid(),
            hash: effect.released.hash.clone(),
            completed: *outcome == Outcome::Completed,
        }),
        Next::Again { .. } | Next::SetAside { .. } | Next::Leave { .. } => None,
    }
}

fn billed(effects: &[Effect]) -> Billed {
    let mut sum = Billed::default();
    for effect in effects.iter().filter(|effect| effect.billed) {
        let measured = &effect.measured;
        sum.n += 1;
        sum.input_tokens += measured.input_tokens;
        sum.output_tokens += measured.output_tokens;
        sum.cost_pico += measured.cost_pico;
        sum.sync_pico += measured.sync_pico;
        sum.unpriced += i64::from(measured.unpriced);
    }
    sum
}

/// What an effect changes in the counts. A canceled job left them when it was
/// canceled; only its money is still to be counted.
fn changes(from: State, effect: &Effect) -> impl Iterator<Item = Change> {
    let Effect {
        released,
        next,
        measured,
        ..
    } = effect;
    let moved = effect
        .moved(from)
        .into_iter()
        .flat_map(move |(from, to)| Change::moved(released.group, from, to, 1));
    let ready = matches!(next, Next::Again { .. })
        .then(|| Change::ready(released.bucket, 1, i64::from(released.bytes)));
    let money = effect.billed.then_some(()).into_iter().flat_map(move |()| {
        [
            Some(delta::Of::Tenant),
            released.group.map(delta::Of::Group),
        ]
        .into_iter()
        .flatten()
        .map(move |of| Change {
            input_tokens: measured.input_tokens,
            output_tokens: measured.output_tokens,
            cost_pico: measured.cost_pico,
            sync_pico: measured.sync_pico,
            ..Change::count(of, delta::BILLED, 1)
        })
    });
    moved.chain(ready).chain(money)
}
