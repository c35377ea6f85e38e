//! Whose things are looked for, and by whom.

use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_api::LiveOptions;
use offpeak_domain::id::TenantId;
use offpeak_domain::scope::{Role, Scope};
use offpeak_store::person::Standing;
use offpeak_worker::Loop;
use reqwest::Method;
use serde_json::{Value, json};

use super::kinds::Kind;
use super::places::{Operation, Place};
use crate::api::{Answer, Api, raw_job};
use crate::api_people::{cookie, follow, link, operator};
use crate::api_tickets::job_of;

/// Stands in everything that the victim says, and may stand in nobody's answer.
pub(super) const CANARY: &str = "canary-of-the-victim";
/// What nobody has said, as long.
const NOBODYS: &str = "canary-of-nobody-xyz";
/// What both the victim and the other call one of their users.
pub(super) const USER: &str = "u_42";

/// One tenant with something of each kind.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) tenant: TenantId,
    pub(super) key: String,
    pub(super) queued: String,
    pub(super) completed: String,
    /// Ended before it was sent.
    pub(super) canceled: String,
    pub(super) group: String,
    batch: String,
    job_type: String,
    context: String,
    another_key: String,
    person: String,
    budget: String,
    operation: String,
    name: String,
    /// By path of the list.
    cursors: Vec<(String, String)>,
    /// Of the stream.
    pub(super) event: String,
}

/// A tenant whose things are looked for, one who looks, and one whose things are far
/// from both.
pub(super) struct Stage {
    pub(super) api: Api,
    pub(super) victim: Side,
    pub(super) spy: Side,
    ghost: Side,
    pub(super) actors: Vec<Actor>,
    /// Whether the victim's id is bound to the statements of the other's.
    pub(super) is_bound: bool,
}

/// Somebody who asks.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) name: &'static str,
    pub(super) as_whom: As,
    key: String,
    headers: Vec<(&'static str, String)>,
}

/// As whom somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    /// As nobody, since what they present opens nothing.
    Nobody,
    /// As the victim, with a key that may do this and nothing else.
    Narrow(Scope),
    /// As the other tenant.
    Spy,
    /// As a user of the other tenant.
    SpysUser,
    /// As whoever may read one group of the other tenant, of which nothing more comes.
    SpysGroup,
    /// As the operator.
    Operator,
}

impl Actor {
    fn new(name: &'static str, as_whom: As, key: impl Into<String>) -> Self {
        Self {
            name,
            as_whom,
            key: key.into(),
            headers: Vec::new(),
        }
    }

    fn page(name: &'static str, as_whom: As, api: &Api, cookie: String) -> Self {
        let headers = vec![("cookie", cookie), ("origin", api.url.clone())];
        Self {
            headers,
            ..Self::new(name, as_whom, "")
        }
    }

    /// What they present, as headers.
    pub(super) fn presents(&self) -> Vec<(&'static str, String)> {
        let mut all = self.headers.clone();
        if !self.key.is_empty() {
            all.push(("authorization", format!("Bearer {}", self.key)));
        }
        all
    }
}

impl Side {
    async fn create(api: &mut Api, name: &str) -> Result<(TenantId, String)> {
        if name == "victim" {
            return Ok((api.world.tenant, api.key.clone()));
        }
        api.tenant(name).await
    }

    /// Makes everything that ends with its jobs, which are still under way afterwards.
    async fn begin(api: &Api, key: &str, name: &str, mark: &str) -> Result<Vec<Answer>> {
        let post = async |path: &str, body: String| {
            let made = api.send(Method::POST, path, key, &[], body).await?;
            anyhow::ensure!(made.status < 300, "{path}: {made:?}");
            Ok(made)
        };
        let job_type = json!({"name": type_of(name), "model": "claude-haiku-5-5", "max_tokens": 9,
            "template": mark, "input_schema": {"type": "object"}})
        .to_string();
        let context = json!({ "text": mark }).to_string();
        let lines = format!("{}\n{}", job_of(USER, mark), raw_job(mark));
        Ok(vec![
            post("/v1/jobs/bulk", lines).await?,
            post("/v1/job-types", job_type.clone()).await?,
            post("/v1/job-types", job_type).await?,
            post("/v1/contexts", context).await?,
            post(
                "/v1/contexts",
                json!({ "text": format!("{mark} again") }).to_string(),
            )
            .await?,
        ])
    }

