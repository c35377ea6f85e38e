//! Budgets: what is reserved, and for whom.

use sqlx::PgConnection;

use super::{Checked, invariant};
use crate::Result;

pub(super) async fn check(conn: &mut PgConnection) -> Result<Vec<Checked>> {
    Ok(vec![
        invariant!(
            conn,
            "I14",
            "reserved_agrees",
            "what is reserved of a budget is what is kept free for its jobs",
            "SELECT 'budget ' || coalesce(u.budget_id, held.budget_id)
               FROM budget_use u
               FULL JOIN (
                    SELECT tenant_id, budget_id, of_name, period_start, sum(pico) AS pico
                      FROM reservation
                     GROUP BY tenant_id, budget_id, of_name, period_start) AS held
                      ON held.tenant_id = u.tenant_id AND held.budget_id = u.budget_id
                     AND held.of_name = u.of_name AND held.period_start = u.period_start
              WHERE coalesce(u.reserved_pico, 0) <> coalesce(held.pico, 0)"
        ),
        invariant!(
            conn,
            "I14",
            "reserved_for_open",
            "only for jobs that are open, or still in flight, something is reserved",
            "SELECT DISTINCT 'job ' || v.job_id
               FROM reservation v
               LEFT JOIN job j ON j.tenant_id = v.tenant_id AND j.id = v.job_id
              WHERE j.id IS NULL
                 OR (EXISTS (SELECT FROM result r
                              WHERE r.tenant_id = v.tenant_id AND r.id = v.job_id)
                     AND NOT EXISTS (SELECT FROM inflight i
                                      WHERE i.tenant_id = v.tenant_id AND i.id = v.job_id))"
        ),
        invariant!(
            conn,
            "I14",
            "spent_was_booked",
            "no budget has spent more than was booked for its tenant",
            "SELECT 'budget ' || u.budget_id
               FROM (SELECT tenant_id, budget_id, sum(spent_pico) AS spent
                       FROM budget_use
                      GROUP BY tenant_id, budget_id) AS u
               LEFT JOIN (SELECT tenant_id, sum(cost_pico) AS cost
                            FROM ledger GROUP BY tenant_id) AS booked
                      ON booked.tenant_id = u.tenant_id
              WHERE u.spent > coalesce(booked.cost, 0)"
        ),
    ])
}
