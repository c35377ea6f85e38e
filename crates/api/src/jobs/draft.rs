//! From a request to what is stored: checked, rendered, its model known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use offpeak_domain::cache::Prefix;
use offpeak_domain::deliver::{self, Terms};
use offpeak_domain::job::{Lane, OnLate};
use offpeak_domain::job_type::Compiled;
use offpeak_domain::params;
use offpeak_domain::route::{Ways, route};
use offpeak_store::share::Sharing;
use offpeak_wire::{FieldError, JobRequest, Priority};
use serde_json::Value;
use serde_json::value::RawValue;

use super::opening::Openings;
use crate::State;
use crate::body::MAX_BYTES;
use crate::caller::Caller;
use crate::error::{Result, fault};
use crate::json::{self, compact};
use crate::text::{self, MAX_LABEL};

/// Bytes of `metadata`, at most, white space aside.
const MAX_METADATA: usize = 16 * 1024;
/// Names of job types that one request looks up and remembers.
const MAX_NAMES: usize = 1_000;

/// A job that breaks no rule.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) job_type: Option<(String, u32)>,
    pub(super) user: Option<String>,
    pub(super) model: String,
    pub(super) lane: Lane,
    pub(super) terms: Terms,
    pub(super) priority: i16,
    pub(super) metadata: Option<String>,
    pub(super) structured: bool,
    pub(super) prefix: Option<Prefix>,
    pub(super) sharing: Option<Sharing>,
    pub(super) params: Vec<u8>,
}

/// A job type with the version that this request uses throughout.
type Found = Option<(u32, Arc<Compiled>)>;

/// Makes drafts of one request's jobs.
pub(super) struct Drafting<'a> {
    state: &'a State,
    caller: &'a Caller,
    types: HashMap<String, Found>,
    ways: Option<Ways>,
    openings: Openings,
}

impl<'a> Drafting<'a> {
    pub(super) fn new(state: &'a State, caller: &'a Caller) -> Self {
        Self {
            state,
            caller,
            types: HashMap::new(),
            ways: None,
            openings: Openings::default(),
        }
    }

    /// Uses this version of a job type instead of asking for the newest.
    pub(super) fn assume(&mut self, name: &str, version: u32, compiled: Arc<Compiled>) {
        self.types
            .insert(name.to_owned(), Some((version, compiled)));
    }

    /// The draft, or everything that is wrong with the request.
    pub(super) async fn draft(
        &mut self,
        request: &JobRequest,
    ) -> Result<std::result::Result<Draft, Vec<FieldError>>> {
        let mut faults = Vec::new();
        if let Some(user) = &request.user {
            faults.extend(text::label("/user", user, MAX_LABEL).err());
        }
        let metadata = match request.metadata.as_deref().map(metadata).transpose() {
            Ok(metadata) => metadata,
            Err(fault) => {
                faults.push(fault);
                None
            }
        };
        let work = match (&request.r#type, &request.params) {
            (Some(name), None) => self.typed(name, request).await?,
            (None, Some(params)) => raw(params, request),
            (Some(_), Some(_)) => Err(vec![fault(
                "/params",
                "conflicting_fields",
                "stands beside `type`; a job has one of the two",
            )]),
            (None, None) => Err(vec![fault(
                "",
                "missing_field",
                "names neither a `type` nor `params`; a job has one of the two",
            )]),
        };
        let work = work.and_then(|work| {
            // What a job without a known price costs could not be said.
            if self.state.prices.admits(&work.model) {
                Ok(work)
            } else {
                let field = if work.job_type.is_some() {
                    "/type"
                } else {
                    "/params/model"
                };
                Err(vec![unknown_model(self.state, field)])
            }
        });
        let own = within(request.deliver_within.as_deref());
        let own = own.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let terms = match &work {
            Ok(work) => terms(own, request.on_late.map(policy), &work.terms),
            Err(_) => Ok(Terms::default()),
        };
        let terms = terms.unwrap_or_else(|fault| {
            if request.deliver_within.is_none() {
                faults.push(fault);
            }
            Terms::default()
        });
        let ways = self.ways().await;
        let lane = route(
            terms.within,
            terms.on_late.unwrap_or(OnLate::Escalate),
            &ways,
        )
        .lane();
        Ok(match work {
            Ok(work) if faults.is_empty() => Ok(Draft {
                lane,
                terms,
                job_type: work.job_type,
                user: request.user.clone(),
                model: work.model,
                priority: match request.priority.unwrap_or_default() {
                    Priority::Low => -1,
                    Priority::Normal => 0,
                    Priority::High => 1,
                },
                metadata,
                structured: work.structured,
                prefix: work.prefix,
                sharing: request
                    .coalesce
                    .unwrap_or(work.coalesce)
                    .then(|| Sharing::of(self.state.upstream.id, &work.params, work.reuse_for)),
                params: work.params,
            }),
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        })
    }

