//! One line of NDJSON: a job as `submit` takes it, or a call as somebody's log
//! has it. The shapes of logs differ; what is looked for are a Messages request,
//! the usage of its answer and a time.

use offpeak_anthropic::shape::{ServiceTier, Usage as Reported};
use offpeak_domain::FieldError;
use offpeak_domain::estimate::Logged;
use offpeak_domain::job::Lane;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::moment;

/// Fields of a Messages request, for lines that are one themselves: what else
/// stands there is the log's.
pub(super) const OWN: [&str; 17] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "output_config",
    "thinking",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "metadata",
    "service_tier",
    "inference_geo",
    "container",
    "mcp_servers",
];
/// How deep an answer may be wrapped: `result.message`, `response.body`.
const WRAPPED: usize = 3;

/// What a line says.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) ask: Ask<'a>,
    /// When it was called, in seconds since 1970.
    pub(super) at: Option<i64>,
    /// What its answer was billed for.
    pub(super) logged: Option<Logged>,
    /// The model that answered.
    pub(super) model: Option<String>,
}

/// What was asked for.
#[derive(Debug)]
pub(super) enum Ask<'a> {
    /// An input for a job type.
    Job { job_type: String, input: &'a str },
    /// A Messages request: where it stands, and its text.
    Request { place: &'static str, body: &'a str },
    /// Nothing that was kept: a log of usage alone.
    Unknown,
    /// A call that ended in an error, which is not billed.
    Unbilled,
}

/// What may stand in a line. Other fields are nobody's concern.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    job_type: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    date: Option<&'a RawValue>,
}

/// Reads a line.
pub(super) fn read(text: &str) -> Result<Line<'_>, FieldError> {
    if !text.starts_with('{') {
        return Err(fault("", "must be a JSON object, one a line"));
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| syntax(&error))?;
    let times = [
        ("timestamp", fields.timestamp),
        ("time", fields.time),
        ("ts", fields.ts),
        ("created_at", fields.created_at),
        ("created", fields.created),
        ("date", fields.date),
    ];
    let at = times
        .into_iter()
        .find_map(|(name, value)| Some((name, value.filter(said)?)));
    let at = at.map(|(name, value)| {
        moment::read(value.get()).ok_or_else(|| {
            fault(
                name,
                "must be a time: 2026-11-03T14:13:20Z, or seconds since 1970",
            )
        })
    });
    let at = at.transpose()?;

    let answer = match fields.usage {
        Some(usage) => Some(Answer {
            usage: Some(("usage".to_owned(), usage)),
            model: text_of(fields.model),
            failed: false,
        }),
        None => [
            ("response", fields.response),
            ("message", fields.message),
            ("result", fields.result),
            ("error", fields.error),
        ]
        .into_iter()
        .find_map(|(name, value)| Some(answer(name, value.filter(said)?, WRAPPED))),
    };
    let (logged, model) = match answer {
        None => (None, None),
        Some(Answer {
            usage: Some((place, usage)),
            model,
            ..
        }) => (Some(logged(&place, usage)?), model),
        Some(Answer { failed: true, .. }) => {
            return Ok(Line {
                ask: Ask::Unbilled,
                at,
                logged: None,
                model: None,
            });
        }
        Some(_) => {
            return Err(fault(
                "response/usage",
                "is missing: leave the response out to have its length estimated",
            ));
        }
    };
    let model = model.or_else(|| text_of(fields.model));
    let ask = ask(&fields, text, logged.is_some())?;
    Ok(Line {
        ask,
        at,
        logged,
        model,
    })
}

fn ask<'a>(fields: &Fields<'a>, text: &'a str, logged: bool) -> Result<Ask<'a>, FieldError> {
    let wrapped = [
        ("request", fields.request),
        ("params", fields.params),
        ("body", fields.body),
    ];
    if let Some((place, request)) = wrapped
        .into_iter()
        .find_map(|(name, value)| Some((name, value.filter(said)?)))
    {
        let body = unwrap(request);
        return Ok(Ask::Request { place, body });
    }
    if fields.messages.is_some() {
        return Ok(Ask::Request {
            place: "",
            body: text,
        });
    }
    if let Some(input) = fields.input {
        let job_type = text_of(fields.job_type)
            .ok_or_else(|| fault("type", "must be the name of a job type"))?;
        return Ok(Ask::Job {
            job_type,
            input: input.get(),
        });
    }
    if logged {
        return Ok(Ask::Unknown);
    }
    Err(fault(
        "",
        "is neither a job nor a call: it needs type and input, or params, or a request with \
         messages, or a usage",
    ))
}

