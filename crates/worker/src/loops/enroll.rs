//! Takes in the Anthropic keys that tenants bring: checks a new one by a call that reads,
//! keeps this process's set of keys as the database has it, and moves what waits to where
//! its tenant's jobs go now.
//!
//! It never creates, cancels or deletes anything at Anthropic, and a key in clear goes
//! from the database into the client that sends it and nowhere else. If the process dies
//! here, a key is still to be checked, or it is in use or refused; never half of that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use offpeak_anthropic::Error as CallError;
use offpeak_anthropic::disposition::{Reading, of_read};
use offpeak_domain::id::UpstreamId;
use offpeak_domain::vault::Vault;
use offpeak_store::upstream;
use offpeak_store::upstream_key::check::{self, Good};
use offpeak_store::upstream_key::{self, Alive, ways};
use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

use crate::measure;
use crate::outcome::{Outcome, Wait};
use crate::upstream::Upstream;
use crate::worker::{Loop, Setting};
use crate::{Error, Result};

/// From a check that nobody could answer to the next one.
const AGAIN: Duration = Duration::from_secs(30);

pub(crate) struct Enroll(pub(crate) Arc<Setting>, pub(crate) measure::Shared);

/// What came of one check.
enum Checked {
    /// It is good; whether it is certainly of another workspace than the one before.
    Good {
        workspace: Option<String>,
        elsewhere: bool,
    },
    /// It is not, and why.
    Bad {
        said: String,
        workspace: Option<String>,
    },
    /// Nobody can say just now, and why.
    Unclear(String),
}

impl Enroll {
    pub(crate) async fn tick(&self) -> Result<Outcome> {
        let now = self.0.clock.now().await?;
        let mut outcome = Outcome {
            wait: Wait::For(self.0.options.idle),
            ..Outcome::default()
        };
        // What a process that stands still for long has missed comes first.
        let known = self.know().await;
        let due = check::due(&self.0.system, now, 1).await?;
        if (due.is_empty() || self.0.vault.is_none()) && !ways::is_due(&self.0.system, now).await? {
            known?;
            return Ok(outcome);
        }
        if let Some(led) = self.0.lead("enroll").await? {
            let leader = Self(led.setting(), Arc::clone(&self.1));
            if let Some(vault) = &self.0.vault {
                for key in check::due(&leader.0.system, now, 1).await? {
                    outcome.done += u64::from(leader.check(vault, key, now).await?);
                }
            }
            let moved = ways::mend(&leader.0.system, now).await?;
            if moved != ways::Moved::default() {
                tracing::info!(
                    buckets = moved.buckets,
                    batches = moved.batches,
                    "what waits goes where its tenant's jobs go now"
                );
                outcome.done += moved.buckets + moved.batches;
            }
        }
        known?;
        if outcome.done > 0 {
            self.know().await?;
            outcome.wait = Wait::Now;
            outcome.wakes.extend([
                Loop::Rescue,
                Loop::Reconcile,
                Loop::Poll,
                Loop::Ingest,
                Loop::Form,
                Loop::Submit,
                Loop::Direct,
            ]);
        }
        Ok(outcome)
    }

