//! For which database an upstream's list was compared: what keeps a restored
//! backup, or a standby that took over, from sending what was sent before.

use offpeak_domain::comparison::{Cause, Database, Standing, UnderWay};
use offpeak_domain::id::{JobId, UpstreamId};
use time::OffsetDateTime;

use crate::access::Write as _;
use crate::incident::{self, Note};
use crate::job::known as word;
use crate::{Result, System};

/// An upstream's standing, as an operator reads it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Which.
    pub upstream: UpstreamId,
    /// For a person.
    pub name: String,
    /// How far it has been compared; nothing before the first start of a worker.
    pub standing: Option<Standing>,
    /// When it was compared last, other than at the first start.
    pub compared_at: Option<OffsetDateTime>,
}

/// The database as it shows itself now.
pub async fn present(system: &System) -> Result<Database> {
    Ok(sqlx::query_as!(
        Database,
        r#"SELECT incarnation() AS "incarnation!", pg_postmaster_start_time() AS "started_at!""#
    )
    .fetch_one(&system.pool)
    .await?)
}

/// Every upstream with its standing, by id.
pub async fn all(system: &System) -> Result<Vec<Shown>> {
    let rows = sqlx::query!(
        r#"SELECT u.id, u.name, c.upstream_id AS "known?", c.incarnation AS "incarnation?",
                  c.started_at, c.compared_at, c.alive_at AS "alive_at?", c.cause,
                  c.of_incarnation, c.of_started_at, c.noticed_at, c.listings AS "listings?",
                  c.listed_at
             FROM upstream u
             LEFT JOIN comparison c ON c.upstream_id = u.id
            ORDER BY u.id
            LIMIT 10000"#
    )
    .fetch_all(&system.pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let cause: Option<Cause> = row
                .cause
                .map(|cause| word("comparison.cause", cause))
                .transpose()?;
            let under_way = match (cause, row.of_incarnation, row.of_started_at, row.noticed_at) {
                (Some(cause), Some(incarnation), Some(started_at), Some(noticed_at)) => {
                    Some(UnderWay {
                        of: Database {
                            incarnation,
                            started_at,
                        },
                        cause,
                        noticed_at,
                        listings: u32::try_from(row.listings.unwrap_or(0)).unwrap_or(0),
                        listed_at: row.listed_at,
                    })
                }
                _ => None,
            };
            let compared = row
                .incarnation
                .zip(row.started_at)
                .map(|(incarnation, started_at)| Database {
                    incarnation,
                    started_at,
                });
            Ok(Shown {
                upstream: UpstreamId::from_uuid(row.id),
                name: row.name,
                standing: row.alive_at.map(|alive_at| Standing {
                    compared,
                    alive_at,
                    under_way,
                }),
                compared_at: row.compared_at,
            })
        })
        .collect()
}

/// One upstream's standing.
pub async fn standing(system: &System, upstream: UpstreamId) -> Result<Option<Standing>> {
    let all = all(system).await?;
    Ok(all
        .into_iter()
        .find(|shown| shown.upstream == upstream)
        .and_then(|shown| shown.standing))
}

/// Whether the upstream's list was compared for the present database: what
/// `batch::begin_send` asks in its own statement.
pub async fn is_compared(system: &System, upstream: UpstreamId) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM comparison
                           WHERE upstream_id = $1 AND incarnation = incarnation()
                             AND started_at = pg_postmaster_start_time()) AS "is!""#,
        upstream.as_uuid(),
    )
    .fetch_one(&system.pool)
    .await?)
}

/// The last trace of a batch to this upstream, or else when the oldest job that
/// waits for it was accepted.
pub async fn before(system: &System, upstream: UpstreamId) -> Result<Option<OffsetDateTime>> {
    let row = sqlx::query!(
        r#"SELECT (SELECT max(greatest(planned_at, sent_at, ended_at, ingested_at))
                     FROM batch
                    WHERE upstream_id = $1) AS batch,
                  (SELECT r.id
                     FROM ready r
                     JOIN bucket b ON b.tenant_id = r.tenant_id AND b.id = r.bucket_id
                    WHERE b.upstream_id = $1
                    ORDER BY r.id
                    LIMIT 1) AS job"#,
        upstream.as_uuid(),
    )
    .fetch_one(&system.pool)
    .await?;
    let job = row.job.map(|job| JobId::from_uuid(job).minted_at());
    Ok(row.batch.or(job))
}

