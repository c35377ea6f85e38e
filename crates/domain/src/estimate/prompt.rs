//! One Messages body, read for its price.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::answer::{Basis, Hints, guess};
use super::tokens::Calibration;
use crate::FieldError;
use crate::params::MAX_MODEL;
use crate::params::shape::Fields;

/// What requests share at their beginning: the tools and the system prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The same for the same prefix of the same model.
    pub key: u64,
    /// Its tokens.
    pub tokens: u64,
}

/// A request as its price sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// The model that it asks for.
    pub model: Cow<'a, str>,
    /// Its tokens, as the calibration has it.
    pub tokens: u64,
    /// What it may share with others; none without tools and system prompt.
    pub prefix: Option<Prefix>,
    /// The same for requests that are equal to the byte.
    pub identity: u64,
    /// Tokens of the answer, as far as they can be guessed.
    pub answer: u64,
    /// On what that guess is founded.
    pub basis: Basis,
    /// Whether it is to run in the United States only.
    pub geo_us: bool,
}

impl<'a> Prompt<'a> {
    /// Reads a body that a [check](crate::params::check) need not have passed: a
    /// logged call may have what a job may not. With `own`, fields of other names
    /// are none of the request's.
    pub fn read(
        body: &'a str,
        own: Option<&[&str]>,
        calibration: &Calibration,
    ) -> Result<Self, FieldError> {
        let Ok(Fields(fields)) = serde_json::from_str(body) else {
            return Err(FieldError::new("", "must be a JSON object"));
        };
        let fault = |field: &str, message: &str| FieldError::new(format!("/{field}"), message);
        let mut identity = Sha256::new();
        let mut model = None;
        let mut messages = None;
        let mut geo_us = false;
        let mut hints = Hints::default();
        for (name, value) in &fields {
            let value: &'a RawValue = value;
            // How an answer is carried makes no other request of it.
            if name == "stream" || own.is_some_and(|own| !own.contains(&name.as_ref())) {
                continue;
            }
            for part in [name.as_bytes(), value.get().as_bytes()] {
                identity.update(part);
                identity.update([0]);
            }
            match name.as_ref() {
                "model" => model = serde_json::from_str::<Cow<'a, str>>(value.get()).ok(),
                "max_tokens" => hints.max_tokens = serde_json::from_str(value.get()).ok(),
                "system" => hints.system = Some(value),
                "tools" => hints.tools = Some(value),
                "tool_choice" => hints.tool_choice = Some(value),
                "output_config" => hints.output_config = Some(value),
                "messages" => messages = Some(value),
                "inference_geo" => geo_us = value.get() == "\"us\"",
                _ => {}
            }
        }
        let model = model
            .filter(|model| !model.is_empty() && model.len() <= MAX_MODEL)
            .ok_or_else(|| fault("model", "must be the name of a model"))?;
        let messages = messages
            .and_then(|list| serde_json::from_str::<Vec<Message<'_>>>(list.get()).ok())
            .ok_or_else(|| fault("messages", "must be an array of messages"))?;

        let mut contents = messages.iter().filter_map(|message| message.content);
        let tokens = contents
            .clone()
            .map(|one| calibration.of_content(one.get()));
        hints.messages = tokens.sum();
        hints.last = contents.next_back().map_or("", RawValue::get);
        let tools = hints
            .tools
            .map_or(0, |tools| calibration.of_json(tools.get()));
        let system = hints
            .system
            .map_or(0, |system| calibration.of_content(system.get()));
        let schema = hints.output_config.and_then(schema);
        let schema = schema.map_or(0, |schema| calibration.of_json(schema.get()));
        let prefix = (tools + system > 0).then(|| Prefix {
            key: key(&model, hints.tools, hints.system),
            tokens: tools + system,
        });
        let (answer, basis) = guess(&hints, calibration);
        Ok(Self {
            model,
            tokens: (tools + system + schema + hints.messages).max(1),
            prefix,
            identity: short(identity),
            answer,
            basis,
            geo_us,
        })
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// The schema of an answer, which is part of the prompt that is billed.
fn schema(output_config: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Config<'a> {
        #[serde(borrow)]
        format: Option<Format<'a>>,
    }
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let config: Config<'_> = serde_json::from_str(output_config.get()).ok()?;
    config.format?.schema
}

fn key(model: &str, tools: Option<&RawValue>, system: Option<&RawValue>) -> u64 {
    let mut hash = Sha256::new();
    for part in [
        model,
        tools.map_or("", RawValue::get),
        system.map_or("", RawValue::get),
    ] {
        hash.update(part);
        hash.update([0]);
    }
    short(hash)
}

/// The first 64 bits: among a million and a half requests two that differ are
/// taken for one with a chance of one in ten million.
fn short(hash: Sha256) -> u64 {
    let digest = hash.finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
