//! Budgets: what a tenant may spend in all, by user and by job type, a day or a
//! month.
//!
//! A submit reserves, at its end, what its jobs are expected to cost ([`reserve`];
//! a single one in [`crate::job::one`]); whoever ends a job, or books for it, calls
//! [`settle`]. The rows of use are the last thing that a transaction locks, so that
//! it holds them as short as it can, and nobody waits in a ring. A tenant without
//! budgets has no row in any of these tables.

mod settle;
mod uses;

use std::fmt;

use offpeak_domain::budget::{Correction, Period, Scope};
use offpeak_domain::id::{BudgetId, JobId};
use offpeak_domain::money::Pico;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::group::pico;
use crate::job::{NewJob, known};
use crate::{Error, Result, TenantTx};

pub(crate) use settle::{Booked, release_group, release_staged, settle, spend_beside_jobs};
pub use settle::{purge, settle_forgotten};
pub use uses::{Use, uses};

/// Budgets of a tenant, at most: each submit looks at all of them.
pub const MAX: usize = 200;

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Which.
    pub id: BudgetId,
    /// What holds.
    pub terms: Terms,
    /// Since when it counts.
    pub created_at: OffsetDateTime,
}

/// What is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whose spending it counts.
    pub scope: Scope,
    /// A user's label or the name of a job type; none for each of them, and for a
    /// tenant's.
    pub name: Option<String>,
    /// For how long it is.
    pub period: Period,
    /// How much it is; a `bigint` holds it.
    pub limit: Pico,
    /// Whether it refuses what would exceed it, or only tells.
    pub hard: bool,
}

/// A job that a hard budget has no room for. Nothing of its request was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which budget.
    pub budget: BudgetId,
    /// Whose spending it counts.
    pub scope: Scope,
    /// Of which user or job type.
    pub name: Option<String>,
    /// For how long it is.
    pub period: Period,
    /// The first day of the next period.
    pub renews: Date,
    /// How much it is.
    pub limit: Pico,
    /// How much of it is left: before this job, after those before it in the request.
    pub left: Pico,
    /// What the job is expected to cost.
    pub wanted: Pico,
    /// Which of the request's jobs, from 0.
    pub place: usize,
    /// When it was asked for.
    pub at: OffsetDateTime,
}

/// For a person, without the user's label.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match (self.scope, &self.name) {
            (Scope::Tenant, _) | (_, None) => "your budget",
            (Scope::User, Some(_)) => "the budget of this user",
            (Scope::Type, Some(_)) => "the budget of this job type",
        };
        write!(
            f,
            "{whose} for the {} has {} left of {}, and the job is expected to cost {}; it renews \
             on {} at midnight (UTC)",
            self.period,
            self.left.to_rounded_string(),
            self.limit.to_rounded_string(),
            self.wanted.to_rounded_string(),
            self.renews,
        )
    }
}

/// The columns of the type `refusal`.
pub(crate) struct Refused {
    pub(crate) budget_id: Option<Uuid>,
    pub(crate) scope: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) period: Option<String>,
    pub(crate) period_start: Option<Date>,
    pub(crate) limit_pico: Option<i64>,
    pub(crate) left_pico: Option<i64>,
    pub(crate) wanted_pico: Option<i64>,
    pub(crate) place: Option<i32>,
    pub(crate) at: Option<OffsetDateTime>,
}

impl Refused {
    /// As an error.
    pub(crate) fn into_error(self) -> Error {
        match self.read() {
            Ok(refusal) => Error::OverBudget(Box::new(refusal)),
            Err(error) => error,
        }
    }

    fn read(self) -> Result<Refusal> {
        let amount = |n: Option<i64>| Pico(i128::from(n.unwrap_or(0)));
        let period: Period = known("budget.period", self.period.unwrap_or_default())?;
        let place = self.place.and_then(|place| usize::try_from(place).ok());
        Ok(Refusal {
            budget: BudgetId::from_uuid(self.budget_id.unwrap_or_default()),
            scope: known("budget.scope", self.scope.unwrap_or_default())?,
            name: self.name,
            period,
            renews: self
                .period_start
                .map_or(Date::MAX, |start| period.renews(start)),
            limit: amount(self.limit_pico),
            left: amount(self.left_pico),
            wanted: amount(self.wanted_pico),
            place: place.unwrap_or(1).saturating_sub(1),
            at: self.at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
        })
    }
}