    /// The rest, when those have ended.
    async fn furnish(
        api: &Api,
        (tenant, key): (TenantId, String),
        name: &str,
        mark: &str,
        begun: &[Answer],
    ) -> Result<Self> {
        let send = async |method: Method, path: &str, body: Value| {
            let text = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            let made = api.send(method, path, &key, &[], text).await?;
            anyhow::ensure!(made.status < 300, "{path}: {made:?}");
            anyhow::Ok(made)
        };
        let under_key = async |path: &str, last: char, body: String| {
            let claimed = format!("idem-{name}-{last}");
            let claimed = [("idempotency-key", claimed.as_str())];
            let made = api.send(Method::POST, path, &key, &claimed, body).await?;
            anyhow::ensure!(made.status == 202, "{path}: {made:?}");
            anyhow::Ok(made)
        };
        let sharing = job_of(USER, mark).replacen('{', r#"{"coalesce":true,"#, 1);
        let queued = under_key("/v1/jobs", 'h', sharing).await?;
        under_key("/v1/jobs", 'b', raw_job(mark)).await?;
        under_key("/v1/jobs/bulk", 'u', raw_job(mark)).await?;
        let of_one = json!({"type": type_of(name), "input": {}, "user": format!("u_{name}")});
        let of_one = of_one.to_string();
        let canceled = api.submit(&key, of_one).await?;
        send(
            Method::POST,
            &format!("/v1/jobs/{canceled}/cancel"),
            Value::Null,
        )
        .await?;
        let budget = json!({"scope": "user", "name": USER, "period": "month", "limit": "1000", "hard": true});
        let person = json!({"name": "ada", "role": "viewer"});
        let mut side = Self {
            tenant,
            queued: queued.at("/id"),
            completed: send(
                Method::GET,
                &format!("/v1/jobs?state=completed&user={USER}"),
                Value::Null,
            )
            .await?
            .at("/data/0/id"),
            canceled,
            group: begun[0].at("/group"),
            batch: send(Method::GET, "/v1/batches", Value::Null)
                .await?
                .at("/data/0/id"),
            job_type: type_of(name),
            context: begun[3].at("/id"),
            another_key: send(Method::POST, "/v1/keys", json!({ "name": mark }))
                .await?
                .at("/id"),
            person: send(Method::POST, "/v1/people", person).await?.at("/id"),
            budget: send(Method::PUT, "/v1/budgets", budget).await?.at("/id"),
            operation: {
                // Of nothing: it changes no job.
                let of = json!({"action": "retry", "filter": {"user": "nobody"}});
                send(Method::POST, "/v1/operations", of.clone()).await?;
                send(Method::POST, "/v1/operations", of).await?.at("/id")
            },
            name: name.to_owned(),
            cursors: Vec::new(),
            event: send(Method::GET, "/v1/jobs", Value::Null)
                .await?
                .header("offpeak-cursor")
                .to_owned(),
            key: key.clone(),
        };
        let versions = format!("/v1/job-types/{}/versions", side.job_type);
        for path in [
            "/v1/jobs",
            "/v1/groups",
            "/v1/batches",
            "/v1/contexts",
            "/v1/operations",
            &versions,
        ] {
            let page = send(Method::GET, &format!("{path}?limit=1"), Value::Null)
                .await?
                .json();
            let next = page["next_cursor"]
                .as_str()
                .with_context(|| format!("{path}: one page"))?;
            side.cursors
                .push((path.replace(&side.job_type, "{name}"), next.to_owned()));
        }
        Ok(side)
    }

    /// The side's own of a kind, where that is one thing.
    pub(super) fn own(&self, kind: Kind, operation: &Operation) -> Option<String> {
        Some(match kind {
            Kind::Job => self.queued.clone(),
            Kind::Group => self.group.clone(),
            Kind::Batch => self.batch.clone(),
            Kind::JobType => self.job_type.clone(),
            Kind::Context => self.context.clone(),
            Kind::Key => self.another_key.clone(),
            Kind::Person => self.person.clone(),
            Kind::Budget => self.budget.clone(),
            Kind::Operation => self.operation.clone(),
            Kind::IdempotencyKey => format!("idem-{}", self.name),
            Kind::EventCursor => self.event.clone(),
            Kind::ListCursor => {
                let of = |(path, _): &&(String, String)| *path == operation.path;
                self.cursors.iter().find(of)?.1.clone()
            }
            Kind::User => format!("u_{}", self.name),
            Kind::PersonName => "ada".into(),
            Kind::Text => CANARY.into(),
            Kind::Params => params(CANARY),
            Kind::Topics | Kind::Operators | Kind::Nothing(_) => return None,
        })
    }

    /// What may stand in nobody else's answer.
    pub(super) fn secrets(&self) -> Vec<&str> {
        vec![
            CANARY,
            &self.queued,
            &self.completed,
            &self.canceled,
            &self.group,
            &self.batch,
            &self.context,
            &self.another_key,
            &self.person,
            &self.budget,
            &self.operation,
        ]
    }
}

/// An id that nothing has, of the same time as this one.
pub(super) fn missing(id: &str) -> String {
    format!("{}000000", &id[..id.len() - 6])
}

/// The body of a message around a text.
fn params(text: &str) -> String {
    String::from_utf8_lossy(&offpeak_testkit::world::params(text)).into_owned()
}

/// Of one length, as the name that nothing has.
fn type_of(name: &str) -> String {
    format!("of_{name}")
}

impl Stage {
    pub(super) async fn set() -> Result<Self> {
        let mut api = Api::with_live(LiveOptions {
            heartbeat: Duration::from_millis(300),
            // Whom a hint does not reach looks all the same.
            look_every: Duration::from_millis(100),
            ..LiveOptions::default()
        })
        .await?;
        let mut sides = Vec::new();
        for (name, mark) in [("spies", "spies"), ("ghost", "ghost"), ("victim", CANARY)] {
            let (tenant, key) = Side::create(&mut api, name).await?;
            // Each in a batch of its own, and another, so that lists have two pages.
            for _ in 0..2 {
                Side::begin(&api, &key, name, mark).await?;
                api.world.run_out().await?;
            }
            let begun = Side::begin(&api, &key, name, mark).await?;
            api.world.run_out().await?;
            sides.push(Side::furnish(&api, (tenant, key), name, mark, &begun).await?);
        }
        while api.world.worker.tick(Loop::Relay).await?.done > 0 {}
        let (Some(victim), Some(ghost), Some(spy)) = (sides.pop(), sides.pop(), sides.pop()) else {
            anyhow::bail!("three sides");
        };
        let actors = actors(&api, &victim, &spy).await?;
        Ok(Self {
            api,
            victim,
            spy,
            ghost,
            actors,
            is_bound: false,
        })
    }

