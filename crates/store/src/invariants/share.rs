//! Jobs that wait for the results of others.

use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Checked, interval, invariant};
use crate::Result;

/// `tend` forgets what is too old to be taken every minute, or once it is led by
/// somebody again.
const FORGOTTEN: Duration = Duration::from_hours(24);
/// It finds what a process of the version before has ended every ten minutes.
const MENDED: Duration = Duration::from_mins(15);

pub(super) async fn check(conn: &mut PgConnection, now: OffsetDateTime) -> Result<Vec<Checked>> {
    Ok(vec![
        invariant!(
            conn,
            "I3",
            "followers_led",
            "who follows a job is served once that has ended, and nobody else names one",
            "SELECT 'job ' || q.id
               FROM ready q
               LEFT JOIN job s ON s.tenant_id = q.tenant_id AND s.id = q.source_id
               LEFT JOIN result r ON r.tenant_id = s.tenant_id AND r.id = s.id
               LEFT JOIN shared ON shared.tenant_id = q.tenant_id AND shared.id = q.source_id
              WHERE (q.lane = 'follow') <> (q.source_id IS NOT NULL)
                 OR (q.source_id IS NOT NULL AND shared.id IS NULL
                     AND (s.id IS NULL OR r.ended_at < $1::timestamptz - $2::interval))
              UNION ALL
             -- It would wait for somebody who waits himself.
             SELECT 'job ' || q.id
               FROM ready q
               JOIN ready s ON s.tenant_id = q.tenant_id AND s.id = q.source_id
              WHERE q.lane = 'follow' AND s.lane = 'follow'",
            now,
            interval(MENDED)
        ),
        invariant!(
            conn,
            "I3",
            "leaders_open",
            "who leads those that ask the same is open, or has completed a while ago",
            "SELECT 'job ' || a.job_id
               FROM alike a
               LEFT JOIN job j ON j.tenant_id = a.tenant_id AND j.id = a.job_id
                              AND j.hash = a.hash
               LEFT JOIN result r ON r.tenant_id = a.tenant_id AND r.id = a.job_id
              WHERE j.id IS NULL
                 OR (a.ended_at IS NULL AND r.ended_at < $1::timestamptz - $3::interval)
                 OR (a.ended_at IS NOT NULL AND r.id IS NULL)
                 OR (a.ended_at IS NOT NULL AND r.outcome <> 'completed')
                 OR a.kept_until < $1::timestamptz - $2::interval",
            now,
            interval(FORGOTTEN),
            interval(MENDED)
        ),
    ])
}