/// Sets a budget, or changes that of the same scope, name and period, which keeps
/// its id and what it has counted. True when it is new; none when there are
/// [`MAX`] others.
pub async fn set(tx: &mut TenantTx, id: BudgetId, terms: Terms) -> Result<Option<(Budget, bool)>> {
    let (tenant, now) = (tx.tenant().as_uuid(), tx.now());
    // Two at once would count the same others.
    let others = sqlx::query_scalar!(
        r#"WITH alone AS MATERIALIZED (
               SELECT pg_advisory_xact_lock(hashtextextended('budget/' || $1::uuid, 0)))
           SELECT (SELECT count(*) FROM budget
                    WHERE tenant_id = $1
                      AND (scope, period, coalesce(name, '')) <> ($2, $3, coalesce($4, '')))
                  AS "others!"
             FROM alone"#,
        tenant,
        terms.scope.as_str(),
        terms.period.as_str(),
        terms.name,
    )
    .fetch_one(tx.conn())
    .await?;
    if usize::try_from(others).unwrap_or(MAX) >= MAX {
        return Ok(None);
    }
    let row = sqlx::query!(
        "INSERT INTO budget (tenant_id, id, scope, name, period, limit_pico, hard, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (tenant_id, scope, name, period)
             DO UPDATE SET limit_pico = excluded.limit_pico, hard = excluded.hard
         RETURNING id, created_at",
        tenant,
        id.as_uuid(),
        terms.scope.as_str(),
        terms.name,
        terms.period.as_str(),
        terms.limit.as_i64().unwrap_or(i64::MAX),
        terms.hard,
        now,
    )
    .fetch_one(tx.conn())
    .await?;
    // With another limit there is something to tell again.
    sqlx::query!(
        "UPDATE budget_use u SET warned_at = NULL
           FROM (SELECT of_name, period_start
                   FROM budget_use
                  WHERE tenant_id = $1 AND budget_id = $2 AND warned_at IS NOT NULL
                  ORDER BY of_name, period_start
                    FOR UPDATE) AS told
          WHERE u.tenant_id = $1 AND u.budget_id = $2
            AND u.of_name = told.of_name AND u.period_start = told.period_start",
        tenant,
        row.id,
    )
    .execute(tx.conn())
    .await?;
    let budget = Budget {
        id: BudgetId::from_uuid(row.id),
        terms,
        created_at: row.created_at,
    };
    let new = budget.id == id;
    Ok(Some((budget, new)))
}

/// Removes a budget. False when there is none. What was reserved under it goes with
/// its jobs.
pub async fn remove(tx: &mut TenantTx, id: BudgetId) -> Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM budget WHERE tenant_id = $1 AND id = $2",
        tx.tenant().as_uuid(),
        id.as_uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The tenant's budgets: its own, then users', then job types', by name.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<Budget>> {
    let rows = sqlx::query!(
        "SELECT id, scope, name, period, limit_pico, hard, created_at
           FROM budget
          WHERE tenant_id = $1
          ORDER BY array_position(ARRAY['tenant', 'user', 'type'], scope), name NULLS FIRST, period
          LIMIT $2",
        tx.tenant().as_uuid(),
        i64::try_from(2 * MAX).unwrap_or(i64::MAX),
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Budget {
                id: BudgetId::from_uuid(row.id),
                terms: Terms {
                    scope: known("budget.scope", row.scope)?,
                    name: row.name,
                    period: known("budget.period", row.period)?,
                    limit: Pico(i128::from(row.limit_pico)),
                    hard: row.hard,
                },
                created_at: row.created_at,
            })
        })
        .collect()
}

/// What jobs of a type and model were expected to cost, and have cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The job type; none of jobs with their own `params`.
    pub job_type: Option<String>,
    /// The model that was asked for.
    pub model: String,
    /// Jobs.
    pub jobs: u64,
    /// By the estimate alone.
    pub plain: Pico,
    /// As it was reserved.
    pub estimated: Pico,
    /// As it was billed.
    pub settled: Pico,
}