    /// What the victim has of a kind, each beside one that nothing is: as long, and as
    /// well formed.
    pub(super) fn pairs(
        &self,
        kind: Kind,
        operation: &Operation,
        place: &Place,
    ) -> Vec<(String, String)> {
        let Some(real) = self.victim.own(kind, operation) else {
            return Vec::new();
        };
        if kind == Kind::IdempotencyKey {
            // Each place has its own, which both may use up there.
            let last = match place {
                Place::Body(_) => 'b',
                _ if operation.path.ends_with("/bulk") => 'u',
                _ => 'h',
            };
            return vec![(format!("{real}-{last}"), format!("idem-nobody-{last}"))];
        }
        let nobody = match kind {
            Kind::ListCursor | Kind::EventCursor => self.ghost.own(kind, operation),
            Kind::JobType => Some(type_of("nobody")),
            Kind::User => Some("u_nobody".into()),
            Kind::PersonName => Some("bob".into()),
            Kind::Text => Some(NOBODYS.into()),
            Kind::Params => Some(params(NOBODYS)),
            _ => Some(missing(&real)),
        };
        let nobody = nobody.unwrap_or_default();
        let mut pairs = vec![(real, nobody)];
        if kind == Kind::Job {
            let completed = self.victim.completed.clone();
            pairs.push((completed.clone(), missing(&completed)));
        }
        pairs
    }

