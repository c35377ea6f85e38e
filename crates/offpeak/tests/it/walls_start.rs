//! Nothing runs on a database in which the walls between tenants do not stand.

use anyhow::Result;
use offpeak_testkit::database::Alone;

use crate::cli::{offpeak, shown};

/// What brings a wall down, what it says then, and what puts the wall up again.
const BREACHES: &[(&str, &str, &str)] = &[
    (
        "ALTER ROLE offpeak_api SUPERUSER",
        "the role offpeak_api is superuser: run `ALTER ROLE offpeak_api NOSUPERUSER`",
        "ALTER ROLE offpeak_api NOSUPERUSER",
    ),
    (
        "ALTER ROLE offpeak_worker BYPASSRLS",
        "the role offpeak_worker has BYPASSRLS: run `ALTER ROLE offpeak_worker NOBYPASSRLS`",
        "ALTER ROLE offpeak_worker NOBYPASSRLS",
    ),
    (
        "ALTER ROLE offpeak_operator BYPASSRLS",
        "the role offpeak_operator has BYPASSRLS: run `ALTER ROLE offpeak_operator NOBYPASSRLS`",
        "ALTER ROLE offpeak_operator NOBYPASSRLS",
    ),
    (
        "ALTER TABLE offpeak.origin OWNER TO offpeak_worker",
        "the role offpeak_worker owns the table origin, or is a member of the role that does: \
         run `ALTER TABLE offpeak.origin OWNER TO offpeak_owner` and `REVOKE offpeak_owner FROM \
         offpeak_worker`",
        "ALTER TABLE offpeak.origin OWNER TO offpeak_owner",
    ),
    (
        "GRANT offpeak_owner TO offpeak_api",
        "the role offpeak_api owns the table ",
        "REVOKE offpeak_owner FROM offpeak_api",
    ),
    (
        "ALTER TABLE offpeak.payload NO FORCE ROW LEVEL SECURITY",
        "the table payload is without forced row-level security: run `ALTER TABLE \
         offpeak.payload ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`",
        "ALTER TABLE offpeak.payload FORCE ROW LEVEL SECURITY",
    ),
    (
        "ALTER TABLE offpeak.tenant DISABLE ROW LEVEL SECURITY",
        "the table tenant is without forced row-level security",
        "ALTER TABLE offpeak.tenant ENABLE ROW LEVEL SECURITY",
    ),
    (
        "CREATE TABLE offpeak.added (tenant_id uuid, id uuid, PRIMARY KEY (tenant_id, id))",
        "the table added is without forced row-level security",
        "DROP TABLE offpeak.added",
    ),
];

#[tokio::test]
async fn without_a_wall_it_does_not_start_and_the_doctor_says_why() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let alone = Alone::new(&folder.path().join("pg")).await?;
    let site = folder.path().join("site");
    std::fs::create_dir(&site)?;
    let run = async |arguments: &[&str]| -> Result<String> {
        let ran = offpeak(&site)
            .env("DATABASE_URL", &alone.url)
            .env("OFFPEAK_SERVER_LISTEN", "127.0.0.1:0")
            .env("OFFPEAK_DEV_DATA", site.join("data"))
            .env("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
            .args(arguments)
            .output()
            .await?;
        Ok(shown(&ran, "http://nowhere.example"))
    };
    let serve = ["serve", "--role", "api"];
    for (breach, why, mend) in BREACHES {
        alone.meddle(breach).await?;
        let refused =
            format!("exit 3\n--- stderr\nerror: the walls between tenants do not stand: {why}");
        let said = run(&serve).await?;
        assert!(said.starts_with(&refused), "{breach}: {said}");
        let said = run(&["doctor"]).await?;
        let failed =
            format!("FAIL  walls                  the walls between tenants do not stand: {why}");
        assert!(said.contains(&failed), "{breach}: {said}");
        alone.meddle(mend).await?;
    }
    // `offpeak dev` asks the same, in its own place.
    let (breach, why, mend) = BREACHES[0];
    alone.meddle(breach).await?;
    let said = run(&["dev"]).await?;
    assert!(said.contains(why) && said.starts_with("exit 3"), "{said}");
    alone.meddle(mend).await?;
    let said = run(&["doctor"]).await?;
    assert!(
        said.contains("ok    walls                  stand between tenants"),
        "{said}"
    );
    Ok(())
}
