//! Gives back what a bench took.

use anyhow::Result;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::cluster::Database;

/// Drops a database, for its disk.
pub async fn discard(database: Database) -> Result<()> {
    let name: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(&database.root)
        .await?;
    database.root.close().await;
    database.system.close().await;
    database.tenants.close().await;
    let mut admin = database.connect.database("postgres").connect().await?;
    let statement = format!("DROP DATABASE {name} WITH (FORCE)");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut admin)
        .await?;
    Ok(admin.close().await?)
}
