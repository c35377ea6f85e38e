use std::borrow::Cow;

use offpeak_domain::job::{Outcome, State};
use offpeak_store::result::{self, Ended};
use offpeak_wire::{JobResult, Problem};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::get::{parse_id, readable};
use super::view;
use crate::caller::{Reads, ResultsRead};
use crate::error::{Code, Error, Result};
use crate::json::{compact, raw, without};
use crate::query::Query;
use crate::segment::Segment;

/// Bytes of an error of Anthropic's that are shown as they came, at most.
const MAX_ERROR: usize = 8_192;

/// What a job answered
///
/// A failed job has a result too: its label, and the answer where there is one.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/result", tag = "jobs", operation_id = "get_job_result",
    params(
        ("id" = String, Path, description = "`job_…`"),
        ("ticket" = Option<String>, Query, description = "`ofp_ticket_…`, where no header can be set"),
    ),
    responses(
        (status = 200, description = "The result", body = JobResult),
        (status = 404, description = "There is no such job", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The job has not ended", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It completed, and its answer was deleted: its retention is over", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("session" = []), ("ticket" = [])),
)]
pub(crate) async fn handle(
    reader: Reads<ResultsRead>,
    Segment(id): Segment,
    mut query: Query,
) -> Result<axum::Json<JobResult>> {
    query.read_before("ticket");
    query.end()?;
    let id = parse_id(&id)?;
    let mut tx = reader.begin().await?;
    // The job first: a staged one is not there, and has no result either.
    let state = readable(&mut tx, &reader, id).await?.state;
    let ended = result::get(&mut tx, id).await?;
    tx.commit().await?;
    match ended {
        Some(ended) if ended.is_gone() => Err(Error::new(
            Code::ResultGone,
            format!(
                "the job {state}, and its answer was deleted when its retention was over; \
                 `GET /v1/jobs/{{id}}` still shows the job"
            ),
        )),
        Some(ended) if reader.is_guest() => Ok(axum::Json(for_guests(shown(ended, true)))),
        Some(ended) => Ok(axum::Json(shown(ended, true))),
        None => Err(not_ended(state)),
    }
}

fn not_ended(state: State) -> Error {
    Error::new(
        Code::JobNotEnded,
        format!("the job is {state}; it has a result once it has ended"),
    )
}

/// A stored result as a client sees it, with Anthropic's message or without.
pub(crate) fn shown(ended: Ended, with_message: bool) -> JobResult {
    let gone = ended.is_gone();
    let answer = ended.line.as_deref().map(Answer::read).unwrap_or_default();
    let output = answer
        .text
        .as_deref()
        .filter(|_| ended.structured)
        .and_then(|text| serde_json::from_str::<&RawValue>(text).ok())
        .and_then(|json| raw(compact(json.get())));
    let cost = view::known(&ended.end, ended.end.cost);
    let cost_sync = view::known(&ended.end, ended.end.cost_sync);
    JobResult {
        job: ended.job.to_string(),
        state: match ended.outcome {
            Outcome::Completed => view::state(State::Completed),
            Outcome::Failed => view::state(State::Failed),
            Outcome::Canceled => view::state(State::Canceled),
        },
        r#type: ended.job_type,
        group: ended.group.map(|group| group.to_string()),
        user: ended.user,
        metadata: ended.metadata.and_then(raw),
        model: ended.model,
        standin: answer.standin || ended.upstream_batch.is_some_and(|id| is_standin(&id)),
        usage: Some(view::usage(&ended.end)),
        label: ended.end.label,
        reason: ended.end.message,
        gone,
        text: answer.text,
        output,
        message: answer.message.filter(|_| with_message),
        error: answer.error,
        stop_reason: ended.end.stop_reason,
        source: ended.source.map(|source| source.to_string()),
        attempt: ended.attempt,
        batch: ended.batch.map(|batch| batch.to_string()),
        ended_at: ended.end.ended_at,
        cost,
        cost_sync,
    }
}

/// The same as a tenant's user sees it: without what is the tenant's own. The
/// message goes on as it came, without its usage; `error` bears none.
fn for_guests(result: JobResult) -> JobResult {
    JobResult {
        metadata: None,
        batch: None,
        source: None,
        message: result
            .message
            .and_then(|message| without(&message, "usage")),
        usage: None,
        cost: None,
        cost_sync: None,
        ..result
    }
}

/// Whether an id of a message or message batch was made by the stand-in. Ids
/// stay with what they name, whatever this process sends its jobs to now.
fn is_standin(id: &str) -> bool {
    id.starts_with("msg_standin_") || id.starts_with("msgbatch_standin_")
}

/// What a result line holds for a client. Parts that cannot be read are
/// absent; the line itself stays as it is.
#[derive(Debug, Default)]
struct Answer {
    message: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
    text: Option<String>,
    standin: bool,
}