/// A request as an HTTP client logs it has the body one level further in.
fn unwrap(request: &RawValue) -> &str {
    #[derive(Deserialize)]
    struct Wrapper<'a> {
        #[serde(borrow)]
        messages: Option<&'a RawValue>,
        #[serde(borrow)]
        body: Option<&'a RawValue>,
        #[serde(borrow)]
        params: Option<&'a RawValue>,
    }
    let inside = match serde_json::from_str::<Wrapper<'_>>(request.get()) {
        Ok(Wrapper {
            messages: None,
            body,
            params,
        }) => body.or(params),
        _ => None,
    };
    inside.unwrap_or(request).get()
}

struct Answer<'a> {
    usage: Option<(String, &'a RawValue)>,
    model: Option<String>,
    failed: bool,
}

/// What an answer says, however it is wrapped.
fn answer<'a>(place: &str, value: &'a RawValue, depth: usize) -> Answer<'a> {
    #[derive(Deserialize)]
    struct Shape<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
        #[serde(borrow)]
        model: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        message: Option<&'a RawValue>,
        #[serde(borrow)]
        body: Option<&'a RawValue>,
    }
    let nothing = |failed| Answer {
        usage: None,
        model: None,
        failed,
    };
    let Ok(shape) = serde_json::from_str::<Shape<'_>>(value.get()) else {
        return nothing(place == "error");
    };
    if let Some(usage) = shape.usage {
        return Answer {
            usage: Some((format!("{place}/usage"), usage)),
            model: text_of(shape.model),
            failed: false,
        };
    }
    let inside = [("message", shape.message), ("body", shape.body)];
    if depth > 1
        && let Some((name, inner)) = inside
            .into_iter()
            .find_map(|(name, value)| Some((name, value.filter(|v| v.get().starts_with('{'))?)))
    {
        return answer(&format!("{place}/{name}"), inner, depth - 1);
    }
    let kind = text_of(shape.kind).unwrap_or_default();
    let failed = shape.error.as_ref().is_some_and(said)
        || ["error", "errored", "canceled", "expired"].contains(&kind.as_str());
    nothing(failed || place == "error")
}

fn logged(place: &str, usage: &RawValue) -> Result<Logged, FieldError> {
    let reported: Reported = serde_json::from_str(usage.get()).map_err(|_| {
        fault(
            place,
            "must be what Anthropic reports: input_tokens, output_tokens and the like, as whole \
             numbers",
        )
    })?;
    let lane = match reported.service_tier {
        Some(ServiceTier::Batch) => Lane::Batch,
        _ => Lane::Direct,
    };
    let usage = offpeak_worker::usage(&reported);
    Ok(Logged { usage, lane })
}

fn said(value: &&RawValue) -> bool {
    value.get() != "null"
}

