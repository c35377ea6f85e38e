//! Signing in by an identity server, as the database sees it, and where none is set up.
//! The whole way, with a real one, is `scripts/oidc-walk`.

use std::time::Duration;

use anyhow::Result;
use offpeak_domain::id::PersonId;
use offpeak_domain::scope::Role;
use offpeak_store::identity::{self, Vouched};
use offpeak_store::person::{self, OPERATORS, Standing};
use offpeak_store::tend;
use reqwest::Method;

use crate::api::Api;
use crate::api_people::{browser, link};

const MINUTE: Duration = Duration::from_mins(1);
const ADA: [u8; 32] = [1; 32];
const EVE: [u8; 32] = [2; 32];

fn vouched(identity: [u8; 32], address: &str) -> Vouched {
    Vouched {
        identity,
        address: (!address.is_empty()).then(|| address.to_owned()),
    }
}

/// Which tenants somebody may enter, and whether they are known there.
async fn entries(api: &Api, identity: [u8; 32], address: &str) -> Result<Vec<(String, bool)>> {
    let found = api
        .world
        .tenants
        .entries(&vouched(identity, address))
        .await?;
    let shown = found
        .into_iter()
        .map(|entry| (entry.tenant_name, entry.known));
    Ok(shown.collect())
}

async fn tie(api: &Api, person: PersonId, identity: [u8; 32]) -> Result<bool> {
    let mut tx = api.world.tenants.begin(api.world.tenant).await?;
    let tied = identity::tie(&mut tx, person, &identity).await?;
    tx.commit().await?;
    Ok(tied)
}

#[tokio::test]
async fn who_was_added_enters_by_address_once_and_by_identity_ever_after() -> Result<()> {
    let mut api = Api::new().await?;
    let (globex, _) = api.tenant("globex").await?;
    let own = "acme".to_owned();
    link(
        &api,
        api.world.tenant,
        "Ada@Example.com",
        Standing::Of(Role::Viewer),
    )
    .await?;
    assert_eq!(
        entries(&api, ADA, "ada@example.com").await?,
        [(own.clone(), false)]
    );
    for (identity, address) in [(ADA, ""), (ADA, "ada@example"), (ADA, "eve@example.com")] {
        assert_eq!(entries(&api, identity, address).await?, []);
    }

    let found = api
        .world
        .tenants
        .entries(&vouched(ADA, "ada@example.com"))
        .await?;
    let ada = found[0].as_whom.person;
    assert_eq!(found[0].as_whom.tenant, api.world.tenant);
    assert!(tie(&api, ada, ADA).await?);
    // The address is nothing any more: whoever has it now is somebody else.
    assert_eq!(entries(&api, ADA, "").await?, [(own.clone(), true)]);
    assert_eq!(
        entries(&api, ADA, "new@example.com").await?,
        [(own.clone(), true)]
    );
    assert_eq!(entries(&api, EVE, "ada@example.com").await?, []);
    assert!(!tie(&api, ada, EVE).await?);

    // In a second tenant they are matched for the first time, and in the first not twice.
    for tenant in [globex, api.world.tenant] {
        link(&api, tenant, "ada.l@example.com", Standing::Of(Role::Admin)).await?;
    }
    let both = entries(&api, ADA, "ada.l@example.com").await?;
    assert_eq!(both, [(own, true), ("globex".to_owned(), false)]);

    let mut tx = api.world.tenants.begin(api.world.tenant).await?;
    assert!(person::remove_own(&mut tx, ada).await?);
    tx.commit().await?;
    assert_eq!(entries(&api, ADA, "").await?, []);
    assert!(!tie(&api, ada, ADA).await?);
    Ok(())
}

#[tokio::test]
async fn no_operator_enters_so_and_no_tenant_ties_anothers_person() -> Result<()> {
    let mut api = Api::new().await?;
    link(&api, OPERATORS, "olga@example.com", Standing::Operator).await?;
    assert_eq!(entries(&api, EVE, "olga@example.com").await?, []);
    api.world
        .meddle("UPDATE offpeak.person SET identity = decode(repeat('02', 32), 'hex')")
        .await?;
    assert_eq!(entries(&api, EVE, "").await?, []);

    let (globex, _) = api.tenant("globex").await?;
    link(&api, globex, "ada@example.com", Standing::Of(Role::Viewer)).await?;
    let found = api
        .world
        .tenants
        .entries(&vouched(ADA, "ada@example.com"))
        .await?;
    assert!(!tie(&api, found[0].as_whom.person, ADA).await?);
    assert_eq!(entries(&api, ADA, "").await?, []);
    Ok(())
}

