//! What lets somebody in: whether it still does, how long it is kept, and that it
//! is nowhere in clear.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use offpeak_domain::id::{KeyId, Minter, SessionId, TicketId};
use offpeak_domain::scope::Role;
use offpeak_store::credential::{Credential, alive};
use offpeak_store::person::Standing;
use offpeak_worker::Loop;
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::api::Api;
use crate::api_people::{follow, link};
use crate::api_tickets::PAGE;

#[tokio::test]
async fn what_stays_open_is_asked_about_in_one_statement() -> Result<()> {
    let mut api = Api::new().await?;
    api.ticket(&api.key, json!({"user": "ann"})).await?;
    api.ticket(&api.key, json!({"user": "bob", "ttl": 10}))
        .await?;
    api.post("/v1/session", "").await?;
    let second = api.another_key().await?;
    api.ticket(&second, json!({"user": "ann"})).await?;
    let (_, other) = api.tenant("other").await?;
    api.ticket(&other, json!({"user": "ann"})).await?;
    let ids = async |sql: &'static str| -> Result<Vec<uuid::Uuid>> {
        let texts = api.world.texts(sql).await?;
        Ok(texts
            .iter()
            .map(|id| id.parse())
            .collect::<Result<_, _>>()?)
    };
    let keys = ids("SELECT id::text FROM offpeak.api_key ORDER BY id").await?;
    let tickets = ids("SELECT id::text FROM offpeak.ticket ORDER BY id").await?;
    let sessions = ids("SELECT id::text FROM offpeak.session").await?;
    let key = |at: usize| Credential::Key(KeyId::from_uuid(keys[at]));
    let ticket = |at: usize| Credential::Ticket(TicketId::from_uuid(tickets[at]));
    let session = Credential::Session(SessionId::from_uuid(sessions[0]));
    let mut minter = Minter::new(api.world.time(), StdRng::seed_from_u64(1));
    let all = [
        key(0),
        key(1),
        key(2),
        ticket(0),
        ticket(1),
        ticket(2),
        ticket(3),
        session,
        // Ids mean what they say they are.
        Credential::Session(SessionId::from_uuid(tickets[0])),
        Credential::Ticket(TicketId::from_uuid(keys[0])),
        Credential::Key(minter.mint()),
    ];
    let held = async || -> Result<HashSet<Credential>> {
        let mut tx = api.world.tenants.begin(api.world.tenant).await?;
        Ok(alive(&mut tx, &all).await?)
    };
    let of = |held: &[Credential]| held.iter().copied().collect::<HashSet<_>>();
    // Those of the other tenant hold, but not here.
    assert_eq!(
        held().await?,
        of(&[key(0), key(1), ticket(0), ticket(1), ticket(2), session])
    );
    api.world
        .meddle("UPDATE offpeak.ticket SET expires_at = clock_timestamp() WHERE user_label = 'bob'")
        .await?;
    api.world
        .meddle("UPDATE offpeak.session SET ended_at = clock_timestamp()")
        .await?;
    assert_eq!(held().await?, of(&[key(0), key(1), ticket(0), ticket(2)]));
    api.world
        .meddle(
            "UPDATE offpeak.api_key SET revoked_at = now()
              WHERE id = (SELECT min(id::text)::uuid FROM offpeak.api_key)",
        )
        .await?;
    assert_eq!(held().await?, of(&[key(1), ticket(2)]));
    let mut tx = api.world.tenants.begin(api.world.tenant).await?;
    assert!(alive(&mut tx, &[]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_over_is_forgotten_a_day_later() -> Result<()> {
    let api = Api::new().await?;
    let ticket = api.ticket(&api.key, json!({"user": "ann"})).await?;
    api.post("/v1/session", "").await?;
    // One that was used, and one that nobody followed.
    let ann = link(&api, api.world.tenant, "ann", Standing::Of(Role::Viewer)).await?;
    assert_eq!(follow(&api, &ann).await?.status, 201);
    let bob = link(&api, api.world.tenant, "bobby", Standing::Of(Role::Viewer)).await?;
    let left = "SELECT (SELECT count(*) FROM offpeak.ticket)
                     + (SELECT count(*) FROM offpeak.session)
                     + (SELECT count(*) FROM offpeak.signin_link)";
    let aged = [
        (
            "WITH t AS (UPDATE offpeak.ticket
                           SET expires_at = clock_timestamp() - interval '23 hours'),
                  l AS (UPDATE offpeak.signin_link
                           SET expires_at = clock_timestamp() - interval '23 hours')
             UPDATE offpeak.session SET expires_at = clock_timestamp() - interval '23 hours'",
            5,
        ),
        (
            "WITH t AS (UPDATE offpeak.ticket
                           SET expires_at = clock_timestamp() - interval '25 hours'),
                  l AS (UPDATE offpeak.signin_link
                           SET expires_at = clock_timestamp() - interval '25 hours')
             UPDATE offpeak.session SET expires_at = clock_timestamp() - interval '25 hours'",
            0,
        ),
    ];
    for (older, want) in aged {
        api.world.meddle(older).await?;
        api.world.worker.tick(Loop::Tend).await?;
        assert_eq!(api.world.number(left).await?, want);
    }
    let gone = api.read(&ticket, "/v1/jobs", None).await?;
    assert_eq!(gone.problem(), "401 unauthenticated");
    assert_eq!(follow(&api, &bob).await?.status, 401);
    // Who was invited stays so.
    let people = "SELECT count(*) FROM offpeak.person WHERE removed_at IS NULL";
    assert_eq!(api.world.number(people).await?, 2);
    Ok(())
}

