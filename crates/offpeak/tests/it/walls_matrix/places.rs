//! Every operation of the API, and every place in it at which a text may stand: as the
//! document says it, which is what the router has.

use reqwest::Method;
use serde_json::Value;

use crate::api_walls::SIGN_IN;

/// An operation and the places of it.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) places: Vec<Place>,
}

/// Where a text may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path(String),
    Query(String),
    Header(String),
    /// In the body, as a JSON pointer; an item of a list is its first.
    Body(String),
}

impl Operation {
    /// `GET /v1/jobs/{id}`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether it is the operator's, of the deployment and of no tenant.
    pub(super) fn is_operators(&self) -> bool {
        self.path.starts_with("/v1/operator/")
    }

    /// Whether it answers whoever asks.
    pub(super) fn is_open(&self) -> bool {
        !self.path.starts_with("/v1/") || SIGN_IN.contains(&self.path.as_str())
    }
}

/// All of them: those that read first and those that remove last, so that what the first
/// look for is still there; and the ends of sessions after everything.
pub(super) fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in object(item) {
            let mut places = Vec::new();
            for parameter in list(&operation["parameters"]) {
                let (name, schema) = (text(&parameter["name"]), &parameter["schema"]);
                let mut found = Vec::new();
                walk(document, schema, String::new(), &mut found);
                if found.is_empty() {
                    continue;
                }
                places.push(match text(&parameter["in"]) {
                    "path" => Place::Path(name.to_owned()),
                    "query" => Place::Query(name.to_owned()),
                    _ => Place::Header(name.to_owned()),
                });
            }
            for (kind, content) in object(&operation["requestBody"]["content"]) {
                if kind.contains("json") {
                    let mut found = Vec::new();
                    walk(document, &content["schema"], String::new(), &mut found);
                    places.extend(found.into_iter().map(Place::Body));
                }
            }
            all.push(Operation {
                method: method.to_uppercase().parse().unwrap_or_default(),
                path: path.clone(),
                places,
            });
        }
    }
    let turn = |operation: &Operation| {
        let method = ["GET", "PUT", "PATCH", "POST", "DELETE"];
        let method = method
            .iter()
            .position(|it| *it == operation.method.as_str());
        let ends = operation.path.ends_with("/session") && operation.method == Method::DELETE;
        // Afterwards the asker has a type of the same name.
        let names = operation.path == "/v1/job-types" && operation.method == Method::POST;
        (ends, names, method)
    };
    all.sort_by_key(turn);
    all
}

/// Where the client's own messages over a WebSocket hold texts.
pub(super) fn said(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for one in list(&document["components"]["schemas"]["Say"]["oneOf"]) {
        let kind = text(&one["properties"]["t"]["enum"][0]);
        walk(document, one, format!("/{kind}"), &mut found);
    }
    found
}

/// Every text in a schema, as a pointer, but those of which only some words are allowed.
/// What may be any object is one place.
fn walk(document: &Value, schema: &Value, at: String, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        let meant = document.pointer(pointer).unwrap_or(&Value::Null);
        return walk(document, meant, at, found);
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        for one in list(&schema[choice]) {
            walk(document, one, at.clone(), found);
        }
    }
    if !schema["enum"].is_null() || !schema["const"].is_null() {
        return;
    }
    let is = |kind: &str| match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(some) => some.iter().any(|one| one == kind),
        _ => false,
    };
    if is("string") && !found.contains(&at) {
        found.push(at.clone());
    }
    if is("array") {
        walk(document, &schema["items"], format!("{at}/0"), found);
    }
    let properties = object(&schema["properties"]);
    if is("object") && properties.is_empty() {
        found.push(at.clone());
    }
    for (name, schema) in properties {
        walk(document, schema, format!("{at}/{name}"), found);
    }
}

fn object(value: &Value) -> Vec<(&String, &Value)> {
    value.as_object().into_iter().flatten().collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
