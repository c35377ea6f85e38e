//! What came of it, seen from outside: by the stand-in's journal, by what the
//! client was promised, and by rows read as superuser. Nothing here is shared
//! with the worker, not even how a `custom_id` is read.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;
use sqlx::Row as _;

use crate::client::Promises;
use crate::say;
use crate::world::World;

/// Whether the stand-in hid what it had stored for longer than the settle time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Never: nothing may be paid beyond its attempts.
    Never,
    /// It did, or a sender was frozen at the write itself: what that billed is
    /// absorbed, each with its incident.
    Beyond,
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
}

impl Verdict {
    /// Whether all is well.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.paid_twice == 0 && self.violations.is_empty()
    }

    /// What the scenario of this name came to; that it broke off is a violation,
    /// too. Says what is wrong at once.
    pub fn of(name: &str, came: Result<Self>) -> Self {
        let mut verdict = came.unwrap_or_else(|error| Self {
            violations: vec![format!("{error:#}")],
            ..Self::default()
        });
        for wrong in &mut verdict.violations {
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
    }

    fn wrong(&mut self, what: String) {
        self.violations.push(what);
    }
}

/// Judges a world at rest.
pub async fn judge(world: &World, promises: &Promises, hidden: Hidden) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    promised(world, promises, &mut verdict).await?;
    paid(world, hidden, &mut verdict).await?;
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
        verdict.wrong(line);
    }
    Ok(())
}

/// Every promised job is there once, with a result; what completed has an answer.
async fn promised(world: &World, promises: &Promises, verdict: &mut Verdict) -> Result<()> {
    let rows = sqlx::query(
        "SELECT j.metadata::json ->> 'ref' AS ref, count(DISTINCT j.id) AS jobs,
                count(r.id) AS results,
                count(*) FILTER (WHERE r.outcome = 'completed' AND o.id IS NULL) AS bare
           FROM offpeak.job j
           LEFT JOIN offpeak.result r USING (tenant_id, id)
           LEFT JOIN offpeak.output o USING (tenant_id, id)
           LEFT JOIN offpeak.job_group g ON g.tenant_id = j.tenant_id AND g.id = j.group_id
          WHERE g.id IS NULL OR g.opened_at IS NOT NULL
          GROUP BY 1",
    )
    .fetch_all(&world.root)
    .await?;
    let mut found: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in rows {
        let reference: String = row.try_get("ref")?;
        let (jobs, results): (i64, i64) = (row.try_get("jobs")?, row.try_get("results")?);
        if jobs > 1 {
            verdict.wrong(format!("{reference} is {jobs} jobs"));
        }
        if row.try_get::<i64, _>("bare")? > 0 {
            verdict.wrong(format!("{reference} completed without an answer"));
        }
        found.insert(reference, (jobs, results));
    }
    let promises = promises.all();
    verdict.promised = promises.len() as u64;
    for reference in promises.keys() {
        match found.get(reference) {
            Some((_, 1)) => {}
            Some((_, results)) => {
                verdict.lost += u64::from(*results == 0);
                verdict.wrong(format!("{reference} has {results} results"));
            }
            None => {
                verdict.lost += 1;
                verdict.wrong(format!("{reference} was promised and is not there"));
            }
        }
    }
    Ok(())
}

/// One item in the journal.
struct Billed {
    message_batch: String,
    custom_id: String,
    job: String,
}

fn journal(world: &World) -> Result<Vec<Billed>> {
    let path = world.home.join("standin/journal.ndjson");
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line)?;
            let field = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let custom_id = field("custom_id");
            let job = custom_id.split('_').nth(1).unwrap_or_default().to_owned();
            Ok(Billed {
                message_batch: field("batch_id"),
                custom_id,
                job,
            })
        })
        .filter(|entry: &Result<Billed>| {
            // Somebody else's, in the same workspace.
            !matches!(entry, Ok(billed) if billed.custom_id.starts_with("foreign-"))
        })
        .collect()
}

