//! Who may do what only one process should do at a time. Times are the
//! database's; a holder that stops renewing is replaced after its term.
//!
//! Three things keep a holder that was held up from writing late. By its own
//! clock, which goes on while the machine sleeps, it stops some time before its
//! term is over ([`Term::is_trusted`]). Every transaction of a holder ends by
//! asking whether the term is still its own, and keeps the row locked until the
//! commit ([`guard`]), so that nobody takes over in between. And each change of
//! holder gives another epoch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use crate::bounded::Connection;
use crate::{Error, Result, System};

/// One holder's hold of a lease, for as long as the epoch is the same.
#[derive(Debug)]
pub struct Term {
    name: String,
    holder: Uuid,
    epoch: i64,
    length: Duration,
    /// On this machine's clock, in milliseconds.
    trusted_until: AtomicU64,
}

impl Term {
    fn new(name: &str, holder: Uuid, epoch: i64, length: Duration, asked: Duration) -> Self {
        let term = Self {
            name: name.to_owned(),
            holder,
            epoch,
            length,
            trusted_until: AtomicU64::new(0),
        };
        term.trust(asked);
        term
    }

    /// Which lease.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Grows with each change of holder, and when a holder comes back too late.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Whether the holder may still act on it: two thirds of the term, counted
    /// from before it was asked for.
    pub fn is_trusted(&self) -> bool {
        millis(uptime()) < self.trusted_until.load(Ordering::Relaxed)
    }

    /// Nothing may be written under it.
    pub(crate) fn fenced(&self) -> Error {
        Error::Fenced(self.name.clone())
    }

    fn trust(&self, asked: Duration) {
        let until = asked + self.length * 2 / 3;
        self.trusted_until.store(millis(until), Ordering::Relaxed);
    }
}

/// Time since this machine started, sleep included: what a deadline that only
/// this process knows is measured by.
#[must_use]
pub fn uptime() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Takes or renews a lease, or gives nothing while somebody else holds it.
pub async fn take(
    system: &System,
    name: &str,
    holder: Uuid,
    length: Duration,
) -> Result<Option<Term>> {
    let asked = uptime();
    let epoch = if system.term().is_none() {
        let mut conn = system.pool.acquire().await?;
        take_within(&mut conn, name, holder, length).await?
    } else {
        let mut tx = system.begin_write().await?;
        let epoch = take_within(tx.conn(), name, holder, length).await?;
        tx.commit().await?;
        epoch
    };
    Ok(epoch.map(|epoch| Term::new(name, holder, epoch, length, asked)))
}

async fn take_within(
    conn: &mut Connection,
    name: &str,
    holder: Uuid,
    length: Duration,
) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar!(
        "INSERT INTO lease AS l (name, holder, epoch, expires_at)
         VALUES ($1, $2, 1, clock_timestamp() + $3)
             ON CONFLICT (name) DO UPDATE
            SET holder = excluded.holder,
                -- Who comes back after its term does not go on with the old one.
                epoch = CASE WHEN l.holder = excluded.holder AND l.expires_at > clock_timestamp()
                             THEN l.epoch ELSE l.epoch + 1 END,
                expires_at = clock_timestamp() + $3
          WHERE l.holder = excluded.holder OR l.expires_at < clock_timestamp()
                -- Nobody takes so long a term: the clock was set back since, and the
                -- holder may be dead. If it is not, the epoch ends what it does.
             OR l.expires_at > clock_timestamp() + 2 * $3
         RETURNING epoch",
        name,
        holder,
        interval(length),
    )
    .fetch_optional(conn)
    .await?)
}

/// Renews a term that nobody has ended. False when it is over.
pub async fn renew(system: &System, term: &Term) -> Result<bool> {
    let asked = uptime();
    let done = sqlx::query!(
        "UPDATE lease SET expires_at = clock_timestamp() + $4
          WHERE name = $1 AND holder = $2 AND epoch = $3 AND expires_at > clock_timestamp()",
        term.name,
        term.holder,
        term.epoch,
        interval(term.length),
    )
    .execute(&system.pool)
    .await?;
    let renewed = done.rows_affected() == 1;
    if renewed {
        term.trust(asked);
    }
    Ok(renewed)
}

/// Refuses unless the term is still its holder's, and sees to it that it stays
/// so until this transaction ends.
pub(crate) async fn guard(conn: &mut Connection, term: &Term) -> Result<()> {
    let held = sqlx::query_scalar!(
        r#"SELECT true AS "held!"
             FROM lease
            WHERE name = $1 AND holder = $2 AND epoch = $3 AND expires_at > clock_timestamp()
              FOR SHARE"#,
        term.name,
        term.holder,
        term.epoch,
    )
    .fetch_optional(conn)
    .await?;
    // Asked last: the answer may have taken long.
    if held.is_some() && term.is_trusted() {
        Ok(())
    } else {
        Err(term.fenced())
    }
}

/// For how long somebody's lease goes on, unless it is renewed; nothing when it is
/// over.
pub async fn left(system: &System, name: &str) -> Result<Duration> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT greatest(extract(epoch FROM expires_at - clock_timestamp()), 0)::float8
                      AS "seconds!"
             FROM lease WHERE name = $1"#,
        name
    )
    .fetch_optional(&system.pool)
    .await?;
    Ok(Duration::from_secs_f64(seconds.unwrap_or(0.0)))
}

/// Ends every lease of a holder, so that the next process need not wait.
pub async fn resign(system: &System, holder: Uuid) -> Result<()> {
    sqlx::query!(
        "UPDATE lease SET expires_at = clock_timestamp() - interval '1 second' WHERE holder = $1",
        holder
    )
    .execute(&system.pool)
    .await?;
    Ok(())
}

/// A duration as PostgreSQL's interval, to the microsecond.
pub(crate) fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
