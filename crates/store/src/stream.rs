//! A tenant's numbered events, as the API reads them.

pub mod counts;

use offpeak_domain::id::{BatchId, BudgetId, GroupId, JobId, OperationId};
use offpeak_domain::job::State;
use offpeak_domain::money::Pico;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::event::UserKey;
use crate::{Result, TenantTx};

/// How far a tenant's stream reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Changes with the database, whose last transactions may be missing after a
    /// failover or a restore: numbers of another epoch mean nothing.
    pub epoch: String,
    /// The last number; 0 before the first event.
    pub seq: u64,
    /// The first number that is still there; one above `seq` when none is.
    pub oldest: u64,
}

/// One numbered event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number in the tenant's stream, without a gap.
    pub seq: u64,
    /// When it happened.
    pub at: OffsetDateTime,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Jobs came into a state.
    Jobs {
        /// Which state.
        state: State,
        /// Why they failed.
        label: Option<String>,
        /// The batch by which they did.
        batch: Option<BatchId>,
        /// The jobs.
        jobs: Vec<Job>,
    },
    /// A batch came into a state.
    Batch {
        /// Which batch.
        batch: BatchId,
        /// Which state.
        state: offpeak_domain::batch::State,
    },
    /// Attempts were billed.
    Usage(Usage),
    /// A budget is used up, or nearly.
    Budget(Budget),
    /// An operation came further, or to its end.
    Operation {
        /// Which operation.
        operation: OperationId,
        /// How far it is.
        state: offpeak_domain::operation::State,
    },
    /// Something that only a newer version knows.
    Other,
}

/// One job in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// Its group.
    pub group: Option<GroupId>,
    /// Whose it is in the app.
    pub user: Option<UserKey>,
    /// What the attempt that ended it cost.
    pub cost: Option<Pico>,
}

/// How much of a budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Which.
    pub id: BudgetId,
    /// Whether it refuses what would exceed it.
    pub hard: bool,
    /// What is reserved and spent.
    pub used: Pico,
    /// How much it is.
    pub limit: Pico,
}

/// What was billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Attempts.
    pub attempts: u64,
    /// Input tokens outside of caches.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// What it cost.
    pub cost: Pico,
    /// What it would have cost synchronously and without a cache.
    pub cost_sync: Pico,
    /// Attempts whose price is not known; their money is in none of the sums.
    pub unpriced: u64,
}

/// How far the tenant's stream reaches.
pub async fn head(tx: &mut TenantTx) -> Result<Head> {
    let row = sqlx::query!(
        r#"SELECT left(encode(sha256(convert_to(incarnation(), 'UTF8')), 'hex'), 8) AS "epoch!",
                  coalesce((SELECT seq FROM stream WHERE tenant_id = $1), 0) AS "seq!",
                  (SELECT seq FROM event WHERE tenant_id = $1 ORDER BY seq LIMIT 1) AS oldest"#,
        tx.tenant().as_uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    let seq = u64::try_from(row.seq).unwrap_or(0);
    Ok(Head {
        epoch: row.epoch,
        seq,
        oldest: row
            .oldest
            .and_then(|oldest| u64::try_from(oldest).ok())
            .unwrap_or(seq + 1),
    })
}

/// The tenant's events after a number, in order: at least one if there is one, and
/// at most one more than have so many jobs.
pub async fn after(tx: &mut TenantTx, seq: u64, jobs: u32) -> Result<Vec<Event>> {
    let rows = sqlx::query!(
        r#"SELECT seq AS "seq!", at AS "at!", kind AS "kind!", state, label, batch_id,
                  ids, groups AS "groups: Vec<Option<Uuid>>", users AS "users: Vec<Option<Uuid>>",
                  costs AS "costs: Vec<Option<i64>>", n, input_tokens, output_tokens, cost_pico,
                  sync_pico, unpriced
             FROM (SELECT *, sum(coalesce(cardinality(ids), 1)) OVER (ORDER BY seq)
                             - coalesce(cardinality(ids), 1) AS before
                     FROM (SELECT * FROM event
                            WHERE tenant_id = $1 AND seq > $2
                            ORDER BY seq
                            LIMIT 1000) AS next) AS counted
            WHERE before < $3
            ORDER BY seq
            LIMIT 1000"#,
        tx.tenant().as_uuid(),
        i64::try_from(seq).unwrap_or(i64::MAX),
        i64::from(jobs),
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let ids = row.ids.unwrap_or_default();
        let state = row.state.as_deref().unwrap_or_default();
        let (of_jobs, of_batch) = (state.parse(), state.parse());
        let what = match (row.kind.as_str(), of_jobs, of_batch) {
            ("job", Ok(state), _) => What::Jobs {
                state,
                label: row.label,
                batch: row.batch_id.map(BatchId::from_uuid),
                jobs: ids
                    .into_iter()
                    .enumerate()
                    .map(|(place, id)| Job {
                        id: JobId::from_uuid(id),
                        group: at(row.groups.as_ref(), place).map(GroupId::from_uuid),
                        user: at(row.users.as_ref(), place).map(UserKey),
                        cost: at(row.costs.as_ref(), place).map(|cost| Pico(i128::from(cost))),
                    })
                    .collect(),
            },
            ("batch", _, Ok(state)) => What::Batch {
                batch: BatchId::from_uuid(ids.first().copied().unwrap_or_default()),
                state,
            },
            ("usage", _, _) => What::Usage(Usage {
                attempts: count(row.n),
                input_tokens: count(row.input_tokens),
                output_tokens: count(row.output_tokens),
                cost: Pico(i128::from(row.cost_pico.unwrap_or(0))),
                cost_sync: Pico(i128::from(row.sync_pico.unwrap_or(0))),
                unpriced: count(row.unpriced),
            }),
            ("budget", _, _) => What::Budget(Budget {
                id: BudgetId::from_uuid(ids.first().copied().unwrap_or_default()),
                hard: state == "hard",
                used: Pico(i128::from(row.cost_pico.unwrap_or(0))),
                limit: Pico(i128::from(row.sync_pico.unwrap_or(0))),
            }),
            ("operation", _, _) => match state.parse() {
                Ok(state) => What::Operation {
                    operation: OperationId::from_uuid(ids.first().copied().unwrap_or_default()),
                    state,
                },
                Err(_) => What::Other,
            },
            _ => What::Other,
        };
        events.push(Event {
            seq: count(Some(row.seq)),
            at: row.at,
            what,
        });
    }
    Ok(events)
}

fn at<T: Copy>(column: Option<&Vec<Option<T>>>, place: usize) -> Option<T> {
    column
        .and_then(|column| column.get(place))
        .copied()
        .flatten()
}
