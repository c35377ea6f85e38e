//! Sums beside a tenant's stream: jobs by state, and what was billed.

use std::collections::BTreeMap;

use offpeak_domain::id::GroupId;
use offpeak_domain::job::State;
use uuid::Uuid;

use super::Usage;
use crate::group::pico;
use crate::{Result, TenantTx, delta, job};

/// Jobs by state, states without a job left out.
pub type States = Vec<(State, u64)>;

/// Sums of a tenant, exact at the moment of the statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The tenant's jobs.
    pub jobs: States,
    /// What was billed in all.
    pub usage: Usage,
    /// The jobs of each group asked for that has any.
    pub groups: BTreeMap<GroupId, States>,
}

/// The sums of the tenant and of these groups of it.
pub async fn of(tx: &mut TenantTx, groups: &[GroupId]) -> Result<Counts> {
    let groups: Vec<_> = groups.iter().map(|group| group.as_uuid()).collect();
    // Folded and unfolded in one statement, so that no fold slips in between.
    let rows = sqlx::query!(
        r#"SELECT scope AS "scope!", key AS "key!", name AS "name!",
                  sum(n)::bigint AS "n!", sum(input_tokens)::bigint AS "input_tokens!",
                  sum(output_tokens)::bigint AS "output_tokens!",
                  sum(cost_pico)::text AS cost_pico, sum(sync_pico)::text AS sync_pico,
                  (SELECT count(*) FROM ledger WHERE tenant_id = $1 AND unpriced) AS "unpriced!"
             FROM (SELECT scope, key, name, n, input_tokens, output_tokens, cost_pico, sync_pico
                     FROM tally
                    WHERE tenant_id = $1
                      AND (scope = 'tenant' AND key = $2 OR scope = 'group' AND key = ANY ($3))
                    UNION ALL
                   SELECT scope, key, name, n, input_tokens, output_tokens, cost_pico, sync_pico
                     FROM delta
                    WHERE tenant_id = $1
                      AND (scope = 'tenant' AND key = $2 OR scope = 'group' AND key = ANY ($3))
                  ) AS change
            GROUP BY scope, key, name
            ORDER BY scope, key, name
            LIMIT 100000"#,
        tx.tenant().as_uuid(),
        Uuid::nil(),
        &groups,
    )
    .fetch_all(tx.conn())
    .await?;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    let mut counts = Counts::default();
    for row in rows {
        let of_tenant = row.scope == "tenant";
        if row.name == delta::BILLED {
            if of_tenant {
                counts.usage = Usage {
                    attempts: count(row.n),
                    input_tokens: count(row.input_tokens),
                    output_tokens: count(row.output_tokens),
                    cost: pico("tally.cost_pico", row.cost_pico)?,
                    cost_sync: pico("tally.sync_pico", row.sync_pico)?,
                    unpriced: count(row.unpriced),
                };
            }
        } else if row.name != "total" && row.n > 0 {
            let states = if of_tenant {
                &mut counts.jobs
            } else {
                let group = GroupId::from_uuid(row.key);
                counts.groups.entry(group).or_default()
            };
            states.push((job::known("tally.name", row.name)?, count(row.n)));
        }
    }
    Ok(counts)
}
