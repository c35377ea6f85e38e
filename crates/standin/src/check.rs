//! What the API finds wrong with a Messages body: at once for a direct message,
//! late and per item in a batch.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::models::{self, Model};
use crate::refusal::Refusal;
use crate::tokens;
use offpeak_anthropic::API_VERSION;
use offpeak_anthropic::shape::ErrorKind;

/// Lifts the output limit in batches.
const LONG_OUTPUT_BETA: &str = "output-300k-2026-03-24";
const LONG_OUTPUT: u64 = 300_000;

/// Fields that every version takes.
const FIELDS: [&str; 24] = [
    "billing_policy",
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallback_credit_token",
    "fallbacks",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
];
/// Fields of the first version that the second one refuses.
const SAMPLING: [&str; 3] = ["temperature", "top_k", "top_p"];
/// Fields that a batch refuses.
const NOT_IN_BATCH: [&str; 2] = ["speed", "fallbacks"];

/// Who asks, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// The API version that the request came under.
    pub(crate) version: &'a str,
    /// Its beta features.
    pub(crate) betas: &'a [String],
    /// Whether the body is an item of a batch.
    pub(crate) in_batch: bool,
}

/// A body without faults, as far as the stand-in looks.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) model: &'static Model,
    pub(crate) max_tokens: u64,
    pub(crate) input_tokens: u64,
}

/// Checks a whole Messages body.
pub(crate) fn message(params: &Value, terms: Terms<'_>) -> Result<Checked, Refusal> {
    let (fields, model) = common(params, terms)?;
    let cap = if terms.in_batch
        && model.long_output
        && terms.betas.iter().any(|beta| beta == LONG_OUTPUT_BETA)
    {
        LONG_OUTPUT
    } else {
        model.max_output
    };
    let max_tokens = match fields.get("max_tokens") {
        None => return wrong("max_tokens", "Field required"),
        Some(value) => match value.as_u64() {
            None => return wrong("max_tokens", "Input should be a valid integer"),
            Some(0) if terms.in_batch => {
                return wrong("max_tokens", "Input should be greater than or equal to 1");
            }
            Some(tokens) if tokens > cap => {
                return wrong(
                    "max_tokens",
                    &format!(
                        "{tokens} > {cap}, which is the maximum allowed number of output tokens for {}",
                        model.id
                    ),
                );
            }
            Some(tokens) => tokens,
        },
    };
    if fields
        .get("stream")
        .is_some_and(|stream| stream != &Value::Bool(false))
    {
        return wrong("stream", "Streaming is not supported here");
    }
    if terms.in_batch {
        for field in NOT_IN_BATCH {
            if fields.get(field).is_some_and(|value| !value.is_null()) {
                return wrong(field, "Not supported in a message batch");
            }
        }
        if fields
            .get("billing_policy")
            .is_some_and(|policy| policy["bill_to"] == "user_profile")
        {
            return wrong("billing_policy.bill_to", "Not supported in a message batch");
        }
    }
    let input_tokens = tokens::of_params(params);
    if input_tokens > model.max_input {
        return Err(Refusal::invalid(format!(
            "prompt is too long: {input_tokens} tokens > {} maximum",
            model.max_input
        )));
    }
    Ok(Checked {
        model,
        max_tokens,
        input_tokens,
    })
}

/// What a batch refuses inside `params`, where it is refused at create.
pub(crate) fn batch_only(number: usize, params: &RawValue) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        stream: Value,
        #[serde(default)]
        speed: Value,
        #[serde(default)]
        max_tokens: Value,
    }
    let Ok(head) = serde_json::from_str::<Head>(params.get()) else {
        return Ok(());
    };
    let place = |field: &str| format!("requests.{number}.params.{field}");
    if !head.stream.is_null() && head.stream != Value::Bool(false) {
        return wrong(&place("stream"), "Streaming is not supported here");
    }
    if !head.speed.is_null() {
        return wrong(&place("speed"), "Not supported in a message batch");
    }
    if head.max_tokens == 0 {
        return wrong(
            &place("max_tokens"),
            "Input should be greater than or equal to 1",
        );
    }
    Ok(())
}

/// Checks the body of a token count; gives the tokens.
pub(crate) fn count(params: &Value, terms: Terms<'_>) -> Result<u64, Refusal> {
    let (fields, _) = common(params, terms)?;
    if fields.contains_key("max_tokens") {
        return wrong("max_tokens", "Extra inputs are not permitted");
    }
    Ok(tokens::of_params(params))
}

fn common<'a>(
    params: &'a Value,
    terms: Terms<'_>,
) -> Result<(&'a Map<String, Value>, &'static Model), Refusal> {
    let Value::Object(fields) = params else {
        return Err(Refusal::invalid("Input should be a valid dictionary"));
    };
    let model = match fields.get("model") {
        None => return wrong("model", "Field required"),
        Some(Value::String(id)) => models::find(id)
            .ok_or_else(|| Refusal::new(404, ErrorKind::NotFound, format!("model: {id}")))?,
        Some(_) => return wrong("model", "Input should be a valid string"),
    };
    for (field, value) in fields {
        let field = field.as_str();
        if SAMPLING.contains(&field) {
            if terms.version == API_VERSION {
                return wrong(field, "Extra inputs are not permitted");
            }
            sampling(field, value, model)?;
        } else if !FIELDS.contains(&field) {
            return wrong(field, "Extra inputs are not permitted");
        }
    }
    messages(fields.get("messages"), terms, model)?;
    thinking(fields, model)?;
    format(fields)?;
    Ok((fields, model))
}

