//! What erasure does to a backup: once the master key of its time is gone, too, nothing of
//! the erased tenant opens from it, and all that is the others'.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::{JobId, TenantId};
use offpeak_domain::vault::{Error as Closed, Vault, generate};
use offpeak_store::{Error, Options, Sealer, System, batch, data_key, erasure, result};
use offpeak_testkit::world::{MASTER, World, params};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use secrecy::ExposeSecret as _;

use crate::own_upstream::second_tenant;

/// A copy of the rows, as a dump has it.
const BACKUP: &str = "
    CREATE SCHEMA backup;
    CREATE TABLE backup.payload AS SELECT * FROM offpeak.payload;
    CREATE TABLE backup.job AS SELECT * FROM offpeak.job;
    CREATE TABLE backup.result AS SELECT * FROM offpeak.result;
    CREATE TABLE backup.output AS SELECT * FROM offpeak.output;
    CREATE TABLE backup.data_key AS SELECT * FROM offpeak.data_key;";

/// Everything but the data keys from it, in the place of what is there.
const RESTORE: &str = "
    DELETE FROM offpeak.payload; DELETE FROM offpeak.output;
    DELETE FROM offpeak.result; DELETE FROM offpeak.job;
    INSERT INTO offpeak.job SELECT * FROM backup.job;
    INSERT INTO offpeak.result SELECT * FROM backup.result;
    INSERT INTO offpeak.payload SELECT * FROM backup.payload;
    INSERT INTO offpeak.output SELECT * FROM backup.output;";

/// The data keys from it as well.
const KEYS_TOO: &str = "
    INSERT INTO offpeak.data_key SELECT * FROM backup.data_key ON CONFLICT DO NOTHING;";

/// A process with these master keys.
fn with(world: &World, vault: Vault) -> System {
    let mut options = Options::new(world.connect.clone());
    options.sealer = Sealer::new(Arc::new(vault), true, StdRng::seed_from_u64(6));
    System::new(&options)
}

/// What was asked and answered, as this process reads it.
async fn read(system: &System, tenant: TenantId, job: JobId) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let asked = batch::params(system, tenant, &[job]).await?.pop();
    let mut tx = system.begin_for(tenant).await?;
    let answered = result::get(&mut tx, job).await?;
    let line = answered.and_then(|answered| answered.line);
    Ok((
        asked.map(|asked| asked.1).unwrap_or_default(),
        line.unwrap_or_default(),
    ))
}

/// Why neither opens.
async fn closed(system: &System, tenant: TenantId, job: JobId) -> Result<Closed> {
    let asked = batch::params(system, tenant, &[job]).await;
    let mut tx = system.begin_for(tenant).await?;
    let answered = result::get(&mut tx, job).await;
    match (asked, answered) {
        (Err(Error::Unopened { why: asked, .. }), Err(Error::Unopened { why: answered, .. }))
            if asked == answered =>
        {
            Ok(asked)
        }
        other => anyhow::bail!("{other:?}"),
    }
}

#[tokio::test]
async fn a_backup_from_before_opens_for_the_others_alone() -> Result<()> {
    let mut world = World::new().await?;
    let (gone, stays) = (world.tenant, second_tenant(&world).await?);
    let erased = world.submit_as(gone, None, &["theirs"]).await?[0];
    let kept = world.submit_as(stays, None, &["ours"]).await?[0];
    world.run_out().await?;
    let was = read(&world.system, stays, kept).await?;
    assert_eq!(was.0, params("ours"));
    assert!(!was.1.is_empty());
    world.hold(BACKUP).await?.commit().await?;

    let mut tx = world.system.begin().await?;
    erasure::begin_here(&mut tx, gone).await?;
    tx.commit().await?;
    for _ in 0..40 {
        world.pass(Duration::from_mins(1));
        world.worker.settle_down().await?;
    }
    assert_eq!(
        world.texts("SELECT state FROM offpeak.erasure").await?,
        ["done"]
    );
    let keys = "SELECT count(*) FROM offpeak.data_key";
    assert_eq!(world.number(keys).await?, 1, "the erased tenant's is gone");
    let new = generate("new", StdRng::seed_from_u64(1)).context("an id")?;
    let both = format!("{},{MASTER}", new.expose_secret());
    let both = Vault::read(&both.into())?;
    let rng = StdRng::seed_from_u64(2);
    let step = data_key::rewrap_some(&world.system, &both, None, 10, rng).await?;
    assert_eq!((step.looked, step.wrapped), (1, 1));

    // The old master key is dropped from here on.
    let now = with(&world, Vault::read(&new)?);
    data_key::check(&now, Some(&Vault::read(&new)?)).await?;
    world.hold(RESTORE).await?.commit().await?;
    assert_eq!(
        read(&now, stays, kept).await?,
        was,
        "opens with today's data key"
    );
    assert_eq!(
        closed(&now, gone, erased).await?,
        Closed::Closed,
        "has no key"
    );
    // Nor with the row that the backup has of it.
    world.hold(KEYS_TOO).await?.commit().await?;
    assert_eq!(world.number(keys).await?, 2);
    let why = closed(&now, gone, erased).await?;
    assert_eq!(why, Closed::NoMaster("test".to_owned()));
    assert_eq!(read(&now, stays, kept).await?, was);
    // It is the old master key that decides: who still has it reads the backup.
    let old = with(&world, both);
    let theirs = read(&old, gone, erased).await?;
    assert_eq!(theirs.0, params("theirs"));
    assert!(!theirs.1.is_empty());
    Ok(())
}
