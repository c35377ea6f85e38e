//! A single job, from its tenant to its commit in one round trip.

use offpeak_domain::id::{JobId, KeyId, TenantId};
use offpeak_domain::job::{Detail, OnLate, OnUnknown, State};
use offpeak_domain::money::Pico;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Job, NewJob, seconds};
use crate::budget::Refused;
use crate::job_type::Newest;
use crate::sealed::Piece;
use crate::{Error, Result, Tenants, bucket, torture};

/// An idempotency key with what it is to stand for.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The app's key.
    pub key: &'a str,
    /// SHA-256 of the request's body.
    pub body_hash: &'a [u8; 32],
}

/// What became of a submit.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// The job is stored durably, in the queue; as it stood at this time.
    Stored(Box<Job>, OffsetDateTime),
    /// The key stands for this job, made before from the same body.
    Before(JobId),
    /// Nothing was done: the job type has another newest version by now.
    Outdated,
    /// Nothing was done: the tenant has budgets, and what the job is expected to cost
    /// was not said.
    Unestimated,
    /// Nothing was done: the API key opens nothing, or not this tenant.
    Revoked,
}

/// Stores a job that belongs to no group and puts it into the queue, in a
/// transaction of its own that sees the rows of `tenant` and no others. The id
/// comes undated, minted as of 1970, and gets the database's time.
///
/// `key` is the tenant's API key that was presented: in the same transaction it
/// must be there, not be revoked, and its time not over. None for a session, which was
/// looked up for this request; it takes two round trips more.
///
/// `assumed` is the newest version of the job's type as it is remembered, to be
/// confirmed in the same transaction; none when it has just been looked up.
///
/// A key that stands for another body or for a group is [`Error::KeyReused`].
/// [`Error::OverBudget`] when a hard budget has no room, and the key stands for
/// nothing. Waits while another transaction is claiming the same key.
pub async fn submit(
    tenants: &Tenants,
    (tenant, key): (TenantId, Option<KeyId>),
    job: NewJob,
    claim: Option<Claim<'_>>,
    assumed: Option<Newest>,
) -> Result<Submitted> {
    let bucket = bucket::id(job.upstream, &job.model, "", job.prefix.as_ref());
    let bigint = |amount: Pico| amount.as_i64().unwrap_or(i64::MAX);
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let (name, version) = job.job_type.clone().unzip();
    let mut bound = match key {
        Some(_) => None,
        None => Some(tenants.begin(tenant).await?),
    };
    // Without a transaction of its own the statement asks whether the data key is there.
    let (sealed_by, seal) = match &bound {
        Some(tx) => (None, tx.seal().clone()),
        None => tenants.sealing(tenant).await?,
    };
    let (params, params_key) = seal.column(Piece::Params(job.id.as_uuid()), &job.params)?;
    // No explicit transaction: the statement is one. sqlx gives its row only
    // when the server is ready for the next, which is after the commit.
    let submit = sqlx::query!(
        r#"SELECT one.outcome AS "outcome!", one.job, one.at, one.source,
                  (one.refused).budget_id, (one.refused).scope, (one.refused).name,
                  (one.refused).period, (one.refused).period_start, (one.refused).limit_pico,
                  (one.refused).left_pico, (one.refused).wanted_pico, (one.refused).place,
                  (one.refused).at AS refused_at
             FROM submit_sealed($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
                                $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
                                $26, $27, $28, $29, $30) AS one"#,
        torture::bound(tenant).as_uuid(),
        key.map(KeyId::as_uuid) as Option<Uuid>,
        job.id.as_uuid(),
        claim.map(|claim| claim.key),
        claim.map(|claim| &claim.body_hash[..]),
        name,
        version.and_then(|version| i32::try_from(version).ok()),
        assumed.map(|newest| newest.shipped),
        job.user,
        job.model,
        job.upstream.as_uuid(),
        bucket.as_uuid(),
        job.priority,
        job.metadata,
        job.structured,
        &*params,
        job.lane.as_str(),
        job.terms.within.map(seconds),
        job.terms.on_late.map(OnLate::as_str),
        job.terms.on_unknown.map(OnUnknown::as_str),
        job.prefix.as_ref().map(|prefix| &prefix.hash[..]),
        job.prefix.map(|prefix| int(prefix.mark_at)),
        job.prefix.map(|prefix| int(prefix.tokens)),
        job.expected.map(|expected| bigint(expected.plain)),
        job.expected.map(|expected| bigint(expected.cost)),
        job.sharing.as_ref().map(|sharing| &sharing.hash[..]),
        job.sharing
            .and_then(|sharing| sharing.reuse_for)
            .map(seconds),
        i32::try_from(job.params.len()).unwrap_or(i32::MAX),
        params_key,
        sealed_by,
    );
    // The function sets the tenant itself, by the one that it is given. A key has to be
    // that tenant's, which is a second look; without one the session is that.
    let row = if let Some(mut tx) = bound.take() {
        let row = submit.fetch_one(tx.conn()).await?;
        tx.commit_unmoved().await?;
        row
    } else {
        submit.fetch_one(&tenants.pool).await?
    };
    let (id, at) = match (row.outcome.as_str(), row.job.map(JobId::from_uuid), row.at) {
        ("stored", Some(id), Some(at)) => (id, at),
        ("before", Some(id), _) => return Ok(Submitted::Before(id)),
        ("outdated", _, _) => return Ok(Submitted::Outdated),
        ("unestimated", _, _) => return Ok(Submitted::Unestimated),
        ("over_budget", _, _) => {
            let refused = Refused {
                budget_id: row.budget_id,
                scope: row.scope,
                name: row.name,
                period: row.period,
                period_start: row.period_start,
                limit_pico: row.limit_pico,
                left_pico: row.left_pico,
                wanted_pico: row.wanted_pico,
                place: row.place,
                at: row.refused_at,
            };
            return Err(refused.into_error());
        }
        ("revoked", _, _) => return Ok(Submitted::Revoked),
        ("unkeyed", _, _) => {
            tenants.sealer.forget(tenant);
            return Err(Error::NoDataKey);
        }
        ("reused", _, _) => return Err(Error::KeyReused),
        ("busy", _, _) => return Err(Error::KeyBusy),
        _ => {
            return Err(Error::Unknown {
                column: "submit_sealed.outcome",
                value: row.outcome,
            });
        }
    };
    let stored = Job {
        id,
        group: None,
        job_type: job.job_type,
        user: job.user,
        model: job.model,
        lane: job.lane,
        priority: job.priority,
        metadata: job.metadata,
        state: State::Queued,
        detail: Some(match row.source {
            Some(_) => Detail::Sharing,
            None => Detail::Waiting,
        }),
        source: row.source.map(JobId::from_uuid),
        attempt: 1,
        batch: None,
        expires_at: None,
        batch_made: None,
        within: job.terms.within,
        on_late: job.terms.on_late,
        deadline: job.terms.within.map(|within| at + within),
        end: None,
    };
    Ok(Submitted::Stored(Box::new(stored), at))
}