/// What was logged, for a look at it.
#[derive(Clone, Debug, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logged {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// All that is traced stays on this thread: the runtime has no other.
#[tokio::test]
async fn no_secret_is_logged_or_stored() -> Result<()> {
    let api = Api::new().await?;
    let logged = Logged::default();
    let tracing = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(logged.clone())
        .finish();
    let guard = tracing::subscriber::set_default(tracing);
    let ticket = api.ticket(&api.key, json!({"user": "ann"})).await?;
    let begun = api.post("/v1/session", "").await?;
    let set = begun.header("set-cookie");
    let session = set[set.find("ofp_").expect("a secret")..][..50].to_owned();
    api.read(&ticket, "/v1/jobs", Some(PAGE)).await?;
    api.read("", &format!("/v1/jobs?ticket={ticket}"), None)
        .await?;
    let cookie = format!("offpeak_session={session}");
    let headers = [("cookie", cookie.as_str()), ("origin", api.url.as_str())];
    let out = api
        .send(Method::DELETE, "/v1/session", "", &headers, "")
        .await?;
    assert_eq!(out.status, 204);
    // Also where it goes wrong inside.
    api.world
        .meddle("ALTER TABLE offpeak.origin RENAME TO renamed")
        .await?;
    let broken = api.read(&ticket, "/v1/jobs", Some(PAGE)).await?;
    assert!(broken.status >= 500, "{broken:?}");
    drop(guard);

    let text = String::from_utf8(std::mem::take(
        &mut *logged.0.lock().unwrap_or_else(PoisonError::into_inner),
    ))?;
    assert!(!text.is_empty(), "nothing was logged at all");
    for secret in [&ticket, &session, &api.key] {
        let random = &secret[12..40];
        assert!(!text.contains(random) && !broken.text.contains(random));
    }
    let stored = "SELECT t::text FROM offpeak.ticket t
                   UNION ALL SELECT s::text FROM offpeak.session s
                   UNION ALL SELECT k::text FROM offpeak.api_key k";
    let stored = api.world.texts(stored).await?.concat();
    for secret in [&ticket, &session, &api.key] {
        assert!(!stored.contains(&secret[12..40]));
    }
    Ok(())
}
