//! The check of a raw Messages body before it is accepted.
//!
//! Anthropic judges the body of a batched request only after the batch ran,
//! hours later, one error at a time. What surely fails there is refused here,
//! at once, with the name of the field. Everything else passes through byte
//! for byte: new fields appear monthly, and they are not ours to know.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::FieldError;
use crate::field::child;

pub(crate) mod shape;

/// Greatest length of a body in bytes.
pub const MAX_BYTES: usize = 32_000_000;
/// Greatest number of messages.
pub const MAX_MESSAGES: usize = 100_000;
/// Greatest depth of nested arrays and objects.
pub const MAX_DEPTH: usize = 100;
/// Greatest length of a model name in bytes.
pub const MAX_MODEL: usize = 128;
/// A field name beyond this length is not repeated in an error.
const MAX_NAME: usize = 128;
/// Faults reported at most, so that a bad body of 32 MB has a short answer.
const MAX_ERRORS: usize = 20;

/// Top-level fields that no job may carry, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("temperature", SAMPLING),
    ("top_p", SAMPLING),
    ("top_k", SAMPLING),
    ("speed", "is not available in a batch"),
    ("cache_hint", "is not available in a batch"),
    ("context_hint", "is not available in a batch"),
    ("thread", "is not available in a batch"),
    ("store", "is not available in a batch"),
    ("previous_thread_event_id", "is not available in a batch"),
    ("research_preview_2026_02", "is not available in a batch"),
    ("fallbacks", "is not available in a batch"),
    ("fallback_credit_token", "is not available in a batch"),
    ("billing_policy", "is not available in a batch"),
    ("mcp_servers", BETA),
    ("context_management", BETA),
    ("compaction", BETA),
    ("output_format", "was replaced by output_config.format"),
    ("betas", SDK),
    ("extra_body", SDK),
    ("extra_headers", SDK),
    ("extra_query", SDK),
    ("timeout", SDK),
];
const SAMPLING: &str = "does not exist since API version 2026-10-21; leave it out";
const BETA: &str = "needs a beta header, which a job cannot set";
const SDK: &str = "is an argument of Anthropic's SDKs, not a field of the request";

/// What an accepted body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The model that it asks for.
    pub model: String,
    /// The output tokens that it allows.
    pub max_tokens: u64,
}

/// Checks a Messages body as it came, and tells its model.
///
/// Takes one pass over the text and copies none of it. The faults come in the
/// order of the fields, at most twenty of them.
pub fn check(body: &[u8]) -> Result<Checked, Vec<FieldError>> {
    if body.len() > MAX_BYTES {
        let message = format!("is longer than {MAX_BYTES} bytes");
        return Err(vec![FieldError::new("", message)]);
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| vec![FieldError::new("", "the body is not UTF-8")])?;
    if shape::depth(text.as_bytes()) > MAX_DEPTH {
        let message = format!("is nested deeper than {MAX_DEPTH} levels");
        return Err(vec![FieldError::new("", message)]);
    }
    let whole: &RawValue =
        serde_json::from_str(text).map_err(|error| vec![FieldError::syntax(&error)])?;
    let Ok(shape::Fields(fields)) = serde_json::from_str(whole.get()) else {
        let message = if whole.get().starts_with('{') {
            "names a field with a lone surrogate"
        } else {
            "must be a JSON object"
        };
        return Err(vec![FieldError::new("", message)]);
    };

    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (name, value) in &fields {
        let at = || child("", if name.len() <= MAX_NAME { name } else { "…" });
        if !seen.insert(name.as_ref()) {
            errors.push(FieldError::new(at(), "stands there twice"));
        }
        if let Some((_, why)) = FORBIDDEN.iter().find(|(forbidden, _)| forbidden == name) {
            errors.push(FieldError::new(at(), *why));
        }
        // One such text makes a whole batch's body unreadable.
        if shape::has_lone_surrogate(value.get()) {
            let message = "holds a lone surrogate, half of a character: \\ud800 to \\udfff";
            errors.push(FieldError::new(at(), message));
        }
        if name == "stream" && value.get() != "false" {
            errors.push(FieldError::new(
                at(),
                "a job's result is not streamed; leave it out",
            ));
        }
        if errors.len() >= MAX_ERRORS {
            break;
        }
    }
    let field = |wanted: &str| {
        fields
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, v)| *v)
    };
    let model = model(field("model"), &mut errors);
    let max_tokens = max_tokens(field("max_tokens"), &mut errors);
    messages(field("messages"), &mut errors);
    errors.truncate(MAX_ERRORS);
    match (model, max_tokens) {
        (Some(model), Some(max_tokens)) if errors.is_empty() => Ok(Checked { model, max_tokens }),
        _ => Err(errors),
    }
}

fn model(value: Option<&RawValue>, errors: &mut Vec<FieldError>) -> Option<String> {
    let text = value.and_then(|v| serde_json::from_str::<String>(v.get()).ok());
    let good = text.filter(|model| !model.is_empty() && model.len() <= MAX_MODEL);
    if good.is_none() {
        let message = format!("must be the name of a model, of 1 to {MAX_MODEL} bytes");
        errors.push(FieldError::new("/model", message));
    }
    good
}

