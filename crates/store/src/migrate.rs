//! Roles and migrations. Roles belong to the cluster, tables to a database, so
//! the roles are made first, by the login role, and own everything after that.

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use crate::{Error, Result, System};

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// What a run of [`migrate`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Version of the schema now; above [`schema_version`] when a newer program
    /// migrated it before.
    pub version: i64,
    /// Migrations that this run applied.
    pub applied: usize,
}

/// The version of the schema that this program was written for. It runs on any
/// newer one: a migration takes nothing away that the version before needs.
#[must_use]
pub fn schema_version() -> i64 {
    let versions = MIGRATOR.iter().map(|migration| migration.version);
    versions.max().unwrap_or(0)
}

/// Until then nobody but the owner may read what the version is.
const SILENT: i64 = 3;

impl System {
    /// The version of the database's schema.
    pub async fn schema_version(&self) -> Result<i64> {
        let found = sqlx::query_scalar!(
            r#"SELECT coalesce(max(version), 0) AS "version!" FROM _sqlx_migrations"#
        )
        .fetch_one(&self.pool)
        .await;
        match found {
            Err(sqlx::Error::Database(db)) if db.code().as_deref() == Some("42501") => Ok(SILENT),
            found => Ok(found?),
        }
    }
}

/// Brings roles, schema and tables to this program's version; a newer schema
/// stays as it is. Safe to run twice and from two processes at once.
///
/// The login role needs CREATEROLE (or the four roles made beforehand and
/// granted to it) and CREATE on the database.
pub async fn migrate(connect: &PgConnectOptions) -> Result<Migrated> {
    let mut login = connect
        .clone()
        .application_name("offpeak migrate")
        .connect()
        .await?;
    bootstrap(&mut login).await?;
    login.close().await?;

    let owner = connect
        .clone()
        .application_name("offpeak migrate")
        .options([
            ("role", "offpeak_owner"),
            ("search_path", "offpeak"),
            ("timezone", "UTC"),
            ("lock_timeout", "10s"),
            // "already exists, skipping" is no news.
            ("client_min_messages", "warning"),
        ]);
    let mut owner = owner.connect().await?;
    let before = applied(&mut owner).await?;
    if before.version > schema_version() {
        owner.close().await?;
        return Ok(Migrated {
            applied: 0,
            ..before
        });
    }
    MIGRATOR.run_direct(None, &mut owner, false).await?;
    let after = applied(&mut owner).await?;
    publish(&mut owner).await?;
    owner.close().await?;
    Ok(Migrated {
        version: after.version,
        applied: after.applied - before.applied,
    })
}

/// Makes the four roles and the schema, if they are not there.
async fn bootstrap(login: &mut PgConnection) -> Result<()> {
    // Two databases of one cluster may be set up at once, and CREATE ROLE has
    // no IF NOT EXISTS: whoever loses the race finds the role made.
    let script = r"
        DO $$
        DECLARE r text;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtext('offpeak.bootstrap'));
            FOREACH r IN ARRAY ARRAY['offpeak_owner', 'offpeak_api', 'offpeak_worker',
                                     'offpeak_operator'] LOOP
                BEGIN
                    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
                        EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', r);
                    END IF;
                EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
                END;
                IF NOT pg_has_role(current_user, r, 'MEMBER') THEN
                    EXECUTE format('GRANT %I TO CURRENT_USER', r);
                END IF;
            END LOOP;
            IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'offpeak') THEN
                EXECUTE 'CREATE SCHEMA offpeak AUTHORIZATION offpeak_owner';
            END IF;
        END $$";
    sqlx::raw_sql(script).execute(login).await.map_err(|error| match error {
        sqlx::Error::Database(db) if db.code().as_deref() == Some("42501") => {
            Error::Bootstrap(format!(
                "the login role may not set up offpeak ({}): give it CREATEROLE and CREATE on the \
                 database, or have an administrator make the roles offpeak_owner, offpeak_api, \
                 offpeak_worker and offpeak_operator, grant them to it, and create schema offpeak \
                 owned by offpeak_owner",
                db.message()
            ))
        }
        other => other.into(),
    })?;
    Ok(())
}

/// Lets every process see the version. No migration, since it is about the table
/// that sqlx keeps; two runs at once must not grant at once.
async fn publish(owner: &mut PgConnection) -> Result<()> {
    let script = r"
        DO $$
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtext('offpeak.bootstrap'));
            IF NOT has_table_privilege('offpeak_worker', '_sqlx_migrations', 'SELECT') THEN
                GRANT SELECT ON _sqlx_migrations TO offpeak_worker;
            END IF;
        END $$";
    sqlx::raw_sql(script).execute(owner).await?;
    Ok(())
}

/// What was applied by all runs so far.
async fn applied(owner: &mut PgConnection) -> Result<Migrated> {
    let present = sqlx::query_scalar!(
        r#"SELECT to_regclass('offpeak._sqlx_migrations') IS NOT NULL AS "present!""#
    )
    .fetch_one(&mut *owner)
    .await?;
    if !present {
        return Ok(Migrated {
            version: 0,
            applied: 0,
        });
    }
    let row = sqlx::query!(
        r#"SELECT coalesce(max(version), 0) AS "version!", count(*) AS "count!"
             FROM _sqlx_migrations"#
    )
    .fetch_one(owner)
    .await?;
    Ok(Migrated {
        version: row.version,
        applied: usize::try_from(row.count).unwrap_or(0),
    })
}