/// The rules of the first version: locked on newer models, free on older ones.
fn sampling(field: &str, value: &Value, model: &Model) -> Result<(), Refusal> {
    let Some(number) = value.as_f64() else {
        return wrong(field, "Input should be a valid number");
    };
    let allowed = match (field, model.locks_sampling()) {
        ("temperature", true) => (number - 1.0).abs() < f64::EPSILON,
        ("top_p", true) => (0.99..=1.0).contains(&number),
        (_, true) => false,
        ("top_k", false) => number >= 0.0,
        (_, false) => (0.0..=1.0).contains(&number),
    };
    if allowed {
        return Ok(());
    }
    wrong(
        field,
        &format!("this value is not supported by {}", model.id),
    )
}

fn messages(messages: Option<&Value>, terms: Terms<'_>, model: &Model) -> Result<(), Refusal> {
    let messages = match messages {
        None => return wrong("messages", "Field required"),
        Some(Value::Array(messages)) if messages.is_empty() => {
            return wrong("messages", "at least one message is required");
        }
        Some(Value::Array(messages)) => messages,
        Some(_) => return wrong("messages", "Input should be a valid list"),
    };
    for (at, message) in messages.iter().enumerate() {
        let Some(role @ ("user" | "assistant" | "system")) = message["role"].as_str() else {
            return wrong(
                &format!("messages.{at}.role"),
                "Input should be 'user', 'assistant' or 'system'",
            );
        };
        if at == 0 && role != "user" {
            return wrong("messages", "first message must use the \"user\" role");
        }
        content(
            &message["content"],
            &format!("messages.{at}.content"),
            role,
            terms,
        )?;
    }
    let ends_on_assistant = messages
        .last()
        .is_some_and(|last| last["role"] == "assistant");
    if ends_on_assistant && model.refuses_prefill() {
        return wrong("messages", "the conversation must end with a user message");
    }
    Ok(())
}

fn content(content: &Value, place: &str, role: &str, terms: Terms<'_>) -> Result<(), Refusal> {
    let blocks = match content {
        Value::String(text) if text.is_empty() => {
            return wrong(place, "text content must be non-empty");
        }
        Value::String(_) => return Ok(()),
        Value::Array(blocks) if !blocks.is_empty() => blocks,
        Value::Array(_) => return wrong(place, "at least one block is required"),
        _ => return wrong(place, "Input should be a valid string or list"),
    };
    for (at, block) in blocks.iter().enumerate() {
        let place = format!("{place}.{at}");
        let Some(kind) = block["type"].as_str() else {
            return wrong(&format!("{place}.type"), "Field required");
        };
        if kind == "text" && block["text"].as_str().is_none_or(str::is_empty) {
            return wrong(&place, "text content blocks must be non-empty");
        }
        if terms.version != API_VERSION {
            continue;
        }
        if kind == "document" && role == "assistant" {
            return wrong(
                &place,
                "document blocks are not permitted in assistant messages",
            );
        }
        let cited = block["citations"]
            .as_array()
            .is_some_and(|list| !list.is_empty());
        if kind == "text" && role == "user" && cited {
            return wrong(
                &format!("{place}.citations"),
                "Extra inputs are not permitted",
            );
        }
    }
    Ok(())
}

fn thinking(fields: &Map<String, Value>, model: &Model) -> Result<(), Refusal> {
    let Some(thinking) = fields
        .get("thinking")
        .filter(|thinking| !thinking.is_null())
    else {
        return Ok(());
    };
    let Some(form @ ("adaptive" | "enabled" | "disabled" | "between_tools")) =
        thinking["type"].as_str()
    else {
        return wrong("thinking.type", "unknown type");
    };
    if model.refuses_thinking(form) {
        return wrong(
            "thinking.type",
            &format!("\"{form}\" is not supported by {}", model.id),
        );
    }
    if form == "enabled"
        && thinking["budget_tokens"]
            .as_u64()
            .is_none_or(|tokens| tokens < 1024)
    {
        return wrong(
            "thinking.budget_tokens",
            "Input should be greater than or equal to 1024",
        );
    }
    Ok(())
}

fn format(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(format) = fields
        .get("output_config")
        .and_then(|config| config.get("format"))
        .filter(|format| !format.is_null())
    else {
        return Ok(());
    };
    if format["type"] != "json_schema" {
        return wrong("output_config.format.type", "Input should be 'json_schema'");
    }
    if !format["schema"].is_object() {
        return wrong(
            "output_config.format.schema",
            "Input should be a valid dictionary",
        );
    }
    Ok(())
}

fn wrong<T>(field: &str, why: &str) -> Result<T, Refusal> {
    Err(Refusal::invalid(format!("{field}: {why}")))
}

#[cfg(test)]
mod tests;
