//! Each billed item against the books: to a tenant once, or absorbed for a reason
//! that the stand-in itself knows of.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;
use sqlx::Row as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Hidden, Verdict};
use crate::world::{SETTLE_TIME, World};

/// One item in the journal.
struct Billed {
    message_batch: String,
    custom_id: String,
    job: String,
}

fn journal(world: &World) -> Result<Vec<Billed>> {
    let path = world.home.join("standin/journal.ndjson");
    let text = std::fs::read_to_string(path)?;
    let mut journal = Vec::new();
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line)?;
        let field = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let custom_id = field("custom_id");
        // Somebody else's, in the same workspace; or a direct call.
        if custom_id.starts_with("foreign-") || custom_id.is_empty() {
            continue;
        }
        let job = custom_id.split('_').nth(1).and_then(uuid_of);
        journal.push(Billed {
            message_batch: field("batch_id"),
            job: job.with_context(|| format!("no job in {custom_id}"))?,
            custom_id,
        });
    }
    Ok(journal)
}

/// Each billed item is booked once, to a tenant or as absorbed, and no job is
/// billed more often than it was rightly tried.
pub(super) async fn paid(world: &World, hidden: Hidden, verdict: &mut Verdict) -> Result<()> {
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
          WHERE batch_id NOT IN (SELECT id FROM offpeak.call)
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
           FROM offpeak.ledger l JOIN offpeak.batch b ON b.id = l.batch_id
          WHERE l.source_id IS NULL",
    )
    .await?;
    let mut absorbed = pairs(
        world,
        "SELECT upstream_batch_id, custom_id FROM offpeak.absorbed
          WHERE upstream_batch_id NOT LIKE 'call_%'",
    )
    .await?;
    let mut billed: BTreeMap<String, i64> = BTreeMap::new();
    let mut booked_to_tenants = 0;
    let mut twins: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in &journal {
        if absorbed
            .remove(&(one.message_batch.clone(), one.custom_id.clone()))
            .is_some()
        {
            twins.entry(&one.message_batch).or_default().push(&one.job);
            continue;
        }
        *billed.entry(one.job.clone()).or_default() += 1;
        match booked.get(&(one.message_batch.clone(), one.job.clone())) {
            Some(1) => booked_to_tenants += 1,
            Some(times) => verdict.break_by(format!("{} is booked {times} times", one.custom_id)),
            None => verdict.break_by(format!("{} was billed and not booked", one.custom_id)),
        }
    }
    let entries: i64 = booked.values().sum();
    if entries != booked_to_tenants {
        verdict.break_by(format!(
            "{entries} in the ledger, {booked_to_tenants} of them billed"
        ));
    }
    for (_, custom_id) in absorbed.keys() {
        verdict.break_by(format!("{custom_id} is absorbed and was not billed"));
    }
    for (job, times) in billed {
        let right = rights.get(&job).copied().unwrap_or(0).max(1);
        verdict.paid_twice += u64::try_from(times - right).unwrap_or(0);
    }
    if twins.is_empty() {
        return Ok(());
    }
    let incidents = incidents(world).await?;
    let excuses = Excuses::new(world, hidden, &journal, twins.len()).await?;
    for (batch, jobs) in twins {
        if !incidents.contains(batch) {
            verdict.break_by(format!("{batch} is absorbed without an incident"));
        }
        let rightly = jobs.iter().filter(|job| excuses.excuse(batch, job));
        let rightly = rightly.count() as u64;
        verdict.absorbed += rightly;
        // It was not hidden: somebody paid for it who need not have.
        verdict.paid_twice += jobs.len() as u64 - rightly;
    }
    Ok(())
}

/// Message batches of which an incident tells what was absorbed.
async fn incidents(world: &World) -> Result<BTreeSet<String>> {
    let told = sqlx::query_scalar(
        "SELECT upstream_batch_id FROM offpeak.incident
          WHERE upstream_batch_id IS NOT NULL AND absorbed_pico > 0",
    );
    Ok(told.fetch_all(&world.root).await?.into_iter().collect())
}

