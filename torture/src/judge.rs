//! What came of it, seen from outside: by the stand-in's journal, by what the
//! client was promised, and by rows read as superuser. Nothing here is shared
//! with the worker, not even how a `custom_id` is read.

mod absorbed;
mod called;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use sqlx::Row as _;

use crate::client::Promises;
use crate::say;
use crate::world::{Unrest, World};

/// What may be absorbed in a world, as the stand-in knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Nothing: nothing may be paid beyond its attempts.
    Never,
    /// Lists leave out what is younger than this, which is longer than the settle
    /// time: a batch whose jobs were sent again while it was left out.
    For(Duration),
    /// A sender was frozen at the write itself: the one batch that it created on
    /// waking, after another one of the same jobs.
    AtTheWrite,
    /// The database has forgotten what it had accepted: what those jobs billed, once.
    Forgotten,
}

/// The verdict on one world, or the sum of several.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Jobs that were promised.
    pub promised: u64,
    /// Promised jobs that are not there, or have no result.
    pub lost: u64,
    /// Items that were billed beyond the recorded attempts of their job.
    pub paid_twice: u64,
    /// Of late twins that the stand-in hid: booked as the deployment's own.
    pub absorbed: u64,
    /// Whatever else is not as it must be.
    pub violations: Vec<String>,
    /// Worlds that did not come to rest in time.
    pub unrest: Vec<String>,
}

impl Verdict {
    /// Whether all is well.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.paid_twice == 0 && self.wrong() == 0
    }

    /// Violations of all kinds.
    pub fn wrong(&self) -> usize {
        self.violations.len() + self.unrest.len()
    }

    /// What the scenario of this name came to; that it broke off is a violation,
    /// too. Says what is wrong at once.
    pub fn of(name: &str, came: Result<Self>) -> Self {
        let mut verdict = came.unwrap_or_else(|error| Self {
            violations: vec![format!("{error:#}")],
            ..Self::default()
        });
        for wrong in verdict.violations.iter_mut().chain(&mut verdict.unrest) {
            *wrong = format!("{name}: {wrong}");
            say(&format!("WRONG {wrong}"));
        }
        verdict
    }

    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        self.promised += other.promised;
        self.lost += other.lost;
        self.paid_twice += other.paid_twice;
        self.absorbed += other.absorbed;
        self.violations.extend(other.violations);
        self.unrest.extend(other.unrest);
    }

    fn break_by(&mut self, what: String) {
        self.violations.push(what);
    }
}

/// Judges a world that was waited for: it is at rest, or that it is not is a part
/// of the verdict. Any other end of the wait is no verdict.
pub async fn judge(
    world: &World,
    promises: &Promises,
    hidden: Hidden,
    rest: Result<()>,
) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    if let Err(error) = rest {
        let Some(Unrest(what)) = error.downcast_ref() else {
            return Err(error);
        };
        verdict.unrest.push(what.clone());
    }
    promised(world, promises, &mut verdict).await?;
    absorbed::paid(world, hidden, &mut verdict).await?;
    called::called(world, &mut verdict).await?;
    told(world, &mut verdict).await?;
    invariants(world, &mut verdict).await?;
    Ok(verdict)
}

/// Whoever follows the events knows every change: each job's begin with its coming
/// into the queue, and no two that follow each other say the same. That the last
/// one is where it stands is one of the invariants.
async fn told(world: &World, verdict: &mut Verdict) -> Result<()> {
    let wrong: Vec<String> = sqlx::query_scalar(
        "WITH told AS (
             SELECT e.tenant_id, id, e.state,
                    lag(e.state) OVER (PARTITION BY e.tenant_id, id ORDER BY e.seq) AS before
               FROM offpeak.event e, unnest(e.ids) AS id
              WHERE e.kind = 'job')
         SELECT j.id || ' is told of as ' || coalesce(t.before || ', ', '')
                || coalesce(t.state, 'nothing')
           FROM offpeak.job j
           LEFT JOIN offpeak.job_group g ON g.tenant_id = j.tenant_id AND g.id = j.group_id
           LEFT JOIN told t ON t.tenant_id = j.tenant_id AND t.id = j.id
          WHERE (j.group_id IS NULL OR g.opened_at IS NOT NULL)
            AND CASE WHEN t.before IS NULL THEN t.state IS DISTINCT FROM 'queued'
                     ELSE t.state = t.before END
          ORDER BY 1",
    )
    .fetch_all(&world.root)
    .await?;
    for line in wrong {
        verdict.break_by(line);
    }
    Ok(())
}

/// Every promised job is there once, with a result; what completed has an answer.
/// One without a result is lost when nothing will give it one.
async fn promised(world: &World, promises: &Promises, verdict: &mut Verdict) -> Result<()> {
    let rows = sqlx::query(
        "SELECT j.metadata::json ->> 'ref' AS ref, count(DISTINCT j.id) AS jobs,
                count(r.id) AS results,
                count(*) FILTER (WHERE r.outcome = 'completed' AND o.id IS NULL) AS bare,
                bool_or(EXISTS (SELECT FROM offpeak.ready y
                                 WHERE y.tenant_id = j.tenant_id AND y.id = j.id)
                        OR EXISTS (SELECT FROM offpeak.inflight i
                                    WHERE i.tenant_id = j.tenant_id AND i.id = j.id)) AS open
           FROM offpeak.job j
           LEFT JOIN offpeak.result r USING (tenant_id, id)
           LEFT JOIN offpeak.output o USING (tenant_id, id)
           LEFT JOIN offpeak.job_group g ON g.tenant_id = j.tenant_id AND g.id = j.group_id
          WHERE g.id IS NULL OR g.opened_at IS NOT NULL
          GROUP BY 1",
    )
    .fetch_all(&world.root)
    .await?;
    let mut found: BTreeMap<String, (i64, bool)> = BTreeMap::new();
    for row in rows {
        let reference: String = row.try_get("ref")?;
        let (jobs, results): (i64, i64) = (row.try_get("jobs")?, row.try_get("results")?);
        if jobs > 1 {
            verdict.break_by(format!("{reference} is {jobs} jobs"));
        }
        if row.try_get::<i64, _>("bare")? > 0 {
            verdict.break_by(format!("{reference} completed without an answer"));
        }
        found.insert(reference, (results, row.try_get("open")?));
    }
    for twice in promises.twice() {
        verdict.break_by(twice);
    }
    let promises = promises.all();
    verdict.promised = promises.len() as u64;
    for reference in promises.keys() {
        match found.get(reference) {
            Some((1, _)) => {}
            Some((results, open)) => {
                verdict.lost += u64::from(*results == 0 && !open);
                verdict.break_by(format!("{reference} has {results} results"));
            }
            None => {
                verdict.lost += 1;
                verdict.break_by(format!("{reference} was promised and is not there"));
            }
        }
    }
    Ok(())
}

/// The product's own checks, by the command that a user has.
async fn invariants(world: &World, verdict: &mut Verdict) -> Result<()> {
    let (code, said) = world.run(&["--json", "doctor", "--invariants"]).await?;
    if code == Some(0) {
        return Ok(());
    }
    let report: Value = serde_json::from_str(&said).unwrap_or(Value::String(said));
    verdict.break_by(format!("doctor --invariants: {report}"));
    Ok(())
}
