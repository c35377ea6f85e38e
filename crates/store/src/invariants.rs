//! What must always hold of the rows, as SQL that gives back what breaks it. The
//! operator runs it with `offpeak doctor --invariants`, tests after each story.
//!
//! It reads one snapshot, so it is right while work goes on, and locks nothing.
//! It never writes, and shows ids only: no prompt, no result, no metadata.
//!
//! Each check bears the number of the invariant that it stands for. Some have no
//! check here: a preference of the planner (16, sends that can be told apart by
//! their size), what only an outside journal can tell (4, 25 to 29), what the keys
//! of the tables rule out by themselves (two results of a job, 9), the history of
//! a state, of which no rows are kept (11, but for its end), and what does not
//! exist yet: webhooks (22). What a client saw of the events (21) is
//! shown by `crates/offpeak/tests/it/live.rs`.

mod batches;
mod budgets;
mod counts;
mod events;
mod jobs;
mod money;
mod share;
mod walls;

use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::lease::interval;
use crate::{Result, System};

/// Longest that one check may take: some read whole tables of a busy system.
const LONGEST: Duration = Duration::from_mins(10);

/// One invariant, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its number, such as `I3`.
    pub number: &'static str,
    /// Its name, one word for programs.
    pub name: &'static str,
    /// What must hold, in one sentence.
    pub says: &'static str,
    /// How many things break it.
    pub broken: u64,
    /// The first of them, each a word and an id.
    pub sample: Vec<String>,
}

/// What breaks one check.
struct Found {
    broken: i64,
    sample: Vec<String>,
}

/// Asks for what breaks an invariant. The statement gives one row for each such
/// thing, with its `id` as text, and none when all is well.
macro_rules! invariant {
    ($conn:expr, $number:literal, $name:literal, $says:literal, $broken:tt $(, $arg:expr)*) => {{
        // Written out once, not held in memory, however much is broken.
        let found = sqlx::query_as!(
            $crate::invariants::Found,
            "WITH broken (id) AS MATERIALIZED (" + $broken + "
             )
             SELECT (SELECT count(*) FROM broken) AS \"broken!\",
                    ARRAY(SELECT id FROM broken ORDER BY id LIMIT 5) AS \"sample!\""
            $(, $arg)*
        )
        .fetch_one(&mut *$conn)
        .await?;
        $crate::invariants::Checked {
            number: $number,
            name: $name,
            says: $says,
            broken: u64::try_from(found.broken).unwrap_or(0),
            sample: found.sample,
        }
    }};
}
use invariant;

/// Checks every invariant on one snapshot of a database that may be at work.
/// `now` judges what is late.
pub async fn check(system: &System, now: OffsetDateTime) -> Result<Vec<Checked>> {
    let mut tx = system.pool.snapshot().await?;
    sqlx::query_scalar!(
        "SELECT set_config('statement_timeout', $1, true)",
        format!("{}ms", LONGEST.as_millis()),
    )
    .fetch_one(&mut *tx)
    .await?;
    let checked = check_within(&mut tx, now).await?;
    tx.rollback().await?;
    Ok(checked)
}

/// The same within a transaction of the caller, who sees to the snapshot. It
/// needs the rights of the worker's role.
pub async fn check_within(conn: &mut PgConnection, now: OffsetDateTime) -> Result<Vec<Checked>> {
    let mut checked = Vec::new();
    checked.extend(jobs::check(conn).await?);
    checked.extend(batches::check(conn, now).await?);
    checked.extend(share::check(conn, now).await?);
    checked.extend(money::check(conn).await?);
    checked.extend(budgets::check(conn).await?);
    checked.extend(counts::check(conn).await?);
    checked.extend(events::check(conn).await?);
    checked.extend(walls::check(conn).await?);
    Ok(checked)
}