/// The first start with this upstream that is known here, in a database that may
/// be an old backup: what was sent after `alive_at` may be missing.
pub async fn doubt(system: &System, upstream: UpstreamId, alive_at: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "INSERT INTO comparison (upstream_id, alive_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        upstream.as_uuid(),
        alive_at,
    )
    .write(system)
    .await?;
    Ok(())
}

/// The first start with this upstream: nothing was sent to it that could be
/// missing here.
pub async fn begin(system: &System, upstream: UpstreamId, at: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "INSERT INTO comparison (upstream_id, incarnation, started_at, alive_at)
         VALUES ($1, incarnation(), pg_postmaster_start_time(), $2)
             ON CONFLICT DO NOTHING",
        upstream.as_uuid(),
        at,
    )
    .write(system)
    .await?;
    Ok(())
}

/// The database that was compared is still the present one.
pub async fn alive(system: &System, upstream: UpstreamId, at: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "UPDATE comparison SET alive_at = greatest(alive_at, $2)
          WHERE upstream_id = $1 AND incarnation = incarnation()
            AND started_at = pg_postmaster_start_time()",
        upstream.as_uuid(),
        at,
    )
    .write(system)
    .await?;
    Ok(())
}

/// A comparison begins; with what the operator has to know, if anything.
pub async fn notice(
    system: &System,
    upstream: UpstreamId,
    of: &Database,
    cause: Cause,
    at: OffsetDateTime,
    note: Option<&Note<'_>>,
) -> Result<()> {
    let mut tx = system.begin_write().await?;
    sqlx::query!(
        "UPDATE comparison
            SET cause = $4, of_incarnation = $2, of_started_at = $3, noticed_at = $5,
                listings = 0, listed_at = NULL
          WHERE upstream_id = $1",
        upstream.as_uuid(),
        of.incarnation,
        of.started_at,
        cause.as_str(),
        at,
    )
    .execute(tx.conn())
    .await?;
    if let Some(note) = note {
        incident::note_anew(tx.conn(), note).await?;
    }
    tx.commit().await
}

/// A complete listing was made that began at `at`.
pub async fn listed(
    system: &System,
    upstream: UpstreamId,
    of: &Database,
    at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE comparison SET listings = listings + 1, listed_at = $4
          WHERE upstream_id = $1 AND of_incarnation = $2 AND of_started_at = $3",
        upstream.as_uuid(),
        of.incarnation,
        of.started_at,
        at,
    )
    .write(system)
    .await?;
    Ok(())
}

/// The comparison is done: from here on may be sent, if the database is still
/// the one that it was made for.
pub async fn done(
    system: &System,
    upstream: UpstreamId,
    of: &Database,
    at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "UPDATE comparison
            SET incarnation = of_incarnation, started_at = of_started_at, compared_at = $4,
                alive_at = $4, cause = NULL, of_incarnation = NULL, of_started_at = NULL,
                noticed_at = NULL, listings = 0, listed_at = NULL
          WHERE upstream_id = $1 AND of_incarnation = $2 AND of_started_at = $3",
        upstream.as_uuid(),
        of.incarnation,
        of.started_at,
        at,
    )
    .write(system)
    .await?;
    Ok(())
}

/// The operator says that every upstream's list is to be compared anew, back to
/// `since`: nothing is sent before. Returns how many upstreams that are.
pub async fn again(system: &System, since: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query!(
        "INSERT INTO comparison AS c (upstream_id, alive_at)
         SELECT id, $1 FROM upstream
             ON CONFLICT (upstream_id) DO UPDATE
            SET incarnation = NULL, started_at = NULL, alive_at = least(c.alive_at, $1),
                cause = NULL, of_incarnation = NULL, of_started_at = NULL, noticed_at = NULL,
                listings = 0, listed_at = NULL",
        since,
    )
    .write(system)
    .await?;
    Ok(done.rows_affected())
}