    /// What is known of the two ways, looked up once a request.
    async fn ways(&mut self) -> Ways {
        if let Some(ways) = self.ways {
            return ways;
        }
        let outlook = self.state.outlook(self.caller.tenant()).await;
        *self.ways.insert(outlook.ways(outlook.now))
    }

    async fn typed(
        &mut self,
        name: &str,
        request: &JobRequest,
    ) -> Result<std::result::Result<Work, Vec<FieldError>>> {
        let Some((version, compiled)) = self.find(name).await? else {
            return Ok(Err(vec![fault(
                "/type",
                "unknown_job_type",
                "is not the name of a job type; GET /v1/job-types lists them",
            )]));
        };
        let Some(input) = request.input.as_deref() else {
            return Ok(Err(vec![fault("/input", "missing_field", "is missing")]));
        };
        let input = match json::read(input.get()) {
            Ok(input) => input,
            Err(unreadable) => return Ok(Err(vec![unreadable.under("/input")])),
        };
        if let Err(broken) = compiled.check_input(&input) {
            let faults = broken.into_iter().map(|broken| {
                fault(
                    format!("/input{}", broken.pointer),
                    "schema_violation",
                    broken.message,
                )
            });
            return Ok(Err(faults.collect()));
        }
        let with_contexts = match request.context.as_deref() {
            None | Some([]) => None,
            Some(names) => {
                let of = (name, version, &*compiled);
                match self.openings.find(self.caller, of, names).await? {
                    Ok(head) => Some(head),
                    Err(faults) => return Ok(Err(faults)),
                }
            }
        };
        let head = with_contexts.as_deref().unwrap_or(compiled.head());
        let params = match compiled.render_after(head, &input) {
            Ok(params) => params,
            Err(error) => {
                return Ok(Err(vec![fault(
                    "/input",
                    "not_renderable",
                    error.to_string(),
                )]));
            }
        };
        if params.len() > MAX_BYTES {
            let message = format!("makes a prompt of more than {MAX_BYTES} bytes");
            return Ok(Err(vec![fault("/input", "too_large", message)]));
        }
        Ok(Ok(Work {
            job_type: Some((name.to_owned(), version)),
            model: compiled.job_type().model.clone(),
            structured: compiled.job_type().output_schema.is_some(),
            terms: Terms {
                within: compiled.within(),
                on_late: compiled.job_type().on_late,
                on_unknown: compiled.job_type().on_unknown,
            },
            prefix: head.prefix(),
            coalesce: compiled.job_type().coalesce.unwrap_or(true),
            reuse_for: compiled.reuse_for(),
            params,
        }))
    }

    async fn find(&mut self, name: &str) -> Result<Found> {
        if let Some(found) = self.types.get(name) {
            return Ok(found.clone());
        }
        let found = self.state.catalog.newest(self.caller, name).await?;
        if self.types.len() >= MAX_NAMES {
            self.types.clear();
        }
        self.types.insert(name.to_owned(), found.clone());
        Ok(found)
    }
}

/// What a job asks of a model.
#[derive(Debug)]
struct Work {
    job_type: Option<(String, u32)>,
    model: String,
    structured: bool,
    /// What its type asks for, unless the job says it itself.
    terms: Terms,
    prefix: Option<Prefix>,
    /// Whether it shares an attempt with others, unless the job says it itself.
    coalesce: bool,
    reuse_for: Option<Duration>,
    params: Vec<u8>,
}

/// How soon a job is wanted, where it says so.
fn within(text: Option<&str>) -> std::result::Result<Option<Duration>, FieldError> {
    let read = text.map(deliver::parse).transpose();
    read.map_err(|error| fault("/deliver_within", "invalid_value", error.to_string()))
}

/// What a job asks for: what it says itself, else what its type says.
fn terms(
    within: Option<Duration>,
    on_late: Option<OnLate>,
    of_type: &Terms,
) -> std::result::Result<Terms, FieldError> {
    let within = within.or(of_type.within);
    if within.is_none() && on_late.is_some() {
        return Err(fault(
            "/deliver_within",
            "missing_field",
            "is missing; `on_late` says what is done when it is not kept",
        ));
    }
    let on_late = on_late.or(of_type.on_late).unwrap_or(OnLate::Escalate);
    Ok(Terms {
        within,
        on_late: within.map(|_| on_late),
        on_unknown: of_type.on_unknown,
    })
}

/// A policy as the rules name it.
pub(crate) fn policy(policy: offpeak_wire::OnLate) -> OnLate {
    match policy {
        offpeak_wire::OnLate::Wait => OnLate::Wait,
        offpeak_wire::OnLate::Escalate => OnLate::Escalate,
        offpeak_wire::OnLate::Fail => OnLate::Fail,
    }
}

