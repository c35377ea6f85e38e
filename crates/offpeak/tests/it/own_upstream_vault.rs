//! The envelope around tenants' own Anthropic keys: what a wrong master key comes to, and
//! how the right one is rotated.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use offpeak_domain::vault::{Vault, generate};
use offpeak_store::{Error, data_key};
use offpeak_testkit::world::{MASTER, SECOND_KEY, World};
use offpeak_worker::Loop;
use rand::SeedableRng;
use rand::rngs::StdRng;
use secrecy::ExposeSecret as _;

use crate::own_upstream::{THIRD_KEY, WAYS, enroll, second_tenant};

#[tokio::test]
async fn a_wrong_master_key_is_an_error_and_takes_nothing_in() -> Result<()> {
    let world = World::plain(offpeak_worker::Options::default()).await?;
    data_key::check(&world.system, None).await?;
    enroll(&world, world.tenant, SECOND_KEY).await?;
    data_key::check(&world.system, Some(&world.vault)).await?;
    let wrong = format!("test:{}", "01".repeat(16) + &"10".repeat(16));
    let wrong = Vault::read(&wrong.into())?;
    for vault in [None, Some(&wrong)] {
        let refused = data_key::check(&world.system, vault).await;
        let refused = refused.expect_err("it starts all the same");
        assert!(
            matches!(refused, Error::Locked { keys: 1, .. }),
            "{refused:?}"
        );
        let text = refused.to_string();
        assert!(
            text.contains("[vault]") && text.contains("\"test\""),
            "{text}"
        );
    }
    // Moved to another tenant's row it does not open.
    let other = second_tenant(&world).await?;
    world.set_own_key(other, THIRD_KEY).await?;
    world
        .meddle(
            "UPDATE offpeak.upstream_key k SET sealed = (SELECT sealed FROM offpeak.upstream_key
                                                          WHERE state = 'current')
              WHERE k.state = 'checking'",
        )
        .await?;
    let failed = world.worker.tick(Loop::Enroll).await;
    assert!(failed.is_err(), "{failed:?}");
    let still = "SELECT count(*) FROM offpeak.upstream_key WHERE state = 'checking'";
    assert_eq!(world.number(still).await?, 1);
    Ok(())
}

#[tokio::test]
async fn master_keys_rotate_while_work_goes_on() -> Result<()> {
    let mut world = World::new().await?;
    enroll(&world, world.tenant, SECOND_KEY).await?;
    let other = second_tenant(&world).await?;
    enroll(&world, other, THIRD_KEY).await?;
    let new = generate("new", StdRng::seed_from_u64(1)).ok_or_else(|| anyhow::anyhow!("id"))?;
    let both = format!("{},{}", new.expose_secret(), MASTER);
    let (both, new) = (Vault::read(&both.into())?, Vault::read(&new)?);
    let rng = || StdRng::seed_from_u64(2);
    // One at a time, with a check between: both keys are good for what they wrap.
    let first = data_key::rewrap_some(&world.system, &both, None, 1, rng()).await?;
    assert_eq!((first.looked, first.wrapped), (1, 1));
    data_key::check(&world.system, Some(&both)).await?;
    assert!(
        data_key::check(&world.system, Some(&new)).await.is_err(),
        "not all of it"
    );
    let second = data_key::rewrap_some(&world.system, &both, first.last, 10, rng()).await?;
    assert_eq!((second.looked, second.wrapped), (1, 1));
    let rest = data_key::rewrap_some(&world.system, &both, None, 10, rng()).await?;
    assert_eq!((rest.looked, rest.wrapped), (0, 0));
    data_key::check(&world.system, Some(&new)).await?;
    // What was sealed before opens with the new one alone.
    world.vault = Arc::new(new);
    let after = world.second_worker(offpeak_worker::Options::default())?;
    after.tick(Loop::Enroll).await?;
    world.submit(&["one"]).await?;
    world.pass(Duration::from_secs(10));
    after.tick(Loop::Form).await?;
    assert_eq!(after.tick(Loop::Submit).await?.done, 1);
    assert_eq!(world.texts(WAYS).await?, ["acme own"]);
    Ok(())
}