impl Answer {
    fn read(line: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            result: Body<'a>,
        }
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            message: Option<&'a RawValue>,
            #[serde(borrow)]
            error: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            id: Option<Cow<'a, str>>,
            #[serde(borrow)]
            content: Vec<Block<'a>>,
        }
        #[derive(Deserialize)]
        struct Block<'a> {
            #[serde(borrow)]
            r#type: Cow<'a, str>,
            text: Option<String>,
        }

        let Ok(Line { result }) = serde_json::from_slice::<Line<'_>>(line) else {
            return Self::default();
        };
        let message = result
            .message
            .and_then(|message| serde_json::from_str::<Message<'_>>(message.get()).ok());
        let standin = message
            .as_ref()
            .and_then(|message| message.id.as_deref())
            .is_some_and(is_standin);
        let text = message.map(|message| {
            let blocks = message
                .content
                .into_iter()
                .filter(|block| block.r#type == "text");
            blocks.filter_map(|block| block.text).collect()
        });
        Self {
            message: result.message.map(RawValue::to_owned),
            error: result.error.and_then(bounded),
            text,
            standin,
        }
    }
}

/// Anthropic's error, cut down when it is longer than a line should be.
fn bounded(error: &RawValue) -> Option<Box<RawValue>> {
    #[derive(Deserialize, Serialize)]
    struct Outer {
        r#type: Option<String>,
        error: Inner,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    }
    #[derive(Deserialize, Serialize)]
    struct Inner {
        r#type: Option<String>,
        message: String,
    }
    if error.get().len() <= MAX_ERROR {
        return Some(error.to_owned());
    }
    let mut error: Outer = serde_json::from_str(error.get()).ok()?;
    let cut = |text: &mut String, chars: usize| {
        if let Some((at, _)) = text.char_indices().nth(chars) {
            text.truncate(at);
            text.push('…');
        }
    };
    cut(&mut error.error.message, MAX_ERROR / 8);
    let words = [
        &mut error.r#type,
        &mut error.error.r#type,
        &mut error.request_id,
    ];
    for word in words.into_iter().flatten() {
        cut(word, 100);
    }
    serde_json::value::to_raw_value(&error).ok()
}

#[cfg(test)]
mod tests {
    use super::{Answer, MAX_ERROR};

    #[test]
    fn text_blocks_are_joined_and_the_message_stays_as_it_came() {
        let line = br#"{"custom_id":"x","result":{"type":"succeeded","message":{"id":"m","n":1.0,"content":[{"type":"text","text":"a\u0041"},{"type":"tool_use","id":"t","input":{}},{"type":"text","text":"b"}]}}}"#;
        let answer = Answer::read(line);
        assert_eq!(answer.text.as_deref(), Some("aAb"));
        assert!(
            answer
                .message
                .unwrap()
                .get()
                .starts_with(r#"{"id":"m","n":1.0,"#)
        );
        assert!(answer.error.is_none());
    }

    #[test]
    fn an_error_line_has_an_error() {
        let line = br#"{"custom_id":"x","result":{"type":"errored","error":{"type":"error"}}}"#;
        let answer = Answer::read(line);
        assert_eq!(answer.error.unwrap().get(), r#"{"type":"error"}"#);
        assert!(answer.text.is_none() && answer.message.is_none());
    }

    #[test]
    fn an_endless_error_is_cut() {
        let message = "é".repeat(MAX_ERROR);
        let line = format!(
            r#"{{"result":{{"error":{{"type":"error","error":{{"type":"invalid_request_error","message":"{message}"}},"request_id":"req_1"}}}}}}"#
        );
        let error = Answer::read(line.as_bytes()).error.unwrap();
        assert!(error.get().len() < MAX_ERROR);
        let error: serde_json::Value = serde_json::from_str(error.get()).unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert!(error["error"]["message"].as_str().unwrap().ends_with("é…"));
        assert_eq!(error["request_id"], "req_1");
        let nothing_known = format!(r#"{{"result":{{"error":"{message}"}}}}"#);
        assert!(Answer::read(nothing_known.as_bytes()).error.is_none());
    }

    #[test]
    fn the_stand_in_signs_its_messages() {
        let by = |id: &str| {
            let line = format!(r#"{{"result":{{"message":{{"id":"{id}","content":[]}}}}}}"#);
            Answer::read(line.as_bytes()).standin
        };
        assert!(by("msg_standin_01") && !by("msg_01standin_"));
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        let surrogate = br#"{"result":{"message":{"content":[{"type":"text","text":"\ud800"}]}}}"#;
        let answer = Answer::read(surrogate);
        assert!(answer.text.is_none() && answer.message.is_some());
        assert!(Answer::read(b"not json").message.is_none());
    }
}
