//! Whether the walls between tenants stand in this database: asked before anything
//! runs, on sessions as the program's own are.

use crate::access::Options;
use crate::bounded::Pool;
use crate::{Error, Result};

/// What sessions run as.
const ROLES: [&str; 3] = ["offpeak_api", "offpeak_worker", "offpeak_operator"];

/// Refuses a database in which a role of the run time goes round row-level security, or
/// in which a table of tenants is without it. Looks at sessions of the pools' own kind,
/// since what counts is as whom they act, and not who logged in.
///
/// # Errors
///
/// [`Error::Walls`] with the role or the table and what to do; else those of any
/// statement.
pub async fn expect(options: &Options) -> Result<()> {
    let one = Options {
        max_connections: 1,
        ..options.clone()
    };
    for role in ROLES {
        let pool = one.pool(role, one.tenant_statement_timeout);
        let found = expect_of(&pool, role).await;
        pool.close().await;
        match found {
            // Whoever may not act as the operator serves none; `offpeak migrate` grants it.
            Err(error) if role == "offpeak_operator" && is_not_granted(&error) => {}
            found => found?,
        }
    }
    Ok(())
}

/// What a session is, and what there is in the database.
#[derive(Debug)]
struct Found {
    role: String,
    superuser: bool,
    bypasses: bool,
    /// A table that is the role's.
    owned: Option<String>,
    /// A table of tenants without a wall.
    unwalled: Option<String>,
}

async fn expect_of(pool: &Pool, wanted: &str) -> Result<()> {
    let found = sqlx::query_as!(
        Found,
        r#"SELECT r.rolname::text AS "role!", r.rolsuper AS "superuser!",
                  r.rolbypassrls AS "bypasses!",
                  -- A member of the owner may do as the owner may.
                  (SELECT min(c.relname::text)
                     FROM pg_class c
                    WHERE c.relnamespace = 'offpeak'::regnamespace
                      AND c.relkind IN ('r', 'p', 'v')
                      AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owned,
                  -- Partitions are reached through their parents alone.
                  (SELECT min(c.relname::text)
                     FROM pg_class c
                    WHERE c.relnamespace = 'offpeak'::regnamespace
                      AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                      AND (c.relname = 'tenant'
                           OR EXISTS (SELECT FROM pg_attribute a
                                       WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                                         AND NOT a.attisdropped))
                      AND NOT (c.relrowsecurity AND c.relforcerowsecurity)) AS unwalled
             FROM pg_roles r
            WHERE r.rolname = current_user"#
    )
    .fetch_one(pool)
    .await?;
    match found.wrong(wanted) {
        Some(wrong) => Err(Error::Walls(wrong)),
        None => Ok(()),
    }
}

impl Found {
    /// What is wrong and what to do, if anything is.
    fn wrong(&self, wanted: &str) -> Option<String> {
        let role = &self.role;
        if self.superuser {
            return Some(format!(
                "the role {role} is superuser: run `ALTER ROLE {role} NOSUPERUSER`"
            ));
        }
        if self.bypasses {
            return Some(format!(
                "the role {role} has BYPASSRLS: run `ALTER ROLE {role} NOBYPASSRLS`"
            ));
        }
        if let Some(table) = &self.owned {
            return Some(format!(
                "the role {role} owns the table {table}, or is a member of the role that does: \
                 run `ALTER TABLE offpeak.{table} OWNER TO offpeak_owner` and `REVOKE \
                 offpeak_owner FROM {role}`"
            ));
        }
        if role != wanted {
            return Some(format!(
                "sessions run as {role} and not as {wanted}: have DATABASE_URL lead to \
                 PostgreSQL itself, or to a pooler that passes the connection's `options` on"
            ));
        }
        let table = self.unwalled.as_ref()?;
        Some(format!(
            "the table {table} is without forced row-level security: run `ALTER TABLE \
             offpeak.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`"
        ))
    }
}

/// Whether the login role may not act as the role at all.
fn is_not_granted(error: &Error) -> bool {
    match error {
        Error::Database(sqlx::Error::Database(db)) => db.code().as_deref() == Some("42501"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Found;

    /// Through a pooler that drops the option `role` a session stays who logged in.
    #[test]
    fn a_session_that_is_somebody_else_is_refused() {
        let mut found = Found {
            role: "app".into(),
            superuser: false,
            bypasses: false,
            owned: None,
            unwalled: None,
        };
        let wrong = found.wrong("offpeak_api").unwrap_or_default();
        assert!(
            wrong.starts_with("sessions run as app and not as offpeak_api: have DATABASE_URL"),
            "{wrong}"
        );
        found.role = "offpeak_api".into();
        assert_eq!(found.wrong("offpeak_api"), None);
    }
}
