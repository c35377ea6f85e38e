//! How long an answer may be: nobody can know it, so every guess says on what
//! it is founded.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::tokens::Calibration;

/// Tokens for each word that a prompt allows, in tenths. Calibrated against the
/// stand-in's summaries, which come near their limit; so do a model's.
const TOKENS_OF_TEN_WORDS: u64 = 14;
/// Tokens of an answer of which nothing is known.
const UNKNOWN: u64 = 300;
/// Bytes of a text in a structured answer of which nothing is known.
const TEXT: u64 = 120;
/// Items of a list of which nothing is known.
const ITEMS: u64 = 3;
/// How deep a schema is looked into.
const DEEP: usize = 12;
/// Bytes at each end of a message in which a number of words is looked for:
/// between them is what the message is about.
const ENDS: usize = 400;
/// A greater number of words is no limit that somebody meant.
const MOST_WORDS: u64 = 20_000;

/// On what the length of an answer is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// The usage that was logged.
    Logged,
    /// The average of jobs that a server has measured.
    Measured,
    /// What whoever asks has said.
    Said,
    /// The schema that the answer has to fit.
    Schema,
    /// The number of words that the prompt allows.
    Words,
    /// Nothing: a round number.
    Nothing,
}

/// What of a request says how long its answer may be.
#[derive(Debug, Default)]
pub(super) struct Hints<'a> {
    pub(super) max_tokens: Option<u64>,
    pub(super) output_config: Option<&'a RawValue>,
    pub(super) tools: Option<&'a RawValue>,
    pub(super) tool_choice: Option<&'a RawValue>,
    pub(super) system: Option<&'a RawValue>,
    /// The last message, as JSON.
    pub(super) last: &'a str,
    /// Tokens of the messages.
    pub(super) messages: u64,
}

/// The most likely length in tokens.
pub(super) fn guess(hints: &Hints<'_>, calibration: &Calibration) -> (u64, Basis) {
    let most = hints.max_tokens.unwrap_or(u64::MAX);
    let schema = schema(hints.output_config).or_else(|| forced(hints.tools, hints.tool_choice));
    if let Some(schema) = schema {
        let bytes = size(&schema, &schema, 0);
        return (calibration.of_text(bytes).min(most), Basis::Schema);
    }
    if let Some(words) = words(hints) {
        let tokens = (words * TOKENS_OF_TEN_WORDS).div_ceil(10);
        // What is short needs fewer words than it may have.
        return (tokens.min(hints.messages).min(most), Basis::Words);
    }
    (UNKNOWN.min(most), Basis::Nothing)
}

fn schema(output_config: Option<&RawValue>) -> Option<Value> {
    #[derive(Deserialize)]
    struct Config {
        format: Option<Format>,
    }
    #[derive(Deserialize)]
    struct Format {
        schema: Option<Value>,
    }
    let config: Config = serde_json::from_str(output_config?.get()).ok()?;
    config.format?.schema.filter(Value::is_object)
}

/// The input of a tool that the request insists on.
fn forced(tools: Option<&RawValue>, choice: Option<&RawValue>) -> Option<Value> {
    let choice: Value = serde_json::from_str(choice?.get()).ok()?;
    let kind = choice.get("type")?.as_str()?;
    let tools: Vec<Value> = serde_json::from_str(tools?.get()).ok()?;
    let mut fitting = tools.into_iter().filter(|tool| match kind {
        "any" => true,
        "tool" => tool.get("name") == choice.get("name"),
        _ => false,
    });
    Some(fitting.next()?.get_mut("input_schema")?.take()).filter(Value::is_object)
}

/// Bytes of JSON that fits a schema, as a model would fill it.
fn size(schema: &Value, root: &Value, depth: usize) -> u64 {
    if depth > DEEP {
        return 2;
    }
    let target = schema.get("$ref").and_then(Value::as_str);
    if let Some(target) = target.and_then(|t| root.pointer(t.strip_prefix('#')?)) {
        return size(target, root, depth + 1);
    }
    if let Some(value) = schema.get("const") {
        return length(value);
    }
    if let Some(options) = schema.get("enum").and_then(Value::as_array) {
        let all: u64 = options.iter().map(length).sum();
        return all.div_ceil((options.len() as u64).max(1));
    }
    for branch in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(branch).and_then(|all| all.get(0)) {
            return size(first, root, depth + 1);
        }
    }
    let number = |name: &str| schema.get(name).and_then(Value::as_u64);
    match kind(schema) {
        "object" => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fields = properties.into_iter().flatten();
            // Quotes, colon and comma around each.
            let fields = fields.map(|(name, of)| name.len() as u64 + 4 + size(of, root, depth + 1));
            2 + fields.sum::<u64>()
        }
        "array" => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            let least = number("minItems").unwrap_or(0);
            let most = number("maxItems").unwrap_or(u64::MAX);
            let count = choices(items).unwrap_or(ITEMS).min(most).max(least);
            2 + count.saturating_mul(size(items, root, depth + 1) + 1)
        }
        "integer" | "number" => 3,
        "boolean" | "null" => 5,
        _ => {
            let most = number("maxLength").unwrap_or(u64::MAX);
            2 + TEXT.min(most).max(number("minLength").unwrap_or(0))
        }
    }
}