/// Each billed item is booked once, to a tenant or as absorbed, and no job is
/// billed more often than it was rightly tried.
async fn paid(world: &World, hidden: Hidden, verdict: &mut Verdict) -> Result<()> {
    world.standin.settle_due().await;
    let journal = journal(world)?;
    // A right to be billed: the result, and each attempt that was billed and then
    // set aside for another one, by a user or by the rules.
    let rights: BTreeMap<String, i64> = sqlx::query(
        "SELECT id::text, count(*) AS rights
           FROM (SELECT id, batch_id, attempt FROM offpeak.result WHERE batch_id IS NOT NULL
                 UNION
                 SELECT id, batch_id, attempt FROM offpeak.attempt
                  WHERE batch_id IS NOT NULL AND outcome IN ('completed', 'failed', 'canceled')) AS t
          GROUP BY 1",
    )
    .fetch_all(&world.root)
    .await?
    .into_iter()
    .map(|row| Ok((row.try_get("id")?, row.try_get("rights")?)))
    .collect::<Result<_, sqlx::Error>>()?;
    let booked = pairs(
        world,
        "SELECT b.upstream_batch_id, l.id::text
           FROM offpeak.ledger l JOIN offpeak.batch b ON b.id = l.batch_id",
    )
    .await?;
    let absorbed = pairs(
        world,
        "SELECT upstream_batch_id, custom_id FROM offpeak.absorbed",
    )
    .await?;
    let mut billed: BTreeMap<String, i64> = BTreeMap::new();
    let mut booked_to_tenants = 0;
    for one in &journal {
        let job = uuid_of(&one.job).with_context(|| format!("no job in {}", one.custom_id))?;
        if absorbed.contains_key(&(one.message_batch.clone(), one.custom_id.clone())) {
            verdict.absorbed += 1;
            continue;
        }
        *billed.entry(job.clone()).or_default() += 1;
        match booked.get(&(one.message_batch.clone(), job.clone())) {
            Some(1) => booked_to_tenants += 1,
            Some(times) => verdict.wrong(format!("{} is booked {times} times", one.custom_id)),
            None => verdict.wrong(format!("{} was billed and not booked", one.custom_id)),
        }
    }
    let entries: i64 = booked.values().sum();
    if entries != booked_to_tenants {
        verdict.wrong(format!(
            "{entries} in the ledger, {booked_to_tenants} of them billed"
        ));
    }
    for (job, times) in billed {
        let right = rights.get(&job).copied().unwrap_or(0).max(1);
        verdict.paid_twice += u64::try_from(times - right).unwrap_or(0);
    }
    let incidents = world
        .number("SELECT count(*) FROM offpeak.incident WHERE absorbed_pico > 0")
        .await?;
    if verdict.absorbed > 0 && incidents == 0 {
        verdict.wrong(format!("{} absorbed without an incident", verdict.absorbed));
    }
    if hidden == Hidden::Never {
        // Nothing was hidden: somebody paid for it who need not have.
        verdict.paid_twice += std::mem::take(&mut verdict.absorbed);
    }
    Ok(())
}

async fn pairs(world: &World, sql: &'static str) -> Result<BTreeMap<(String, String), i64>> {
    let mut pairs = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(&world.root).await? {
        let batch: Option<String> = row.try_get(0)?;
        *pairs
            .entry((batch.unwrap_or_default(), row.try_get(1)?))
            .or_default() += 1;
    }
    Ok(pairs)
}

/// The 26 characters of an id, Crockford's base 32, as a UUID's text.
fn uuid_of(text: &str) -> Option<String> {
    const DIGITS: &str = "0123456789abcdefghjkmnpqrstvwxyz";
    let mut number: u128 = 0;
    for digit in text.chars() {
        let value = DIGITS.find(digit.to_ascii_lowercase())?;
        number = (number << 5) | value as u128;
    }
    let hex = format!("{number:032x}");
    (text.len() == 26).then(|| {
        let cut = |range: std::ops::Range<usize>| &hex[range];
        format!(
            "{}-{}-{}-{}-{}",
            cut(0..8),
            cut(8..12),
            cut(12..16),
            cut(16..20),
            cut(20..32)
        )
    })
}

/// The product's own checks, by the command that a user has.
async fn invariants(world: &World, verdict: &mut Verdict) -> Result<()> {
    let (code, said) = world.run(&["--json", "doctor", "--invariants"]).await?;
    if code == Some(0) {
        return Ok(());
    }
    let report: Value = serde_json::from_str(&said).unwrap_or(Value::String(said));
    verdict.wrong(format!("doctor --invariants: {report}"));
    Ok(())
}