fn raw(params: &RawValue, request: &JobRequest) -> std::result::Result<Work, Vec<FieldError>> {
    for (field, stands, what) in [
        ("/input", request.input.is_some(), "an input"),
        ("/context", request.context.is_some(), "contexts"),
    ] {
        if stands {
            let message = format!("stands beside `params`; only a job with a `type` has {what}");
            return Err(vec![fault(field, "conflicting_fields", message)]);
        }
    }
    let params = params.get().as_bytes();
    match params::check(params) {
        Ok(checked) => {
            let structured = asks_for_format(params);
            Ok(Work {
                job_type: None,
                model: checked.model,
                structured,
                terms: Terms::default(),
                prefix: None,
                coalesce: true,
                reuse_for: None,
                params: params.to_vec(),
            })
        }
        Err(broken) => Err(broken
            .into_iter()
            .map(|broken| {
                fault(
                    format!("/params{}", broken.pointer),
                    "invalid_params",
                    broken.message,
                )
            })
            .collect()),
    }
}

/// Whether a Messages body asks for an answer of a certain format.
fn asks_for_format(params: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Body {
        output_config: Option<Output>,
    }
    #[derive(serde::Deserialize)]
    struct Output {
        format: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Body>(params).is_ok_and(|body| {
        body.output_config
            .is_some_and(|output| output.format.is_some())
    })
}

/// What is said of a model without a price.
pub(crate) fn unknown_model(state: &State, field: &str) -> FieldError {
    let known: Vec<&str> = state
        .prices
        .models()
        .iter()
        .map(|model| model.id.as_str())
        .collect();
    fault(
        field,
        "unknown_model",
        format!(
            "asks for a model that is not known; the models are {}",
            known.join(", ")
        ),
    )
}

fn metadata(raw: &RawValue) -> std::result::Result<String, FieldError> {
    let text = compact(raw.get());
    if text.len() > MAX_METADATA {
        let message = format!("must be at most {MAX_METADATA} bytes");
        return Err(fault("/metadata", "too_long", message));
    }
    match json::read(&text) {
        Ok(value @ Value::Object(_)) if !holds_nul(&value) => Ok(text),
        Ok(Value::Object(_)) => Err(fault(
            "/metadata",
            "invalid_text",
            "must not contain the character U+0000",
        )),
        Ok(_) => Err(fault("/metadata", "wrong_type", "must be an object")),
        Err(unreadable) => Err(unreadable.under("/metadata")),
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{metadata, raw};
    use offpeak_wire::JobRequest;
    use serde_json::value::RawValue;

    fn json(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn metadata_stays_as_it_came_on_one_line() {
        let kept = metadata(&json(
            "{ \"n\": 1.50e3,\n \"id\": 12345678901234567890123 }",
        ));
        assert_eq!(
            kept.unwrap(),
            r#"{"n":1.50e3,"id":12345678901234567890123}"#
        );
    }

    #[test]
    fn metadata_that_cannot_be_kept_is_refused() {
        let code = |text: &str| metadata(&json(text)).unwrap_err().code;
        assert_eq!(code("[]"), "wrong_type");
        assert_eq!(code(r#"{"a":["\u0000"]}"#), "invalid_text");
        assert_eq!(code(r#"{"\u0000":1}"#), "invalid_text");
        assert_eq!(code(r#"{"a":"\ud800"}"#), "invalid_text");
        assert_eq!(code(r#"{"a":{"b":1,"b":2}}"#), "duplicate_field");
        assert_eq!(
            code(&format!(r#"{{"a":"{}"}}"#, "x".repeat(17_000))),
            "too_long"
        );
    }

    #[test]
    fn a_format_is_seen_where_it_stands() {
        assert!(super::asks_for_format(
            br#"{"output_config":{"format":{"type":"json_schema"}}}"#
        ));
        assert!(!super::asks_for_format(
            br#"{"output_config":{"effort":"low"}}"#
        ));
        assert!(!super::asks_for_format(
            br#"{"system":"\"output_config\":{\"format\":{}}"}"#
        ));
    }

    #[test]
    fn faults_of_params_point_into_the_request() {
        let body = r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}],
                       "temperature":1}"#;
        let faults = raw(&json(body), &JobRequest::default()).unwrap_err();
        assert_eq!(faults[0].field, "/params/temperature");
        let beside = |text| {
            let request: JobRequest = serde_json::from_str(text).unwrap();
            raw(&json("{}"), &request).unwrap_err()[0].field.clone()
        };
        assert_eq!(beside(r#"{"input":{}}"#), "/input");
        assert_eq!(beside(r#"{"context":[]}"#), "/context");
    }
}