/// Items that go through a list of choices are as many as the longest of these.
fn choices(items: &Value) -> Option<u64> {
    let properties = items.get("properties")?.as_object()?;
    let lists = properties
        .values()
        .filter_map(|of| of.get("enum")?.as_array());
    lists.map(|list| list.len() as u64).max()
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or(""),
        _ if schema.get("properties").is_some() => "object",
        _ => "",
    }
}

fn length(value: &Value) -> u64 {
    value.to_string().len() as u64
}

/// The number of words that the instructions name: "at most 60 words".
fn words(hints: &Hints<'_>) -> Option<u64> {
    let last = hints.last;
    let tail = last.ceil_char_boundary(last.len().saturating_sub(ENDS));
    let head = last.floor_char_boundary(ENDS.min(tail));
    let system = hints.system.map_or("", RawValue::get);
    [&last[tail..], &last[..head], system]
        .into_iter()
        .find_map(number_of_words)
}

fn number_of_words(text: &str) -> Option<u64> {
    text.match_indices(" word").find_map(|(at, _)| {
        let before = &text[..at];
        let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = before[before.len() - digits..].parse().ok()?;
        (1..=MOST_WORDS).contains(&number).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::{Basis, Calibration, Hints, guess};
    use serde_json::value::{RawValue, to_raw_value};
    use serde_json::{Value, json};

    fn raw(value: &Value) -> Option<Box<RawValue>> {
        (!value.is_null()).then(|| to_raw_value(value).unwrap())
    }

    fn of(request: &Value) -> (u64, Basis) {
        let part = |name: &str| raw(&request[name]);
        let (config, tools, choice) = (part("output_config"), part("tools"), part("tool_choice"));
        let system = part("system");
        let last = request["last"].as_str().unwrap_or("");
        let hints = Hints {
            max_tokens: request["max_tokens"].as_u64(),
            output_config: config.as_deref(),
            tools: tools.as_deref(),
            tool_choice: choice.as_deref(),
            system: system.as_deref(),
            last,
            messages: 1_000,
        };
        guess(&hints, &Calibration::SHIPPED)
    }

    fn format(schema: &Value) -> Value {
        json!({ "output_config": { "format": { "type": "json_schema", "schema": schema } } })
    }

    #[test]
    fn a_schema_says_how_long_its_answer_is() {
        let category = json!({ "type": "object", "properties": {
            "category": { "type": "string", "enum": ["invoice", "contract", "other"] },
        } });
        // {"category":"invoice"} or the like.
        assert_eq!(of(&format(&category)), (6, Basis::Schema));
        let findings = json!({ "$ref": "#/$defs/all", "$defs": { "all": {
            "type": "array", "items": { "type": "object", "properties": {
                "question": { "enum": ["a", "b", "c", "d", "e"] }, "answer": { "type": "string" },
            } },
        } } });
        let one = 2 + (8 + 4 + 3) + (6 + 4 + 122);
        assert_eq!(
            of(&format(&findings)).0,
            (2_u64 + 5 * (one + 1)).div_ceil(4)
        );
        let endless = json!({ "properties": { "next": { "$ref": "#" } } });
        assert!(of(&format(&endless)).0 < 100);
        let tool = json!({ "tools": [{ "name": "a" }, { "name": "b", "input_schema": category }],
            "tool_choice": { "type": "tool", "name": "b" } });
        assert_eq!(of(&tool), (6, Basis::Schema));
    }

    #[test]
    fn else_the_words_that_are_allowed_and_else_a_round_number() {
        let ask = |last: &str| of(&json!({ "last": last }));
        assert_eq!(
            ask("…\nSummarize it in at most 60 words."),
            (84, Basis::Words)
        );
        let inside = format!("{}9 words{}", "é".repeat(300), "x".repeat(500));
        assert_eq!(ask(&inside), (300, Basis::Nothing));
        assert_eq!(ask("Say it in other words."), (300, Basis::Nothing));
        assert_eq!(ask("In 5000 words, please."), (1_000, Basis::Words));
        let system = json!({ "system": "Never more than 10 words.", "last": "x" });
        assert_eq!(of(&system), (14, Basis::Words));
        assert_eq!(of(&json!({ "max_tokens": 7 })), (7, Basis::Nothing));
        assert_eq!(of(&json!({ "max_tokens": 0 })).0, 0);
    }
}