/// What the stand-in knows of the batches that were absorbed.
struct Excuses<'a> {
    hidden: Hidden,
    /// When each message batch was created.
    created: BTreeMap<String, OffsetDateTime>,
    /// The message batches that billed each job.
    of_job: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Jobs that the database has.
    known: BTreeSet<String>,
    /// How many message batches were absorbed.
    twins: usize,
}

impl<'a> Excuses<'a> {
    async fn new(
        world: &World,
        hidden: Hidden,
        journal: &'a [Billed],
        twins: usize,
    ) -> Result<Self> {
        let url = format!("{}/_standin/state", world.standin_url);
        let state = world.http.get(url).send().await?.text().await?;
        let state: Value = serde_json::from_str(&state)?;
        let mut created = BTreeMap::new();
        for one in state["batches"].as_array().into_iter().flatten() {
            let text = |name: &str| one["batch"][name].as_str().unwrap_or_default();
            let at = OffsetDateTime::parse(text("created_at"), &Rfc3339)?;
            created.insert(text("id").to_owned(), at);
        }
        let mut of_job: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for one in journal {
            let batches = of_job.entry(&one.job).or_default();
            batches.insert(&one.message_batch);
        }
        let jobs = sqlx::query_scalar("SELECT id::text FROM offpeak.job");
        Ok(Self {
            hidden,
            created,
            of_job,
            known: jobs.fetch_all(&world.root).await?.into_iter().collect(),
            twins,
        })
    }

    /// Whether what this message batch billed for this job may be absorbed.
    fn excuse(&self, batch: &str, job: &str) -> bool {
        let Some(created) = self.created.get(batch) else {
            return false;
        };
        let batches = self.of_job.get(job).into_iter().flatten();
        let mut others = batches
            .filter(|other| **other != batch)
            .filter_map(|other| self.created.get(*other));
        match self.hidden {
            Hidden::Never => false,
            Hidden::For(lag) => {
                // Sent again before any list has shown it, and not before it was
                // looked for all the settle time; or never, when it was canceled.
                let again = others.filter(|other| *other > created).min();
                again.is_none_or(|again| (SETTLE_TIME..lag).contains(&(*again - *created)))
            }
            Hidden::AtTheWrite => self.twins == 1 && others.any(|other| other < created),
            Hidden::Forgotten => !self.known.contains(job) && others.next().is_none(),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use time::macros::datetime;

    use super::{Excuses, Hidden};

    /// Two message batches billed one job, the second so many seconds after the first.
    fn twice(hidden: Hidden, seconds: u64) -> Excuses<'static> {
        let first = datetime!(2026-11-27 12:00 UTC);
        let second = first + Duration::from_secs(seconds);
        Excuses {
            hidden,
            created: BTreeMap::from([("m1".to_owned(), first), ("m2".to_owned(), second)]),
            of_job: BTreeMap::from([
                ("job", BTreeSet::from(["m1", "m2"])),
                ("canceled", BTreeSet::from(["m1"])),
            ]),
            known: BTreeSet::from(["job".to_owned()]),
            twins: 1,
        }
    }

    #[test]
    fn only_what_was_hidden_all_the_time_is_excused() {
        let hidden = Hidden::For(Duration::from_secs(18));
        for (seconds, excused) in [(5, false), (6, true), (17, true), (18, false), (30, false)] {
            let excuses = twice(hidden, seconds);
            assert_eq!(excuses.excuse("m1", "job"), excused, "{seconds}");
        }
        assert!(twice(hidden, 5).excuse("m1", "canceled"));
        assert!(!twice(Hidden::Never, 10).excuse("m1", "job"));
    }

    #[test]
    fn a_late_write_is_the_later_one_and_alone() {
        let mut excuses = twice(Hidden::AtTheWrite, 10);
        assert!(excuses.excuse("m2", "job"));
        assert!(!excuses.excuse("m1", "job"));
        excuses.twins = 2;
        assert!(!excuses.excuse("m2", "job"));
    }

    #[test]
    fn forgotten_is_what_the_database_does_not_know_and_was_billed_once() {
        let excuses = twice(Hidden::Forgotten, 10);
        assert!(excuses.excuse("m1", "canceled"));
        assert!(!excuses.excuse("m1", "job"));
    }
}
