//! Looking for a text in the whole database, and for what is left of a tenant.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use offpeak_domain::id::TenantId;
use sqlx::AssertSqlSafe;

use super::World;

impl World {
    /// In which columns of all tables each of these texts stands; those that stand
    /// nowhere are left out. The database takes apart what it has compressed.
    pub async fn found(&self, texts: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
        let columns: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL)
               FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              WHERE c.relnamespace = 'offpeak'::regnamespace
                AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                AND format_type(a.atttypid, NULL)
                    IN ('text', 'text[]', 'bytea', 'json', 'jsonb', 'character varying', 'name')
              ORDER BY 1, 2",
        )
        .fetch_all(&self.root)
        .await?;
        ensure!(columns.len() > 60, "only {} columns", columns.len());
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column, kind) in columns {
            let text = match kind.as_str() {
                "bytea" => format!("encode({column}, 'escape')"),
                _ => format!("{column}::text"),
            };
            let sql = format!(
                "SELECT asked.text FROM unnest($1::text[]) AS asked (text)
                  WHERE EXISTS (SELECT FROM offpeak.{table}
                                 WHERE position(asked.text IN {text}) > 0)"
            );
            let here: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(texts)
                .fetch_all(&self.root)
                .await?;
            for text in here {
                let place = format!("{table}.{column}");
                places.entry(text).or_default().push(place);
            }
        }
        Ok(places)
    }

    /// Tables in which a tenant has rows.
    pub async fn tables_of(&self, tenant: TenantId) -> Result<Vec<String>> {
        let tables = self
            .texts(
                "SELECT c.relname::text FROM pg_class c
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                  WHERE c.relnamespace = 'offpeak'::regnamespace
                    AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1",
            )
            .await?;
        let mut left = Vec::new();
        for table in tables {
            let sql = format!("SELECT EXISTS (SELECT FROM offpeak.{table} WHERE tenant_id = $1)");
            let any: bool = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(tenant.as_uuid())
                .fetch_one(&self.root)
                .await?;
            left.extend(any.then_some(table));
        }
        Ok(left)
    }

    /// Changes rows of a tenant (`$1`) with all rights, to hold a text (`$2`).
    pub async fn put(&self, sql: &'static str, tenant: TenantId, text: &str) -> Result<()> {
        let done = sqlx::query(sql)
            .bind(tenant.as_uuid())
            .bind(text)
            .execute(&self.root)
            .await?;
        ensure!(done.rows_affected() > 0, "there is no row for it: {sql}");
        Ok(())
    }
}
