//! The walls between tenants, as the database keeps them, and the form of its
//! tables, which is what lets them be distributed by tenant one day.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::id::{Minter, TenantId};
use offpeak_store::ticket::{self, Opens};
use offpeak_store::{origin, session};
use offpeak_testkit::world::World;
use rand::SeedableRng;
use rand::rngs::StdRng;

#[tokio::test]
async fn every_table_of_a_tenant_is_walled_and_keyed_by_it() -> Result<()> {
    let world = World::new().await?;
    let of_tenants = "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                       WHERE c.relnamespace = 'offpeak'::regnamespace AND a.attname = 'tenant_id'
                         AND c.relkind IN ('r', 'p') AND NOT c.relispartition";
    assert!(
        world.number(of_tenants).await? > 10,
        "the rules below look at something"
    );

    let unwalled = "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                     WHERE c.relnamespace = 'offpeak'::regnamespace AND a.attname = 'tenant_id'
                       AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                       AND NOT (c.relrowsecurity AND c.relforcerowsecurity)";
    assert_eq!(world.texts(unwalled).await?, [""; 0]);

    let keyed_otherwise = "SELECT x.indexrelid::regclass::text FROM pg_index x
           JOIN pg_class c ON c.oid = x.indrelid
           JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'tenant_id'
          WHERE c.relnamespace = 'offpeak'::regnamespace AND x.indisunique
            AND x.indkey[0] <> t.attnum";
    assert_eq!(world.texts(keyed_otherwise).await?, [""; 0]);

    // A foreign key may lead to a small reference table and nowhere else.
    let crossing = "SELECT conrelid::regclass || ' -> ' || confrelid::regclass
                      FROM pg_constraint
                     WHERE contype = 'f' AND connamespace = 'offpeak'::regnamespace
                       AND confrelid::regclass::text NOT IN ('offpeak.tenant', 'offpeak.upstream')";
    assert_eq!(world.texts(crossing).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn no_role_at_run_time_owns_anything_or_passes_the_walls() -> Result<()> {
    let world = World::new().await?;
    let strong = "SELECT rolname::text FROM pg_roles
                   WHERE rolname IN ('offpeak_owner', 'offpeak_api', 'offpeak_worker', 'offpeak_operator')
                     AND (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole)";
    assert_eq!(world.texts(strong).await?, [""; 0]);
    let owned = "SELECT c.relname::text FROM pg_class c
                  WHERE c.relnamespace = 'offpeak'::regnamespace
                    AND pg_get_userbyid(c.relowner) <> 'offpeak_owner'";
    assert_eq!(world.texts(owned).await?, [""; 0]);
    // Grants stand on parents only: a partition reached by its own name would
    // be a door beside the wall.
    let granted = "SELECT c.relname::text FROM pg_class c
                    WHERE c.relnamespace = 'offpeak'::regnamespace AND c.relispartition
                      AND (has_table_privilege('offpeak_api', c.oid, 'SELECT')
                           OR has_table_privilege('offpeak_worker', c.oid, 'SELECT')
                           OR has_any_column_privilege('offpeak_operator', c.oid, 'SELECT'))
                      AND c.relkind = 'r'";
    assert_eq!(world.texts(granted).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_tenant_sees_no_row_of_another_and_writes_none_for_it() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["A letter to nobody else."]).await?;
    world.run_out().await?;
    world.submit(&["Another one, still waiting."]).await?;
    admit(&world).await?;

    let mut tx = world.system.begin().await?;
    let stranger: TenantId = Minter::new(tx.now(), StdRng::seed_from_u64(3)).mint();
    offpeak_store::tenant::create(&mut tx, stranger, "globex").await?;
    tx.commit().await?;

    let tables = world
        .texts(
            "SELECT c.relname::text FROM pg_class c
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
              WHERE c.relnamespace = 'offpeak'::regnamespace AND c.relkind IN ('r', 'p', 'v')
                AND NOT c.relispartition
                AND has_table_privilege('offpeak_api', c.oid, 'SELECT')
              ORDER BY 1",
        )
        .await?;
    let mut seen_by_owner = 0;
    for table in &tables {
        let of_owner = world.seen_by(world.tenant, table).await?;
        seen_by_owner += of_owner;
        assert_eq!(world.seen_by(stranger, table).await?, 0, "{table}");
        assert_eq!(
            world.seen_by_nobody(table).await?,
            0,
            "{table} without a tenant"
        );
    }
    assert!(seen_by_owner > 5, "there was something to see");
    for table in ["session", "ticket", "origin"] {
        assert!(tables.iter().any(|known| known == table), "{table}");
        assert_eq!(world.seen_by(world.tenant, table).await?, 1, "{table}");
    }

    let forged = world.forge_ready(stranger, world.tenant).await;
    let refusal = forged
        .expect_err("a row of another tenant was written")
        .to_string();
    assert!(refusal.contains("row-level security"), "{refusal}");
    Ok(())
}

/// One session, one ticket and one origin of the world's tenant.
async fn admit(world: &World) -> Result<()> {
    let mut tx = world.tenants.begin(world.tenant).await?;
    let mut minter = Minter::new(tx.now(), StdRng::seed_from_u64(4));
    let (key, hour) = (minter.mint(), Duration::from_hours(1));
    let opens = Opens::User("u_42".into());
    let new = session::New {
        id: minter.mint(),
        by: session::By::Key(key),
        digest: &[1; 32],
        lifetime: hour,
    };
    session::create(&mut tx, &new).await?;
    ticket::create(&mut tx, minter.mint(), key, &[2; 32], &opens, hour).await?;
    origin::replace(&mut tx, &["https://app.example.com"]).await?;
    Ok(tx.commit().await?)
}

/// Who presents a digest sees the row that it opens, and no other.
#[tokio::test]
async fn a_presented_digest_opens_one_row() -> Result<()> {
    let world = World::new().await?;
    admit(&world).await?;
    // There is no key behind them, so nothing holds; a ticket is found all the same.
    assert!(world.tenants.session(&[1; 32]).await?.is_none());
    let origin = Some("https://app.example.com");
    let found = world.tenants.ticket(&[2; 32], origin).await?;
    let found = found.ok_or_else(|| anyhow::anyhow!("no ticket"))?;
    assert_eq!(
        (found.tenant, found.holds, found.listed),
        (world.tenant, false, true)
    );
    for (digest, origin) in [([1; 32], origin), ([3; 32], origin), ([3; 32], None)] {
        assert!(world.tenants.ticket(&digest, origin).await?.is_none());
        assert!(world.tenants.session(&digest).await?.is_none());
    }
    Ok(())
}