impl Measured {
    /// How the next one's estimate is corrected.
    pub fn correction(&self) -> Correction {
        Correction::of(self.jobs, self.plain, self.settled)
    }
}

/// What is known of the tenant's estimates; none when it has no budget, and needs
/// no estimate.
pub async fn measured(tx: &mut TenantTx) -> Result<Option<Vec<Measured>>> {
    let rows = sqlx::query!(
        r#"SELECT e.type AS "type?", e.model AS "model?", e.jobs AS "jobs?",
                  e.plain_pico::text AS plain_pico, e.estimated_pico::text AS estimated_pico,
                  e.settled_pico::text AS settled_pico
             FROM (SELECT $1::uuid AS tenant_id
                    WHERE EXISTS (SELECT FROM budget WHERE tenant_id = $1)) AS limited
             LEFT JOIN estimate_error e ON e.tenant_id = limited.tenant_id
            ORDER BY e.jobs DESC, e.type, e.model
            LIMIT 10000"#,
        tx.tenant().as_uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    rows.into_iter()
        .filter_map(|row| {
            let (job_type, model) = (row.r#type?, row.model?);
            let amount = |sum| pico("estimate_error", sum);
            let read = || {
                Ok(Measured {
                    job_type: Some(job_type).filter(|name| !name.is_empty()),
                    model,
                    jobs: row.jobs.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                    plain: amount(row.plain_pico)?,
                    estimated: amount(row.estimated_pico)?,
                    settled: amount(row.settled_pico)?,
                })
            };
            Some(read())
        })
        .collect::<Result<_>>()
        .map(Some)
}

/// Reserves what these jobs are expected to cost, as submitted `at`; to be called at
/// a transaction's end. Nothing is reserved for those without an estimate.
///
/// [`Error::OverBudget`] when a hard budget has no room for one of them: then the
/// transaction is to be dropped.
pub async fn reserve(tx: &mut TenantTx, at: OffsetDateTime, jobs: &[NewJob]) -> Result<()> {
    let wanted: Vec<Wanted<'_>> = jobs
        .iter()
        .map(|job| Wanted {
            job: job.id,
            user: job.user.as_deref(),
            job_type: job.job_type.as_ref().map(|(name, _)| name.as_str()),
            expected: job.expected,
        })
        .collect();
    reserve_all(tx, at, &wanted).await
}

/// A job, as far as budgets know it.
pub(crate) struct Wanted<'a> {
    pub(crate) job: JobId,
    pub(crate) user: Option<&'a str>,
    pub(crate) job_type: Option<&'a str>,
    pub(crate) expected: Option<offpeak_domain::budget::Expected>,
}

/// The same for jobs that are not new.
pub(crate) async fn reserve_all(
    tx: &mut TenantTx,
    at: OffsetDateTime,
    jobs: &[Wanted<'_>],
) -> Result<()> {
    if jobs.iter().all(|job| job.expected.is_none()) {
        return Ok(());
    }
    let bigint = |amount: Pico| amount.as_i64().unwrap_or(i64::MAX);
    let tenant = tx.tenant().as_uuid();
    let refused = sqlx::query_as!(
        Refused,
        "SELECT budget_id, scope, name, period, period_start, limit_pico, left_pico, wanted_pico,
                place, at
           FROM reserve($1, $2, $3, $4, $5, $6, $7)",
        tenant,
        &jobs.iter().map(|one| one.job.as_uuid()).collect::<Vec<_>>(),
        &jobs.iter().map(|one| one.user).collect::<Vec<_>>() as &[Option<&str>],
        &jobs.iter().map(|one| one.job_type).collect::<Vec<_>>() as &[Option<&str>],
        &jobs
            .iter()
            .map(|one| one.expected.map(|it| bigint(it.plain)))
            .collect::<Vec<_>>() as &[Option<i64>],
        &jobs
            .iter()
            .map(|one| one.expected.map(|it| bigint(it.cost)))
            .collect::<Vec<_>>() as &[Option<i64>],
        at,
    )
    .fetch_optional(tx.conn())
    .await?;
    if let Some(refused) = refused {
        return Err(refused.into_error());
    }
    // Of a budget that is used up, maybe.
    tx.conn().has_told();
    Ok(())
}
