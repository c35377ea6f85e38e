//! A world's outcome as text, the same for every way that leads to it: jobs,
//! payloads, results, answers, money, groups, keyed by the client's reference.

use anyhow::Result;
use sqlx::AssertSqlSafe;

use crate::world::World;

/// Columns that differ between two runs that came to the same, and why: they
/// stand in no image.
pub const BLANKED: &[(&str, &str)] = &[
    (
        "id, group_id, batch_id, bucket_id, upstream_id",
        "minted anew in each run",
    ),
    (
        "at, day, created_at, ended_at and other times",
        "the clock goes on",
    ),
    (
        "attempt",
        "a crash may cost an attempt; what it may not cost is money",
    ),
    (
        "line_hash, custom_id and message id in output.line",
        "they hold the ids above",
    ),
];

/// Jobs whose reference begins so are canceled and retried while all goes on:
/// how they end depends on who was faster. That they end, once, and that what
/// they cost is booked, is the judge's affair.
pub const RACING: &str = "race-";

/// Statements that give lines, each about what its name says.
const LINES: &[(&str, &str)] = &[
    (
        "job",
        "SELECT concat_ws(' ', ref, type, type_version, user_label, model, lane, priority, bytes,
                          structured, name, md5(p.params))
           FROM named JOIN offpeak.payload p USING (tenant_id, id)",
    ),
    (
        "result",
        "SELECT concat_ws(' ', ref, r.outcome, r.label, r.message, r.stop_reason, r.type, r.user_label,
                          r.model, r.input_tokens, r.output_tokens, r.cache_write_tokens,
                          r.cache_read_tokens, r.cost_pico, r.sync_pico,
                          md5(convert_from(o.line, 'UTF8')::json
                                #>> '{result,message,content}'))
           FROM named JOIN offpeak.result r USING (tenant_id, id)
           LEFT JOIN offpeak.output o USING (tenant_id, id)",
    ),
    (
        "ledger",
        "SELECT concat_ws(' ', ref, count(*), l.lane, l.model, sum(l.input_tokens),
                          sum(l.output_tokens), sum(l.cost_pico), sum(l.sync_pico))
           FROM named JOIN offpeak.ledger l USING (tenant_id, id)
          GROUP BY ref, l.lane, l.model",
    ),
    (
        "group",
        "SELECT concat_ws(' ', g.name, t.name, sum(t.n), sum(t.input_tokens), sum(t.output_tokens),
                          sum(t.cost_pico), sum(t.sync_pico))
           FROM offpeak.job_group g
           JOIN (SELECT tenant_id, key, name, n, input_tokens, output_tokens, cost_pico, sync_pico
                   FROM offpeak.tally WHERE scope = 'group'
                 UNION ALL
                 SELECT tenant_id, key, name, n, input_tokens, output_tokens, cost_pico, sync_pico
                   FROM offpeak.delta WHERE scope = 'group') AS t
             ON t.tenant_id = g.tenant_id AND t.key = g.id
          WHERE g.opened_at IS NOT NULL
          GROUP BY g.name, t.name HAVING sum(t.n) <> 0",
    ),
];

/// The image of a world at rest.
pub async fn of(world: &World) -> Result<Vec<String>> {
    let mut image = Vec::new();
    for (what, sql) in LINES {
        let sql = format!(
            "WITH named AS (
                 SELECT j.*, j.metadata::json ->> 'ref' AS ref, g.name
                   FROM offpeak.job j
                   LEFT JOIN offpeak.job_group g ON g.tenant_id = j.tenant_id AND g.id = j.group_id
                  WHERE (g.id IS NULL OR g.opened_at IS NOT NULL)
                    AND j.metadata::json ->> 'ref' NOT LIKE '{RACING}%')
             SELECT '{what} ' || line FROM ({sql}) AS t (line) ORDER BY 1"
        );
        let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&world.root)
            .await?;
        image.extend(lines);
    }
    Ok(image)
}

/// The first line in which two images differ.
pub fn difference(undisturbed: &[String], this: &[String]) -> Option<String> {
    let only =
        |some: &[String], other: &[String]| some.iter().find(|line| !other.contains(line)).cloned();
    match (only(undisturbed, this), only(this, undisturbed)) {
        (None, None) => None,
        (expected, found) => Some(format!("expected {expected:?}, found {found:?}")),
    }
}
