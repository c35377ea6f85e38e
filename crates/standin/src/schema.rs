//! Makes JSON that satisfies a schema out of a document.
//!
//! What it makes is checked with a real validator before it is answered; a schema
//! that it cannot satisfy ends in an error, never in a wrong answer.

mod number;

use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::brief::Brief;
use crate::choice;
use crate::evidence;
use crate::prose;
use crate::refusal::Refusal;

/// How deep optional parts are made.
const DEEP: usize = 5;
/// How deep anything is made; a schema that still needs more cannot be satisfied.
const BOTTOM: usize = 40;
/// Bounds the work for schemas that branch without end.
const STEPS: usize = 20_000;
/// Words in a text without a limit of its own.
const WORDS: usize = 30;

/// What stands for an answer where there is none.
const SILENT: &str = "The document does not speak of it.";
/// Longest text that is padded to a minimal length.
const PADDED: usize = 10_000;

/// The validator of the last schema seen: a batch mostly has only one.
#[derive(Default)]
pub(crate) struct Schemas(Option<(Value, Validator)>);

impl Schemas {
    /// A value for the schema, made from the brief.
    pub(crate) fn fill(&mut self, schema: &Value, brief: &Brief) -> Result<Value, Refusal> {
        let validator = self.validator(schema)?;
        // First a full answer, then one with nothing but what is required.
        for full in [true, false] {
            let mut maker = Maker {
                root: schema,
                brief,
                sentences: prose::sentences(&brief.document),
                next: 0,
                steps: 0,
                full,
            };
            if let Some(value) = maker.make(schema, "", None, 0)
                && validator.is_valid(&value)
            {
                return Ok(value);
            }
        }
        Err(Refusal::new(
            500,
            offpeak_anthropic::shape::ErrorKind::Api,
            "The stand-in cannot make a value for this schema",
        ))
    }

    fn validator(&mut self, schema: &Value) -> Result<&Validator, Refusal> {
        if self.0.as_ref().is_none_or(|(known, _)| known != schema) {
            let validator = jsonschema::validator_for(schema).map_err(|_| {
                Refusal::invalid("output_config.format.schema: Invalid JSON schema")
            })?;
            self.0 = Some((schema.clone(), validator));
        }
        match &self.0 {
            Some((_, validator)) => Ok(validator),
            None => Err(Refusal::invalid(
                "output_config.format.schema: Invalid JSON schema",
            )),
        }
    }
}

struct Maker<'a> {
    root: &'a Value,
    brief: &'a Brief,
    sentences: Vec<&'a str>,
    /// The sentence that the next text is taken from.
    next: usize,
    steps: usize,
    full: bool,
}

