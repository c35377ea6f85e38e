//! What stands in the database, as the catalogue tells it: no list of tables to forget
//! one in.

use anyhow::Result;
use offpeak_domain::id::TenantId;
use sqlx::AssertSqlSafe;

use super::World;

impl World {
    /// Every table with its number of rows and a hash of what stands in them,
    /// as text: equal texts, equal databases. The time at which a key was last
    /// used is left out, since a refused request uses it too.
    pub async fn everything(&self) -> Result<String> {
        let tables = self
            .texts(
                "SELECT c.relname::text
                   FROM pg_class c
                  WHERE c.relnamespace = 'offpeak'::regnamespace
                    AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                  ORDER BY 1",
            )
            .await?;
        self.hashed(&tables, "true").await
    }

    /// The same of one tenant's rows, in every table that has rows of tenants.
    pub async fn everything_of(&self, tenant: TenantId) -> Result<String> {
        let tables = self
            .texts(
                "SELECT c.relname::text
                   FROM pg_class c
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                  WHERE c.relnamespace = 'offpeak'::regnamespace
                    AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                    AND NOT a.attisdropped
                  ORDER BY 1",
            )
            .await?;
        anyhow::ensure!(tables.len() > 20, "only {tables:?} have rows of tenants");
        self.hashed(&tables, &format!("tenant_id = '{}'", tenant.as_uuid()))
            .await
    }

    async fn hashed(&self, tables: &[String], which: &str) -> Result<String> {
        let each: Vec<String> = tables
            .iter()
            .map(|table| {
                format!(
                    "SELECT '{table}: ' || count(*) || ' rows '
                            || coalesce(md5(string_agg(r, '' ORDER BY r)), '') AS line
                       FROM (SELECT (to_jsonb(t) - 'last_used_at')::text AS r
                               FROM offpeak.{table} t WHERE {which}) AS rows"
                )
            })
            .collect();
        let sql = format!(
            "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ({}) AS lines",
            each.join(" UNION ALL ")
        );
        Ok(sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&self.root)
            .await?)
    }
}