fn max_tokens(value: Option<&RawValue>, errors: &mut Vec<FieldError>) -> Option<u64> {
    let number = value.and_then(|v| serde_json::from_str::<u64>(v.get()).ok());
    let good = number.filter(|tokens| *tokens >= 1);
    if good.is_none() {
        errors.push(FieldError::new(
            "/max_tokens",
            "must be a whole number from 1 to 18446744073709551615",
        ));
    }
    good
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// The parts of a content block that decide.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

fn messages(value: Option<&RawValue>, errors: &mut Vec<FieldError>) {
    let list = value.and_then(|v| serde_json::from_str::<Vec<&RawValue>>(v.get()).ok());
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        errors.push(FieldError::new(
            "/messages",
            "must be an array of at least one message",
        ));
        return;
    };
    if list.len() > MAX_MESSAGES {
        let message = format!("has more than {MAX_MESSAGES} messages");
        errors.push(FieldError::new("/messages", message));
        return;
    }
    for (index, message) in list.iter().enumerate() {
        if errors.len() >= MAX_ERRORS {
            return;
        }
        let at = format!("/messages/{index}");
        let Ok(message) = serde_json::from_str::<Message<'_>>(message.get()) else {
            errors.push(FieldError::new(
                at,
                "must be an object with role and content, each once",
            ));
            continue;
        };
        let role = message.role.as_deref().unwrap_or_default();
        if !matches!(role, "user" | "assistant" | "system") {
            errors.push(FieldError::new(
                format!("{at}/role"),
                "must be \"user\", \"assistant\" or \"system\"",
            ));
        }
        match message.content.map(RawValue::get) {
            Some(text) if text.starts_with('"') => {}
            Some(blocks) if blocks.starts_with('[') => {
                content(role, blocks, &format!("{at}/content"), errors);
            }
            _ => errors.push(FieldError::new(
                format!("{at}/content"),
                "must be a string or an array of blocks",
            )),
        }
    }
}