impl<'a> Maker<'a> {
    /// A value for one schema. `key` is the property that it is for, `about` the
    /// question that stands beside it.
    fn make(
        &mut self,
        schema: &'a Value,
        key: &str,
        about: Option<&str>,
        depth: usize,
    ) -> Option<Value> {
        self.steps += 1;
        if depth > BOTTOM || self.steps > STEPS {
            return None;
        }
        if let Some(target) = schema["$ref"].as_str() {
            let target = self.root.pointer(target.strip_prefix('#')?)?;
            return self.make(target, key, about, depth + 1);
        }
        if let Some(value) = schema.get("const") {
            return Some(value.clone());
        }
        if let Some(options) = schema["enum"].as_array() {
            return self.choose(options, about);
        }
        for branch in ["anyOf", "oneOf"] {
            if let Some(options) = schema[branch].as_array() {
                let mut options: Vec<&Value> = options.iter().collect();
                // Something rather than nothing, near the surface.
                options.sort_by_key(|option| (option["type"] == "null") != (depth > DEEP));
                return options
                    .into_iter()
                    .find_map(|option| self.make(option, key, about, depth + 1));
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.all(schema, parts, key, about, depth);
        }
        match kind(schema) {
            "object" => self.object(schema, about, depth),
            "array" => self.array(schema, key, about, depth),
            "integer" => Some(number::integer(schema)),
            "number" => Some(number::number(schema)),
            "boolean" => Some(Value::Bool(true)),
            "null" => Some(Value::Null),
            _ => Some(Value::String(self.string(schema, key, about))),
        }
    }

    /// One of the given values. Beside a question a verdict is asked for, if one of
    /// the values denies: then it follows from whether the document speaks of it.
    fn choose(&self, options: &[Value], about: Option<&str>) -> Option<Value> {
        let texts: Vec<String> = options.iter().map(label).collect();
        if let Some(question) = about
            && let Some(no) = texts.iter().position(|text| choice::denies(text))
            && let Some(yes) = texts.iter().position(|text| !choice::denies(text))
        {
            let spoken_of = evidence::best(&self.sentences, question).is_some();
            return options.get(if spoken_of { yes } else { no }).cloned();
        }
        let best = *choice::rank(&texts, &self.brief.document).first()?;
        options.get(best).cloned()
    }

    /// `allOf`: objects are joined, anything else is made from the first part.
    fn all(
        &mut self,
        schema: &'a Value,
        parts: &'a [Value],
        key: &str,
        about: Option<&str>,
        depth: usize,
    ) -> Option<Value> {
        let mut joined = match kind(schema) {
            "object" => self.object(schema, about, depth)?,
            _ => Value::Null,
        };
        for part in parts {
            let made = self.make(part, key, about, depth + 1)?;
            match (&mut joined, made) {
                (Value::Object(fields), Value::Object(more)) => fields.extend(more),
                (Value::Null, first) => joined = first,
                _ => {}
            }
        }
        Some(joined)
    }

    fn object(&mut self, schema: &'a Value, about: Option<&str>, depth: usize) -> Option<Value> {
        let empty = Vec::new();
        let required = schema["required"].as_array().unwrap_or(&empty);
        let mut fields = Map::new();
        let mut about = about.map(str::to_owned);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let needed = required.iter().any(|field| field == name);
            if !needed && (!self.full || depth > DEEP) {
                continue;
            }
            let value = match about.as_deref() {
                // The question itself, where a question is asked for.
                Some(question)
                    if is_question(name)
                        && kind(property) == "string"
                        && property.get("enum").is_none() =>
                {
                    Some(Value::String(question.to_owned()))
                }
                Some(question) if is_question(name) && allows(property, question) => {
                    Some(Value::String(question.to_owned()))
                }
                _ => self.make(property, name, about.as_deref(), depth + 1),
            };
            match value {
                Some(value) => {
                    if let (true, Some(text)) = (is_question(name), value.as_str()) {
                        about = Some(text.to_owned());
                    }
                    fields.insert(name.clone(), value);
                }
                None if needed => return None,
                None => {}
            }
        }
        for name in required.iter().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                let other = &schema["additionalProperties"];
                let value = self.make(other, name, about.as_deref(), depth + 1)?;
                fields.insert(name.to_owned(), value);
            }
        }
        Some(Value::Object(fields))
    }

    fn array(
        &mut self,
        schema: &'a Value,
        key: &str,
        about: Option<&str>,
        depth: usize,
    ) -> Option<Value> {
        let items = &schema["items"];
        let least = size(schema, "minItems").unwrap_or(0);
        let most = size(schema, "maxItems").unwrap_or(usize::MAX);
        let mut made = Vec::new();
        for fixed in schema["prefixItems"].as_array().into_iter().flatten() {
            made.push(self.make(fixed, key, about, depth + 1)?);
        }
        if let Some(options) = items["enum"].as_array() {
            let texts: Vec<String> = options.iter().map(label).collect();
            let ranked = choice::rank(&texts, &self.brief.document);
            let count = least.max(1).min(most);
            made.extend(
                ranked
                    .iter()
                    .cycle()
                    .take(count)
                    .filter_map(|at| options.get(*at).cloned()),
            );
            return Some(Value::Array(made));
        }
        let questions = self.questions(items);
        let wanted = match kind(self.resolve(items)) {
            _ if !self.full || depth > DEEP => 0,
            "object" if !questions.is_empty() => questions.len(),
            "object" => 2,
            "array" => 1,
            // No passage speaks of the question.
            _ if is_quote(key) && self.is_silent(about) => 0,
            _ if is_quote(key) => 1,
            _ => self.sentences.len().clamp(1, 3),
        };
        let count = wanted.max(least).min(most);
        for at in made.len()..count {
            let question = questions.get(at).map(String::as_str).or(about);
            made.push(self.make(items, key, question, depth + 1)?);
        }
        Some(Value::Array(made))
    }

    /// The questions that the items of an array are to answer: those that the
    /// schema lists, else those that the instructions ask.
    fn questions(&self, items: &'a Value) -> Vec<String> {
        let Some(properties) = self.resolve(items)["properties"].as_object() else {
            return Vec::new();
        };
        let Some((_, question)) = properties.iter().find(|(name, _)| is_question(name)) else {
            return Vec::new();
        };
        match self.resolve(question)["enum"].as_array() {
            Some(listed) => listed.iter().map(label).collect(),
            None => self
                .brief
                .questions()
                .into_iter()
                .map(str::to_owned)
                .collect(),
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let target = schema["$ref"]
            .as_str()
            .and_then(|target| target.strip_prefix('#'));
        target
            .and_then(|target| self.root.pointer(target))
            .unwrap_or(schema)
    }

    fn string(&mut self, schema: &Value, key: &str, about: Option<&str>) -> String {
        if let Some(text) = schema["format"].as_str().and_then(formatted) {
            return text.to_owned();
        }
        let sentence = self.sentence(about);
        let mut text = if is_quote(key) {
            prose::passage(sentence).to_owned()
        } else if self.is_silent(about) {
            SILENT.to_owned()
        } else {
            let limit = match key {
                "title" | "name" | "label" | "topic" => 6,
                "summary" | "text" | "abstract" => self.brief.words().unwrap_or(WORDS * 2),
                _ => self.brief.words().unwrap_or(WORDS),
            };
            if matches!(key, "summary" | "text" | "abstract") {
                prose::opening(&self.sentences, limit, usize::MAX)
            } else {
                prose::first_words(&prose::plain(sentence), limit)
            }
        };
        if let Some(least) = size(schema, "minLength") {
            let filler = if text.is_empty() { "-" } else { " -" };
            let missing = least.min(PADDED).saturating_sub(text.chars().count());
            text.push_str(&filler.repeat(missing));
        }
        if let Some(most) = size(schema, "maxLength") {
            text = text.chars().take(most).collect();
        }
        text
    }

    /// The sentence that speaks most of the question, else the next one in turn.
    fn sentence(&mut self, about: Option<&str>) -> &'a str {
        if let Some(best) = about.and_then(|question| evidence::best(&self.sentences, question)) {
            return best;
        }
        let turn = self.next.checked_rem(self.sentences.len()).unwrap_or(0);
        self.next += 1;
        self.sentences.get(turn).copied().unwrap_or("")
    }

    /// Whether the document says nothing about the question.
    fn is_silent(&self, about: Option<&str>) -> bool {
        about.is_some_and(|question| evidence::best(&self.sentences, question).is_none())
    }
}

