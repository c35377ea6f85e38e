//! Makes the message that answers a Messages body: a deterministic extract of its
//! own input, in the form that it asks for.

use offpeak_anthropic::shape::{ServiceTier, Usage};
use serde_json::{Value, json};

use crate::brief::Brief;
use crate::cache::{Cached, Session};
use crate::check::{self, Checked, Terms};
use crate::dice;
use crate::prose;
use crate::refusal::Refusal;
use crate::schema::Schemas;
use crate::tokens;

/// Words of an answer when the prompt names no number.
const WORDS: usize = 80;
/// Anthropic documents a text that makes a model refuse; this is how it begins.
const REFUSAL_TRIGGER: &str = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL";

/// Under which conditions a message is answered.
#[derive(Debug)]
pub(crate) struct Setting<'a, 'b> {
    pub(crate) version: &'a str,
    pub(crate) betas: &'a [String],
    pub(crate) in_batch: bool,
    pub(crate) message_id: String,
    /// The prompt cache that it runs through.
    pub(crate) cache: Option<&'a mut Session<'b>>,
    /// It is refused, whatever it says: `true` with empty content.
    pub(crate) refuse: Option<bool>,
}

/// An answered message.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) usage: Usage,
    /// A refusal without content is not charged.
    pub(crate) billed: bool,
    /// The whole message as the API shows it.
    pub(crate) message: Value,
}

struct Draft {
    content: Vec<Value>,
    stop_reason: &'static str,
    stop_details: Value,
    output_tokens: u64,
}

/// Checks a Messages body and answers it.
pub(crate) fn reply(
    params: &Value,
    setting: Setting<'_, '_>,
    schemas: &mut Schemas,
) -> Result<Reply, Refusal> {
    let Setting {
        version,
        betas,
        in_batch,
        message_id,
        cache,
        refuse,
    } = setting;
    let checked = check::message(
        params,
        Terms {
            version,
            betas,
            in_batch,
        },
    )?;
    let brief = Brief::read(params);
    let mut draft = if refuse == Some(true) {
        refused(Vec::new(), 1)
    } else {
        draft(params, &checked, &brief, &message_id, schemas)?
    };
    if refuse == Some(false) {
        draft = refused(draft.content, draft.output_tokens);
    }
    let cached = cache.map_or_else(Cached::default, |cache| cache.run(params, checked.model));
    let usage = Usage {
        input_tokens: checked.input_tokens.saturating_sub(cached.total()),
        output_tokens: draft.output_tokens,
        cache_creation_input_tokens: Some(cached.written_total()),
        cache_creation: Some(cached.written),
        cache_read_input_tokens: Some(cached.read),
        server_tool_use: None,
        service_tier: Some(if in_batch {
            ServiceTier::Batch
        } else {
            ServiceTier::Standard
        }),
        inference_geo: Some(
            params["inference_geo"]
                .as_str()
                .unwrap_or("global")
                .to_owned(),
        ),
    };
    let message = json!({
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": checked.model.id,
        "content": draft.content,
        "stop_reason": draft.stop_reason,
        "stop_sequence": null,
        "stop_details": draft.stop_details,
        "container": null,
        "diagnostics": null,
        "usage": usage,
    });
    Ok(Reply {
        id: message_id,
        model: checked.model.id.to_owned(),
        usage,
        billed: !draft.content.is_empty() || draft.stop_reason != "refusal",
        message,
    })
}