/// The two rules that API version 2026-10-21 brought for blocks.
fn content(role: &str, blocks: &str, at: &str, errors: &mut Vec<FieldError>) {
    let blocks: Vec<&RawValue> = serde_json::from_str(blocks).unwrap_or_default();
    for (index, block) in blocks.into_iter().enumerate() {
        let at = format!("{at}/{index}");
        let Ok(block) = serde_json::from_str::<Block<'_>>(block.get()) else {
            errors.push(FieldError::new(at, "must be an object with a type"));
            continue;
        };
        if role == "assistant" && block.kind == "document" {
            errors.push(FieldError::new(
                at,
                "a document cannot stand in an assistant message since API version 2026-10-21",
            ));
            continue;
        }
        let cites = block.kind == "text"
            && block
                .citations
                .is_some_and(|list| !matches!(list.get(), "null" | "[]"));
        if role == "user" && cites {
            errors.push(FieldError::new(
                format!("{at}/citations"),
                "text in a user message cannot have citations since API version 2026-10-21",
            ));
        }
        if let (true, Some(inner)) = (block.kind == "search_result", block.content) {
            content(role, inner.get(), &format!("{at}/content"), errors);
        }
        if errors.len() >= MAX_ERRORS {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Checked, check};
    use proptest::prelude::*;

    fn faults(body: &str) -> String {
        match check(body.as_bytes()) {
            Ok(checked) => format!("ok {} {}", checked.model, checked.max_tokens),
            Err(errors) => errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    /// A good body with `extra` before its last brace.
    fn with(extra: &str) -> String {
        format!(
            r#"{{"model":"claude-haiku-5-5","max_tokens":100,"messages":[{{"role":"user","content":"Hi"}}]{extra}}}"#
        )
    }

    #[test]
    fn a_good_body_tells_its_model() {
        let extra = r#","system":"Be brief.","stream":false,"a_field_of_next_month":{"x":[1]}"#;
        assert_eq!(
            check(with(extra).as_bytes()),
            Ok(Checked {
                model: "claude-haiku-5-5".to_owned(),
                max_tokens: 100
            })
        );
    }

    #[test]
    fn what_is_no_body_at_all() {
        let table: Vec<String> = [
            "",
            "{",
            "[]",
            "null",
            "\"hi\"",
            "{\"model\":}",
            "{} {}",
            "{}",
        ]
        .map(|body| format!("{body:<12} {}", faults(body)))
        .into();
        insta::assert_snapshot!(table.join("\n"), @r#"
                     the JSON ends too early (line 1, column 0)
        {            the JSON ends too early (line 1, column 1)
        []           must be a JSON object
        null         must be a JSON object
        "hi"         must be a JSON object
        {"model":}   not valid JSON (line 1, column 10)
        {} {}        not valid JSON (line 1, column 4)
        {}           /model: must be the name of a model, of 1 to 128 bytes
        /max_tokens: must be a whole number from 1 to 18446744073709551615
        /messages: must be an array of at least one message
        "#);
        assert!(faults(&"[".repeat(5_000_000)).contains("nested deeper"));
    }

    #[test]
    fn required_fields() {
        let bodies = [
            r#"{"model":"","max_tokens":0,"messages":[]}"#,
            r#"{"model":7,"max_tokens":1.5,"messages":{}}"#,
            r#"{"model":"m","max_tokens":"9","messages":["hello",{"role":"human","content":"x"},
                {"role":"user"},{"content":[]},{"role":"user","content":7},
                {"role":"user","content":["text",{"text":"no type"}]}]}"#,
        ];
        insta::assert_snapshot!(bodies.map(faults).join("\n\n"), @r#"
        /model: must be the name of a model, of 1 to 128 bytes
        /max_tokens: must be a whole number from 1 to 18446744073709551615
        /messages: must be an array of at least one message

        /model: must be the name of a model, of 1 to 128 bytes
        /max_tokens: must be a whole number from 1 to 18446744073709551615
        /messages: must be an array of at least one message

        /max_tokens: must be a whole number from 1 to 18446744073709551615
        /messages/0: must be an object with role and content, each once
        /messages/1/role: must be "user", "assistant" or "system"
        /messages/2/content: must be a string or an array of blocks
        /messages/3/role: must be "user", "assistant" or "system"
        /messages/4/content: must be a string or an array of blocks
        /messages/5/content/0: must be an object with a type
        /messages/5/content/1: must be an object with a type
        "#);
    }

    #[test]
    fn forbidden_and_repeated_fields() {
        let extra = r#","temperature":1,"top_k":null,"stream":true,"speed":"standard","fallbacks":[],
            "betas":["x"],"mcp_servers":[],"model":"claude-opus-5-5","a/b":1,"a/b":2"#;
        insta::assert_snapshot!(faults(&with(extra)), @r"
        /temperature: does not exist since API version 2026-10-21; leave it out
        /top_k: does not exist since API version 2026-10-21; leave it out
        /stream: a job's result is not streamed; leave it out
        /speed: is not available in a batch
        /fallbacks: is not available in a batch
        /betas: is an argument of Anthropic's SDKs, not a field of the request
        /mcp_servers: needs a beta header, which a job cannot set
        /model: stands there twice
        /a~1b: stands there twice
        ");
    }

    #[test]
    fn blocks_that_the_newest_version_refuses() {
        let body = r#"{"model":"m","max_tokens":1,"messages":[
            {"role":"user","content":[{"type":"document","source":{}},
                {"type":"text","text":"t","citations":[]},
                {"type":"text","text":"t","citations":[{"x":1}]},
                {"type":"search_result","content":[{"type":"text","text":"t","citations":[1]}]}]},
            {"role":"assistant","content":[{"type":"text","text":"t","citations":[1]},
                {"type":"document","source":{}}]}]}"#;
        insta::assert_snapshot!(faults(body), @r"
        /messages/0/content/2/citations: text in a user message cannot have citations since API version 2026-10-21
        /messages/0/content/3/content/0/citations: text in a user message cannot have citations since API version 2026-10-21
        /messages/1/content/1: a document cannot stand in an assistant message since API version 2026-10-21
        ");
    }

    #[test]
    fn half_a_character_is_refused_where_it_stands() {
        let extra = r#","system":"\ud83d\ude00","stop_sequences":["\ude00"]"#;
        insta::assert_snapshot!(faults(&with(extra)),
            @r"/stop_sequences: holds a lone surrogate, half of a character: \ud800 to \udfff");
        insta::assert_snapshot!(faults(&with(r#","\ud800":1"#)),
            @"names a field with a lone surrogate");
    }

    #[test]
    fn a_hopeless_body_has_a_short_answer() {
        let many = ",\"temperature\":1".repeat(10_000);
        assert_eq!(check(with(&many).as_bytes()).unwrap_err().len(), 20);
        let long = format!(",\"{0}\":1,\"{0}\":1", "k".repeat(1_000));
        assert_eq!(faults(&with(&long)), "/…: stands there twice");
        let big = with(&format!(",\"x\":\"{}\"", "x".repeat(super::MAX_BYTES)));
        assert_eq!(faults(&big), "is longer than 32000000 bytes");
    }

    /// A million different names are looked up, not compared each with each.
    #[test]
    fn many_fields_are_read_in_one_pass() {
        use std::fmt::Write;
        let mut extra = String::new();
        for n in 0..100_000 {
            write!(extra, ",\"k{n}\":0").unwrap();
        }
        assert!(check(with(&extra).as_bytes()).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever comes: an answer, and no text of the body in it.
        #[test]
        fn no_secret_leaks_and_nothing_breaks(noise in "[\\[\\]{}:,\"a-z0-9 ]{0,40}") {
            let body = format!("{{\"model\":\"TOPSECRET{noise}\",\"system\":\"TOPSECRET\"{noise}}}");
            prop_assert!(!faults(&body).contains("TOPSECRET"));
        }
    }
}