/// The type to make: the first that is not null, or what the keywords tell.
fn kind(schema: &Value) -> &str {
    let named = match &schema["type"] {
        Value::String(name) => Some(name.as_str()),
        Value::Array(names) => {
            let mut names = names.iter().filter_map(Value::as_str);
            names
                .clone()
                .find(|name| *name != "null")
                .or_else(|| names.next())
        }
        _ => None,
    };
    named.unwrap_or_else(|| {
        if schema.get("properties").is_some() || schema.get("required").is_some() {
            "object"
        } else if schema.get("items").is_some() || schema.get("prefixItems").is_some() {
            "array"
        } else if schema.get("minimum").is_some() || schema.get("maximum").is_some() {
            "number"
        } else {
            "string"
        }
    })
}

fn label(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn allows(schema: &Value, text: &str) -> bool {
    schema["enum"]
        .as_array()
        .is_some_and(|options| options.iter().any(|option| option == text))
}

fn is_question(key: &str) -> bool {
    matches!(key, "question" | "criterion" | "requirement")
}

fn is_quote(key: &str) -> bool {
    ["quote", "excerpt", "evidence", "citation"]
        .iter()
        .any(|name| key.contains(name))
}

fn size(schema: &Value, keyword: &str) -> Option<usize> {
    usize::try_from(schema[keyword].as_u64()?).ok()
}

fn formatted(format: &str) -> Option<&'static str> {
    Some(match format {
        "date-time" => "2026-01-01T00:00:00Z",
        "date" => "2026-01-01",
        "time" => "00:00:00Z",
        "duration" => "P1D",
        "email" => "standin@example.com",
        "hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" => "https://example.com/",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