fn text_of(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

fn fault(field: &str, message: &str) -> FieldError {
    let pointer = if field.is_empty() {
        String::new()
    } else {
        format!("/{field}")
    };
    FieldError::new(pointer, message)
}

/// Without what stood there: it may be a prompt.
fn syntax(error: &serde_json::Error) -> FieldError {
    let what = match error.classify() {
        Category::Eof => "the JSON ends too early",
        Category::Data => "names a field twice",
        Category::Syntax | Category::Io => "not valid JSON",
    };
    fault("", &format!("{what} (column {})", error.column()))
}

#[cfg(test)]
mod tests {
    use super::{Ask, read};

    const REQUEST: &str = r#"{"model":"m","messages":[]}"#;
    const USAGE: &str = r#"{"input_tokens":7,"output_tokens":3,"cache_read_input_tokens":2}"#;

    fn shown(line: &str) -> String {
        match read(line) {
            Err(error) => error.to_string(),
            Ok(line) => {
                let ask = match line.ask {
                    Ask::Job { job_type, input } => format!("job {job_type} {input}"),
                    Ask::Request { place, body } if body == REQUEST => format!("request {place:?}"),
                    Ask::Request { .. } => "the line itself".to_owned(),
                    Ask::Unknown => "usage alone".to_owned(),
                    Ask::Unbilled => "not billed".to_owned(),
                };
                let used = line.logged.map(|logged| {
                    let usage = logged.usage;
                    format!(
                        " {} in {} out, {}",
                        usage.prompt(),
                        usage.output,
                        logged.lane
                    )
                });
                let at = line.at.map(|at| format!(" at {at}"));
                let model = line.model.map(|model| format!(" by {model}"));
                [Some(ask), used, model, at].into_iter().flatten().collect()
            }
        }
    }

    #[test]
    fn every_shape_of_a_line() {
        let lines = [
            r#"{"type":"summarize","input":{"text":"A"},"user":"u"}"#.to_owned(),
            format!(r#"{{"params":{REQUEST}}}"#),
            format!(r#"{{"custom_id":"a","params":{REQUEST},"timestamp":1790000000}}"#),
            format!(r#"{{"request":{REQUEST},"response":{{"model":"r","usage":{USAGE}}}}}"#),
            format!(
                r#"{{"request":{{"method":"POST","body":{REQUEST}}},"response":{{"status":200,"body":{{"usage":{USAGE}}}}}}}"#
            ),
            format!(r#"{{"params":{REQUEST},"usage":{USAGE},"time":"2026-09-21T14:13:20Z"}}"#),
            format!(r#"{{"model":"m","messages":[],"max_tokens":1,"usage":{USAGE}}}"#),
            format!(r#"{{"model":"m","messages":[],"response":{{"usage":{USAGE}}}}}"#),
            format!(
                r#"{{"custom_id":"a","result":{{"type":"succeeded","message":{{"model":"r","usage":{USAGE}}}}}}}"#
            ),
            r#"{"model":"m","usage":{"input_tokens":1,"output_tokens":2,"service_tier":"batch"}}"#
                .to_owned(),
            format!(
                r#"{{"request":{REQUEST},"response":{{"type":"error","error":{{"type":"overloaded_error"}}}}}}"#
            ),
            format!(r#"{{"request":{REQUEST},"response":null,"error":"timeout"}}"#),
        ];
        let table: Vec<String> = lines.iter().map(|line| shown(line)).collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
    job summarize {"text":"A"}
    request "params"
    request "params" at 1790000000
    request "request" 9 in 3 out, direct by r
    request "request" 9 in 3 out, direct
    request "params" 9 in 3 out, direct at 1790000000
    the line itself 9 in 3 out, direct by m
    the line itself 9 in 3 out, direct by m
    usage alone 9 in 3 out, direct by r
    usage alone 1 in 2 out, batch by m
    not billed
    not billed
    "#);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_field_and_not_with_its_text() {
        let lines = [
            "SECRET",
            r#"["SECRET"]"#,
            r#"{"request":"SECRET"#,
            r#"{"request": SECRET}"#,
            r#"{"request":{},"request":{}}"#,
            r#"{"text":"SECRET"}"#,
            r#"{"input":{"text":"SECRET"}}"#,
            r#"{"request":{},"response":{"content":"SECRET"}}"#,
            r#"{"request":{},"response":{"usage":{"input_tokens":"SECRET"}}}"#,
            r#"{"request":{},"usage":[]}"#,
            r#"{"request":{},"timestamp":"SECRET"}"#,
        ];
        let table: Vec<String> = lines.iter().map(|line| shown(line)).collect();
        assert!(!table.concat().contains("SECRET"));
        insta::assert_snapshot!(table.join("\n"), @r"
    must be a JSON object, one a line
    must be a JSON object, one a line
    the JSON ends too early (column 18)
    not valid JSON (column 13)
    names a field twice (column 23)
    is neither a job nor a call: it needs type and input, or params, or a request with messages, or a usage
    /type: must be the name of a job type
    /response/usage: is missing: leave the response out to have its length estimated
    /response/usage: must be what Anthropic reports: input_tokens, output_tokens and the like, as whole numbers
    /usage: must be what Anthropic reports: input_tokens, output_tokens and the like, as whole numbers
    /timestamp: must be a time: 2026-11-03T14:13:20Z, or seconds since 1970
    ");
    }
}