#[tokio::test]
async fn an_attempt_comes_back_once_and_in_time() -> Result<()> {
    let api = Api::new().await?;
    let tenants = &api.world.tenants;
    let who = vouched(ADA, "ada@example.com");
    tenants.begin_attempt(&[7; 32], MINUTE).await?;
    // Nothing is kept of one that has not come back, and nothing ends.
    tenants.keep_attempt(&[7; 32], &who).await?;
    assert_eq!(tenants.end_attempt(&[7; 32]).await?, None);
    assert!(tenants.redeem_attempt(&[7; 32]).await?.is_some());
    assert!(tenants.redeem_attempt(&[7; 32]).await?.is_none());
    assert!(tenants.redeem_attempt(&[8; 32]).await?.is_none());
    tenants.keep_attempt(&[7; 32], &who).await?;
    assert_eq!(tenants.end_attempt(&[8; 32]).await?, None);
    assert_eq!(tenants.end_attempt(&[7; 32]).await?, Some(who.clone()));
    assert_eq!(tenants.end_attempt(&[7; 32]).await?, None);

    tenants.begin_attempt(&[9; 32], MINUTE).await?;
    tenants.begin_attempt(&[6; 32], MINUTE).await?;
    assert!(tenants.redeem_attempt(&[6; 32]).await?.is_some());
    tenants.keep_attempt(&[6; 32], &who).await?;
    let over = "UPDATE offpeak.signin_attempt SET expires_at = now()";
    api.world.meddle(over).await?;
    assert!(tenants.redeem_attempt(&[9; 32]).await?.is_none());
    assert_eq!(tenants.end_attempt(&[6; 32]).await?, None);
    assert_eq!(tend::purge_attempts(&api.world.system, 10).await?, 2);
    assert_eq!(tend::purge_attempts(&api.world.system, 10).await?, 0);
    Ok(())
}

/// Two that come back at the same moment: the address in the browser's bar, reloaded.
#[tokio::test]
async fn of_two_at_once_one_comes_back() -> Result<()> {
    let api = Api::new().await?;
    let tenants = &api.world.tenants;
    tenants.begin_attempt(&[7; 32], MINUTE).await?;
    let one = || tenants.redeem_attempt(&[7; 32]);
    let (a, b, c) = tokio::try_join!(one(), one(), one())?;
    assert_eq!([a, b, c].iter().flatten().count(), 1);
    Ok(())
}

#[tokio::test]
async fn where_none_is_set_up_it_is_said() -> Result<()> {
    let api = Api::new().await?;
    let ways = api
        .send(Method::GET, "/v1/session/ways", "", &[], "")
        .await?;
    assert_eq!(
        (ways.status, ways.text.as_str()),
        (200, r#"{"identity_server":null}"#)
    );
    let own = [("origin", api.url.as_str())];
    for (path, body) in [
        ("/v1/session/oidc", ""),
        (
            "/v1/session/oidc/callback",
            r#"{"state": "s", "code": "c"}"#,
        ),
        ("/v1/session/oidc/tenant", r#"{"tenant": "ten_x"}"#),
    ] {
        let none = api.send(Method::POST, path, "", &own, body).await?;
        assert_eq!(none.problem(), "404 not_found", "{path}");
        assert!(none.at("/detail").contains("[oidc]"), "{none:?}");
        // Nor does a page of somebody else hear so much.
        let evil = [("origin", "https://evil.example")];
        for headers in [&evil[..], &[]] {
            let refused = api.send(Method::POST, path, "", headers, body).await?;
            assert_eq!(refused.problem(), "403 origin_not_allowed", "{path}");
        }
    }
    // Who is signed in stays so.
    let ada = browser(&api, "ada", Role::Viewer).await?;
    let me = api.as_page(Method::GET, "/v1/me", &ada, "").await?;
    assert_eq!(me.status, 200);
    Ok(())
}