    /// Asks, always by the same request id.
    pub(super) async fn ask(&self, actor: &Actor, ask: &super::ask::Ask) -> Result<Answer> {
        let presents = actor.presents();
        let mut headers = vec![("x-request-id", "same")];
        headers.extend(presents.iter().map(|(name, value)| (*name, value.as_str())));
        headers.extend(
            ask.headers
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        self.api
            .send(
                ask.method.clone(),
                &ask.path,
                "",
                &headers,
                ask.body.clone(),
            )
            .await
    }

    /// The victim itself.
    pub(super) fn owner(&self) -> Actor {
        Actor::new("the owner", As::Spy, self.victim.key.clone())
    }
}

async fn actors(api: &Api, victim: &Side, spy: &Side) -> Result<Vec<Actor>> {
    let key = async |scopes: Value| {
        let made = api
            .send(
                Method::POST,
                "/v1/keys",
                &victim.key,
                &[],
                json!({"scopes": scopes}).to_string(),
            )
            .await?;
        anyhow::ensure!(made.status == 201, "{made:?}");
        anyhow::Ok((made.at("/id"), made.at("/key")))
    };
    let mut mistyped = victim.key.clone();
    let other = if mistyped[12..].starts_with('a') {
        "b"
    } else {
        "a"
    };
    mistyped.replace_range(12..13, other);
    let all = json!([
        "jobs:read",
        "results:read",
        "jobs:write",
        "settings:manage",
        "keys:manage"
    ]);
    let (id, revoked) = key(all.clone()).await?;
    let gone = api
        .send(
            Method::DELETE,
            &format!("/v1/keys/{id}"),
            &victim.key,
            &[],
            "",
        )
        .await?;
    anyhow::ensure!(gone.status == 204, "{gone:?}");
    let lasting = json!({"scopes": all, "expires_in": 60}).to_string();
    let expired = api
        .send(Method::POST, "/v1/keys", &victim.key, &[], lasting)
        .await?
        .at("/key");
    api.world
        .meddle("UPDATE offpeak.api_key SET expires_at = now() WHERE expires_at IS NOT NULL")
        .await?;

    let admin = link(api, spy.tenant, "an admin", Standing::Of(Role::Admin)).await?;
    let admin = cookie(&follow(api, &admin).await?);
    let operator = operator(api).await?;
    let path = format!("/v1/operator/tenants/{}/look", spy.tenant);
    let look = api
        .as_page(Method::POST, &path, &operator, r#"{"reason":"a test"}"#)
        .await?;
    let look = cookie(&look);
    let ticket = api
        .ticket(&spy.key, json!({ "user": USER, "ttl": 3600 }))
        .await?;
    let of_group = api
        .ticket(&spy.key, json!({ "group": spy.group, "ttl": 3600 }))
        .await?;
    let mut actors = vec![
        Actor::new("no key", As::Nobody, ""),
        Actor::new("a broken checksum", As::Nobody, mistyped),
        Actor::new("a revoked key", As::Nobody, revoked),
        Actor::new("an expired key", As::Nobody, expired),
        Actor::new("another tenant's key", As::Spy, spy.key.clone()),
        Actor::page("another tenant's admin", As::Spy, api, admin),
        Actor::page(
            "an operator who looks at another tenant",
            As::Spy,
            api,
            look,
        ),
        Actor::new("a ticket of another tenant's user", As::SpysUser, ticket),
        Actor::new(
            "a ticket of another tenant's group",
            As::SpysGroup,
            of_group,
        ),
        Actor::page("an operator", As::Operator, api, operator),
    ];
    for scope in [Scope::JobsRead, Scope::KeysManage] {
        let (_, narrow) = key(json!([scope.as_str()])).await?;
        actors.push(Actor::new(
            "a key with another scope",
            As::Narrow(scope),
            narrow,
        ));
    }
    Ok(actors)
}
