//! How long batches and direct calls took: counted when they end, read as sums.

use std::time::Duration;

use offpeak_domain::id::UpstreamId;
use offpeak_domain::job::Lane;
use offpeak_domain::turnaround::{Cell, DAYS, Turnaround, bin_of, size_of};
use time::OffsetDateTime;

use crate::access::Write as _;
use crate::bounded::Connection;
use crate::{Result, System, Tenants};

/// One that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// Where.
    pub upstream: UpstreamId,
    /// Which kind.
    pub lane: Lane,
    /// When it began.
    pub begun: OffsetDateTime,
    /// Requests in it.
    pub items: u64,
    /// How long it took.
    pub time: Duration,
}

/// Counts it.
pub(crate) async fn note(conn: &mut Connection, took: &Took) -> Result<()> {
    sqlx::query!(
        "INSERT INTO turnaround AS t (upstream_id, lane, day, hour, size, bin, n)
         VALUES ($1, $2, $3, $4, $5, $6, 1)
             ON CONFLICT (upstream_id, lane, day, hour, size, bin) DO UPDATE SET n = t.n + 1",
        took.upstream.as_uuid(),
        took.lane.as_str(),
        took.begun.date(),
        i16::from(took.begun.hour()),
        i16::from(size_of(took.items)),
        i16::from(bin_of(took.time)),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A row of sums.
struct Row {
    lane: String,
    hour: i16,
    size: i16,
    bin: i16,
    n: i64,
}

/// What was measured lately of an upstream, by lane.
#[derive(Clone, Debug, Default)]
pub struct Lately {
    /// Of batches.
    pub batch: Turnaround,
    /// Of direct calls.
    pub direct: Turnaround,
}

impl Lately {
    fn new(rows: &[Row]) -> Self {
        let of = |lane: Lane| {
            let cells = rows.iter().filter(|row| row.lane == lane.as_str());
            let small = |n: i16| u8::try_from(n).unwrap_or(u8::MAX);
            Turnaround::new(
                cells
                    .map(|row| Cell {
                        hour: small(row.hour),
                        size: small(row.size),
                        bin: small(row.bin),
                        n: u64::try_from(row.n).unwrap_or(0),
                    })
                    .collect(),
            )
        };
        Self {
            batch: of(Lane::Batch),
            direct: of(Lane::Direct),
        }
    }
}

/// What was measured of an upstream in the days before `now`, for the worker.
pub async fn lately(system: &System, upstream: UpstreamId, now: OffsetDateTime) -> Result<Lately> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT lane, hour, size, bin, sum(n)::bigint AS "n!"
             FROM turnaround
            WHERE upstream_id = $1 AND day > $2::timestamptz::date - $3::integer
            GROUP BY lane, hour, size, bin
            ORDER BY lane, hour, size, bin
            LIMIT 100000"#,
        upstream.as_uuid(),
        now,
        i32::from(DAYS),
    )
    .fetch_all(&system.pool)
    .await?;
    Ok(Lately::new(&rows))
}

/// The same for the API, until now, and what time that is.
pub async fn lately_shown(
    tenants: &Tenants,
    upstream: UpstreamId,
) -> Result<(Lately, OffsetDateTime)> {
    let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
        .fetch_one(&tenants.pool)
        .await?;
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT lane, hour, size, bin, sum(n)::bigint AS "n!"
             FROM turnaround
            WHERE upstream_id = $1 AND day > clock_timestamp()::date - $2::integer
            GROUP BY lane, hour, size, bin
            ORDER BY lane, hour, size, bin
            LIMIT 100000"#,
        upstream.as_uuid(),
        i32::from(DAYS),
    )
    .fetch_all(&tenants.pool)
    .await?;
    Ok((Lately::new(&rows), now))
}

/// Forgets what is no longer lately: so the table has an end.
pub async fn purge(system: &System, now: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM turnaround WHERE day < $1::timestamptz::date - $2::integer",
        now,
        2 * i32::from(DAYS),
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}
