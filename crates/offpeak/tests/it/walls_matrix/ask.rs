//! One request: of an operation, with everything of the asker's own but what stands at
//! one place.

use reqwest::Method;
use serde_json::{Value, json};

use super::kinds::{self, Kind};
use super::places::{Operation, Place};
use super::stage::Side;
use crate::api::Answer;

/// What is sent.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Ask {
    /// As somebody of this side would ask, with nothing at any place but in the path.
    pub(super) fn plain(operation: &Operation, own: &Side) -> Self {
        let mut path = operation.path.clone();
        for place in &operation.places {
            let Place::Path(name) = place else { continue };
            let kind = kinds::at(operation, place).unwrap_or(Kind::Operators);
            let value = own.own(kind, operation).unwrap_or_else(|| "x".into());
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        Self {
            method: operation.method.clone(),
            path,
            headers: Vec::new(),
            body: body(operation).map_or_else(String::new, |body| written(operation, &body)),
        }
    }

    /// The same with a value at one place. In lists and in bulk lines there are two
    /// forms: alone, and behind something of the asker's own.
    pub(super) fn with(operation: &Operation, own: &Side, place: &Place, value: &str) -> Vec<Self> {
        let mut ask = Self::plain(operation, own);
        match place {
            Place::Path(name) => {
                ask.path = operation.path.replace(&format!("{{{name}}}"), value);
            }
            Place::Query(name) => {
                let more = if *name == "cursor" { "&limit=1" } else { "" };
                ask.path = format!("{}?{name}={value}{more}", ask.path);
            }
            Place::Header(name) if name == "idempotency-key" => {
                ask.headers.push(("idempotency-key", value.to_owned()));
            }
            Place::Header(_) => {}
            Place::Body(pointer) => {
                let mut alone = body(operation).unwrap_or_else(|| json!({}));
                put(&mut alone, pointer, value.into());
                if let Some(at) = pointer.strip_suffix("/params") {
                    // In place of a type and its input, and ready to share.
                    let params: Value = serde_json::from_str(value).unwrap_or_default();
                    put(
                        &mut alone,
                        at,
                        json!({ "params": params, "coalesce": true }),
                    );
                }
                let mut forms = vec![written(operation, &alone)];
                forms.extend(mixed(operation, own, pointer, &alone));
                let each = |body| Self {
                    body,
                    ..ask.clone()
                };
                return forms.into_iter().map(each).collect();
            }
        }
        vec![ask]
    }
}

/// Behind something of the asker's own, of which the same becomes each time.
fn mixed(operation: &Operation, own: &Side, pointer: &str, alone: &Value) -> Option<String> {
    let ids = |own: &str| {
        let foreign = alone.pointer("/ids/0").cloned();
        Some(json!({ "ids": [own, foreign] }).to_string())
    };
    match operation.path.as_str() {
        "/v1/jobs/cancel" => ids(&own.canceled),
        "/v1/jobs/retry" => ids(&own.queued),
        "/v1/jobs/bulk" => {
            let first = body(operation)?;
            Some(format!("{first}\n{alone}"))
        }
        "/v1/estimate" if pointer.starts_with("/jobs/0") => {
            let jobs = [
                body(operation)?["jobs"][0].clone(),
                alone["jobs"][0].clone(),
            ];
            Some(json!({ "jobs": jobs }).to_string())
        }
        _ => None,
    }
}

/// A body that is accepted, or nearly: what is tried is put into it.
fn body(operation: &Operation) -> Option<Value> {
    let job = json!({"type": "summarize", "input": {"text": "A day."}});
    Some(match operation.name().as_str() {
        "POST /v1/jobs" | "POST /v1/jobs/bulk" => job,
        "POST /v1/estimate" => json!({ "jobs": [job] }),
        "POST /v1/jobs/cancel" | "POST /v1/jobs/retry" => json!({ "ids": [] }),
        "POST /v1/live/tickets" => json!({ "ttl": 600 }),
        "PUT /v1/budgets" => {
            json!({"scope": "user", "name": "u", "period": "day", "limit": "5", "hard": false})
        }
        // Only counted: what is begun would go on.
        "POST /v1/operations" => json!({"action": "retry", "completed": true, "dry_run": true}),
        "POST /v1/contexts" => json!({ "text": "A context." }),
        "POST /v1/job-types" => json!({"name": "own", "model": "claude-haiku-5-5", "max_tokens": 9,
            "template": "x", "input_schema": {"type": "object"}}),
        "POST /v1/people" => json!({"name": "eve", "role": "viewer"}),
        "PUT /v1/upstream" => json!({ "key": "sk-ant-api03-of-whoever-asks" }),
        "PUT /v1/live/origins" => json!({ "origins": ["https://app.example.com"] }),
        "POST /v1/keys" | "POST /v1/keys/{id}/rotate" => json!({}),
        _ => return None,
    })
}

fn written(operation: &Operation, body: &Value) -> String {
    if operation.path == "/v1/jobs/bulk" {
        return format!("{body}\n");
    }
    body.to_string()
}

/// Puts a value where a pointer leads, which need not be there yet.
fn put(mut into: &mut Value, pointer: &str, value: Value) {
    for step in pointer.split('/').skip(1) {
        into = if step == "0" {
            if !into.is_array() {
                *into = json!([]);
            }
            if into == &json!([]) {
                *into = json!([null]);
            }
            &mut into[0]
        } else {
            &mut into[step]
        };
    }
    *into = value;
}

/// An answer as it is compared: all of it, where it refuses; otherwise without what is
/// another one each time, ids that were made and times. What was asked for is told by
/// one word, whatever it was.
pub(super) fn comparable(answer: &Answer, asked: &str) -> String {
    let mut text = answer.text.clone();
    let mut headers: Vec<String> = Vec::new();
    for (name, value) in &answer.headers {
        let varies = ["date", "set-cookie", "offpeak-cursor", "content-length"];
        let made = name == "location" && answer.status < 400;
        if !varies.contains(&name.as_str()) && !made {
            headers.push(format!("{name}: {value:?}"));
        }
    }
    headers.sort();
    if !asked.is_empty() {
        text = text.replace(asked, "ASKED");
    }
    if answer.status < 400 {
        let lines: Vec<String> = text.lines().map(settled).collect();
        text = lines.join("\n");
    }
    format!("{}\n{}\n\n{text}", answer.status, headers.join("\n"))
}

fn settled(line: &str) -> String {
    match serde_json::from_str(line) {
        Ok(mut value) => {
            settle(&mut value);
            value.to_string()
        }
        Err(_) => line.to_owned(),
    }
}

/// Without ids, secrets and times.
pub(super) fn settle(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(settle),
        Value::Object(all) => {
            for (name, value) in all {
                match name.as_str() {
                    "n" | "rev" => *value = json!(0),
                    "cursor" | "oldest" => *value = json!("CURSOR"),
                    _ => settle(value),
                }
            }
        }
        Value::String(text) => {
            let kind = text.split_once('_').filter(|(_, id)| id.len() == 26);
            let kind = kind.map(|(kind, _)| format!("{kind}_…"));
            let is_time = text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
            if text.contains("ofp_") {
                *text = "SECRET".into();
            } else if let Some(kind) = kind {
                *text = kind;
            } else if is_time {
                *text = "TIME".into();
            }
        }
        _ => {}
    }
}