fn draft(
    params: &Value,
    checked: &Checked,
    brief: &Brief,
    message_id: &str,
    schemas: &mut Schemas,
) -> Result<Draft, Refusal> {
    if brief.document.contains(REFUSAL_TRIGGER) {
        return Ok(refused(Vec::new(), 1));
    }
    if checked.max_tokens == 0 {
        return Ok(written("", 0));
    }
    if let Some(tool) = forced_tool(params) {
        let input = schemas.fill(&tool["input_schema"], brief)?;
        let output_tokens = tokens::of_text(&input.to_string());
        return Ok(Draft {
            content: vec![json!({
                "type": "tool_use",
                "id": dice::id("toolu_", 0, &[message_id]),
                "name": tool["name"],
                "input": input,
            })],
            stop_reason: "tool_use",
            stop_details: Value::Null,
            output_tokens,
        });
    }
    let schema = &params["output_config"]["format"]["schema"];
    let text = if schema.is_object() {
        schemas.fill(schema, brief)?.to_string()
    } else {
        let room = usize::try_from(checked.max_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
        let sentences = prose::sentences(&brief.document);
        prose::opening(&sentences, brief.words().unwrap_or(WORDS), room)
    };
    Ok(written(&text, checked.max_tokens))
}

fn refused(content: Vec<Value>, output_tokens: u64) -> Draft {
    Draft {
        content,
        stop_reason: "refusal",
        stop_details: json!({ "type": "refusal", "category": null, "explanation": null }),
        output_tokens,
    }
}

/// A text answer, cut off where the tokens end.
fn written(text: &str, max_tokens: u64) -> Draft {
    let output_tokens = tokens::of_text(text);
    let block = |text: &str| vec![json!({ "type": "text", "text": text, "citations": null })];
    if output_tokens <= max_tokens && !text.is_empty() {
        return Draft {
            content: block(text),
            stop_reason: "end_turn",
            stop_details: Value::Null,
            output_tokens,
        };
    }
    let room = usize::try_from(max_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
    let head = prose::head(text, room);
    Draft {
        content: if head.is_empty() {
            Vec::new()
        } else {
            block(head)
        },
        stop_reason: "max_tokens",
        stop_details: Value::Null,
        output_tokens: tokens::of_text(head),
    }
}

/// The tool that the request insists on.
fn forced_tool(params: &Value) -> Option<&Value> {
    let tools = params["tools"].as_array()?;
    match params["tool_choice"]["type"].as_str()? {
        "any" => tools.iter().find(|tool| tool["input_schema"].is_object()),
        "tool" => tools
            .iter()
            .find(|tool| tool["name"] == params["tool_choice"]["name"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use offpeak_anthropic::API_VERSION;

    use super::*;

    fn ask(change: &Value) -> Reply {
        let mut params = json!({
            "model": "claude-haiku-5-5",
            "max_tokens": 100,
            "system": "Summarize in at most 8 words.",
            "messages": [{ "role": "user", "content": "<text>Foxes jump over dogs. Dogs do not mind that at all.</text>" }],
        });
        for (field, value) in change.as_object().unwrap() {
            params[field] = value.clone();
        }
        let setting = Setting {
            version: API_VERSION,
            betas: &[],
            in_batch: true,
            message_id: "msg_standin_1".to_owned(),
            cache: None,
            refuse: None,
        };
        reply(&params, setting, &mut Schemas::default()).unwrap()
    }

    #[test]
    fn a_text_is_an_extract_with_usage_that_follows_from_it() {
        let reply = ask(&json!({}));
        assert_eq!(reply.message["content"][0]["text"], "Foxes jump over dogs.");
        assert_eq!(reply.message["stop_reason"], "end_turn");
        // 29 bytes of system prompt, 64 of message; 21 of answer.
        assert_eq!(
            (reply.usage.input_tokens, reply.usage.output_tokens),
            (8 + 16, 6)
        );
        assert_eq!(reply.usage.service_tier, Some(ServiceTier::Batch));
        assert!(reply.billed);
    }

    #[test]
    fn the_output_limit_cuts() {
        let reply = ask(&json!({ "max_tokens": 2 }));
        assert_eq!(reply.message["stop_reason"], "max_tokens");
        assert_eq!(reply.usage.output_tokens, 2);
        let format = json!({ "format": { "type": "json_schema", "schema": { "type": "string" } } });
        let reply = ask(&json!({ "max_tokens": 2, "output_config": format }));
        assert_eq!(reply.message["content"][0]["text"], "\"Foxes j");
        assert_eq!(reply.message["stop_reason"], "max_tokens");
    }

    #[test]
    fn a_refusal_is_empty_and_free() {
        let content = format!("{REFUSAL_TRIGGER}_1FAE");
        let reply = ask(&json!({ "messages": [{ "role": "user", "content": content }] }));
        assert_eq!(reply.message["content"], json!([]));
        assert_eq!(reply.message["stop_reason"], "refusal");
        assert!(!reply.billed);
    }

    #[test]
    fn a_forced_tool_is_used() {
        let reply = ask(&json!({
            "tools": [{ "name": "note", "input_schema": {
                "type": "object", "required": ["title"], "properties": { "title": { "type": "string" } },
            } }],
            "tool_choice": { "type": "tool", "name": "note" },
        }));
        assert_eq!(reply.message["content"][0]["type"], "tool_use");
        assert_eq!(
            reply.message["content"][0]["input"]["title"],
            "Foxes jump over dogs."
        );
        assert_eq!(reply.message["stop_reason"], "tool_use");
    }
}