    /// Brings this process's set of keys to what the database says. What does not open
    /// is left out, and an error; the others are taken in all the same.
    async fn know(&self) -> Result<()> {
        let Some(vault) = &self.0.vault else {
            return Ok(());
        };
        let current = upstream_key::current(&self.0.system).await?;
        let present = self.0.upstreams();
        let mut of_tenants: HashMap<UpstreamId, &Upstream> = present
            .iter()
            .filter(|one| one.version.is_some())
            .map(|one| (one.id, one))
            .collect();
        // Those that it was started with stay, whatever the database says.
        let mut next: Vec<Upstream> = present
            .iter()
            .filter(|one| one.version.is_none())
            .cloned()
            .collect();
        let (mut changed, mut failed) = (false, None);
        for key in current {
            let there = of_tenants.remove(&ways::of_tenant(key.tenant));
            if let Some(same) = there.filter(|one| one.version == Some(key.version)) {
                next.push(same.clone());
                continue;
            }
            changed = true;
            match self.opened(vault, key).await {
                Ok(Some(new)) => {
                    tracing::info!(tenant = %key.tenant, version = key.version, "own key taken in");
                    next.push(new);
                }
                // It is over already.
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(
                        tenant = %key.tenant, version = key.version, %error,
                        "a tenant's own key does not open: its jobs wait"
                    );
                    failed = Some(error);
                }
            }
        }
        for gone in of_tenants.keys() {
            changed = true;
            tracing::info!(upstream = %gone, "own key let go");
        }
        if changed {
            self.0.set_upstreams(next);
        }
        failed.map_or(Ok(()), Err)
    }

    /// A tenant's upstream with this key, if it is still one.
    async fn opened(&self, vault: &Vault, key: Alive) -> Result<Option<Upstream>> {
        let Some(own) = self.unwatched(vault, key).await? else {
            return Ok(None);
        };
        let random = self.0.random();
        Ok(Some(own.watched(&self.1, &self.0.clock, random)))
    }

    async fn unwatched(&self, vault: &Vault, key: Alive) -> Result<Option<Upstream>> {
        let Some(secret) = upstream_key::open(&self.0.system, vault, key).await? else {
            return Ok(None);
        };
        let upstreams = self.0.upstreams();
        let deployment = upstreams.iter().find(|one| one.id == upstream::OWN);
        let deployment = deployment.ok_or(Error::NoCredential)?;
        Ok(Some(deployment.with_key(key, &secret)?))
    }

    /// Checks one key, and writes down what came of it. False when it is over.
    async fn check(&self, vault: &Vault, key: Alive, now: OffsetDateTime) -> Result<bool> {
        let Some(own) = self.unwatched(vault, key).await? else {
            return Ok(false);
        };
        let checked = self.ask(&own, key).await?;
        let system = &self.0.system;
        // What is said stands in the tenant's own row; no part of a key may.
        let secret = upstream_key::open(system, vault, key).await?;
        let clean = |said: String| match &secret {
            Some(secret) => said.replace(secret.expose_secret(), "…"),
            None => said,
        };
        match checked {
            Checked::Good {
                workspace,
                elsewhere,
            } => {
                let good = Good {
                    key,
                    workspace: workspace.as_deref(),
                    elsewhere,
                    base_url: own.base_url(),
                    at: now,
                };
                let taken = check::accept(system, &good).await?;
                if taken {
                    tracing::info!(tenant = %key.tenant, version = key.version, "own key is good");
                }
                Ok(taken)
            }
            Checked::Bad { said, workspace } => {
                let said = clean(said);
                tracing::warn!(tenant = %key.tenant, version = key.version, "own key refused");
                Ok(check::refuse(system, key, &said, workspace.as_deref(), now).await?)
            }
            Checked::Unclear(said) => {
                tracing::warn!(
                    tenant = %key.tenant, version = key.version,
                    "own key cannot be checked just now"
                );
                check::put_off(system, key, &clean(said), now + AGAIN).await?;
                Ok(true)
            }
        }
    }

    /// Asks Anthropic, by calls that change nothing there.
    async fn ask(&self, own: &Upstream, key: Alive) -> Result<Checked> {
        let workspace = match own.try_list().await {
            Ok(listed) => listed.workspace,
            Err(error) => return Ok(refusal(&error, None)),
        };
        let before = check::before(&self.0.system, key.tenant).await?;
        let named = before.workspace.as_deref().zip(workspace.as_deref());
        let elsewhere = match (named, &before.open_batch) {
            (Some((was, is)), _) => was != is,
            // Without their names, a batch of ours shows whether it is the same one.
            (None, Some(batch)) => match own.try_batch(batch).await {
                Ok(_) => false,
                Err(error) if of_read(&error) == Reading::Missing => true,
                Err(error) => return Ok(refusal(&error, workspace)),
            },
            (None, None) => false,
        };
        if elsewhere && before.open > 0 {
            let said = format!(
                "the key is good, and of another workspace than the {} batches that are open: \
                 with it their results could not be read. Set a key of the workspace that they \
                 are in, or wait until they have ended and set this one again",
                before.open
            );
            return Ok(Checked::Bad { said, workspace });
        }
        Ok(Checked::Good {
            workspace,
            elsewhere,
        })
    }
}

/// What an error says of the key that met it.
fn refusal(error: &CallError, workspace: Option<String>) -> Checked {
    let said = in_words(error);
    match of_read(error) {
        Reading::Again | Reading::After(_) => Checked::Unclear(said),
        Reading::Missing | Reading::Paused(_) | Reading::Invalid => {
            Checked::Bad { said, workspace }
        }
    }
}

/// What Anthropic said, for the tenant whose key it is.
fn in_words(error: &CallError) -> String {
    match error {
        CallError::Api(told) => {
            let id = told
                .request_id
                .as_deref()
                .map(|id| format!(" (request {id})"));
            format!(
                "Anthropic answered {} {}: {}{}",
                told.status,
                told.kind,
                told.detail(),
                id.unwrap_or_default()
            )
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Checked, in_words, refusal};
    use offpeak_anthropic::shape::ErrorKind;
    use offpeak_anthropic::{ApiError, Error};

    #[test]
    fn what_anthropic_says_decides_and_is_passed_on() {
        let api = |status, kind, message: &str| Error::from(ApiError::new(status, kind, message));
        let bad = api(401, ErrorKind::Authentication, "invalid x-api-key");
        insta::assert_snapshot!(in_words(&bad), @"Anthropic answered 401 authentication_error: invalid x-api-key");
        let denied = api(403, ErrorKind::Permission, "not allowed");
        for error in [&bad, &denied] {
            assert!(
                matches!(refusal(error, None), Checked::Bad { .. }),
                "{error}"
            );
        }
        let busy = api(529, ErrorKind::Overloaded, "overloaded");
        let broken = api(500, ErrorKind::Api, "internal");
        for error in [&busy, &broken, &Error::Timeout { body_sent: true }] {
            assert!(
                matches!(refusal(error, None), Checked::Unclear(_)),
                "{error}"
            );
        }
    }
}
