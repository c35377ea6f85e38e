//! Calls per minute: counted by workspace and family, shown in headers, and for
//! the batch endpoints kept to the limit that is set.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderValue;
use axum::response::Response;
use offpeak_anthropic::shape::ErrorKind;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::dice;
use crate::models;
use crate::refusal::Refusal;

/// Calls per minute where no limit is kept, as the highest tier has them.
const BATCH_CALLS: u32 = 4_000;
const MESSAGES: u32 = 4_000;
const COUNTS: u32 = 8_000;
const INPUT_TOKENS: u32 = 4_000_000;
const OUTPUT_TOKENS: u32 = 800_000;

/// Endpoints that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    Batches,
    Messages,
    TokenCounts,
}

impl Family {
    /// The family of a path, if its calls are counted.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            _ if path.starts_with("/v1/messages/batches") => Some(Self::Batches),
            "/v1/messages" => Some(Self::Messages),
            "/v1/messages/count_tokens" => Some(Self::TokenCounts),
            _ => None,
        }
    }
}

/// The running minute of each workspace.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<(String, Family), (i64, u32)>>);

/// How a family stands after a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    family: Family,
    limit: u32,
    remaining: u32,
    reset: OffsetDateTime,
    /// Until the reset.
    seconds: i64,
    exceeded: bool,
}

impl Rates {
    /// Counts a call, unless it goes beyond `kept`, the limit that is kept.
    pub(crate) fn count(
        &self,
        workspace: &str,
        family: Family,
        kept: Option<u32>,
        now: OffsetDateTime,
    ) -> Standing {
        let limit = kept.unwrap_or(match family {
            Family::Batches => BATCH_CALLS,
            Family::Messages => MESSAGES,
            Family::TokenCounts => COUNTS,
        });
        let (minute, second) = (
            now.unix_timestamp().div_euclid(60),
            now.unix_timestamp().rem_euclid(60),
        );
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (counted, count) = calls.entry((workspace.to_owned(), family)).or_default();
        if *counted != minute {
            (*counted, *count) = (minute, 0);
        }
        let exceeded = kept.is_some() && *count >= limit;
        if !exceeded {
            *count = count.saturating_add(1);
        }
        let reset = OffsetDateTime::from_unix_timestamp((minute + 1) * 60).unwrap_or(now);
        Standing {
            family,
            limit,
            remaining: limit.saturating_sub(*count),
            reset,
            seconds: 60 - second,
            exceeded,
        }
    }
}

impl Standing {
    /// Refuses the call, if it went beyond the limit.
    pub(crate) fn admit(self) -> Result<(), Refusal> {
        if !self.exceeded {
            return Ok(());
        }
        Err(Refusal {
            retry_after: Some(self.seconds.to_string().into()),
            ..Refusal::new(
                429,
                ErrorKind::RateLimit,
                format!(
                    "This request would exceed your limit of {} requests per minute",
                    self.limit
                ),
            )
        })
    }

    /// Sets the `anthropic-ratelimit-*` headers.
    pub(crate) fn tell(self, response: &mut Response) {
        let reset = self.reset.format(&Rfc3339).unwrap_or_default();
        let mut set = |what: &str, limit: u32, remaining: u32| {
            for (name, value) in [
                ("limit", limit.to_string()),
                ("remaining", remaining.to_string()),
                ("reset", reset.clone()),
            ] {
                let name = format!("anthropic-ratelimit-{what}-{name}");
                if let (Ok(name), Ok(value)) = (
                    name.parse::<axum::http::HeaderName>(),
                    HeaderValue::from_str(&value),
                ) {
                    response.headers_mut().insert(name, value);
                }
            }
        };
        set("requests", self.limit, self.remaining);
        if self.family == Family::Messages {
            // No tokens are counted: there is always room.
            set("input-tokens", INPUT_TOKENS, INPUT_TOKENS);
            set("output-tokens", OUTPUT_TOKENS, OUTPUT_TOKENS);
            set(
                "tokens",
                INPUT_TOKENS + OUTPUT_TOKENS,
                INPUT_TOKENS + OUTPUT_TOKENS,
            );
        }
    }
}

/// The organization's limits, as `GET /v1/organizations/rate_limits` lists them.
pub(crate) fn list(batch_calls: Option<u32>, max_queued: u64) -> Vec<Value> {
    let entry = |name: &str, group: Value, limits: Value, models: Value| {
        let mut group = group;
        group["id"] = dice::id("rlg_", 0, &[name]).into();
        json!({
            "type": "rate_limit",
            "id": dice::id("rl_", 0, &["organization", name]),
            "group": group,
            "limits": limits,
            "models": models,
        })
    };
    let limit = |kind: &str, value: u64| json!({ "type": kind, "value": value });
    let mut entries = vec![
        entry(
            "batch",
            json!({ "type": "batch" }),
            json!([
                limit(
                    "requests_per_minute",
                    batch_calls.unwrap_or(BATCH_CALLS).into()
                ),
                limit("enqueued_batch_requests", max_queued),
            ]),
            Value::Null,
        ),
        entry(
            "token_count",
            json!({ "type": "token_count" }),
            json!([limit("requests_per_minute", COUNTS.into())]),
            Value::Null,
        ),
    ];
    for line in ["opus", "sonnet", "haiku", "fable", "mythos"] {
        let names: Vec<&str> = models::all()
            .iter()
            .filter(|model| model.line() == line)
            .flat_map(models::Model::names)
            .collect();
        entries.push(entry(
            line,
            json!({ "type": "model_group", "display_name": format!("Claude {line}") }),
            json!([
                limit("requests_per_minute", MESSAGES.into()),
                limit("input_tokens_per_minute_cache_aware", INPUT_TOKENS.into()),
                limit("output_tokens_per_minute", OUTPUT_TOKENS.into()),
            ]),
            names.into(),
        ));
    }
    entries
}
