//! Job types: versioned prompts with an input and an output schema, as data.
//!
//! Three ship with offpeak; a tenant can add its own. A job type is checked
//! once, when it is [compiled](Compiled): after that, an input that fits its
//! input schema renders, and what it renders is a Messages body that stands on
//! its own. It carries the output schema with the input's values filled in, so
//! a result is judged by its own request, whatever version runs by then.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::FieldError;
use crate::job::{OnLate, OnUnknown};

mod compiled;
mod head;
mod output;
mod placeholder;
mod schema;
mod template;

pub use compiled::{Compiled, RenderError};
pub use head::Head;
pub use output::{Mismatch, OutputChecker, check_output_against};

/// A prompt template with what it takes and what it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobType {
    /// What jobs call it by: `^[a-z][a-z0-9_]{0,62}$`.
    pub name: String,
    /// Counts up with each change; at least 1.
    pub version: u32,
    /// What it gives, in one sentence.
    #[serde(default)]
    pub description: String,
    /// The model that answers.
    pub model: String,
    /// The most tokens that an answer may have; at least 1.
    pub max_tokens: u32,
    /// The system prompt: fixed text, no template. May be empty.
    #[serde(default)]
    pub system: String,
    /// The user message. Jinja in the small: `{{ value }}`, `{% if %}`,
    /// `{% for %}` and a few filters, over the properties of the input.
    pub template: String,
    /// JSON Schema of the input: an object. The `default` of a property is
    /// taken where the input lacks it.
    pub input_schema: Value,
    /// JSON Schema of the answer, for structured output. Where it says
    /// `{"$input": "/pointer"}`, the value from the input takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// How soon its jobs are wanted, in the words of [`deliver`](crate::deliver),
    /// unless they say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_within: Option<String>,
    /// What is done for those that would be late, unless they say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_late: Option<OnLate>,
    /// What is done when the answer to a direct call is lost; `fail` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<OnUnknown>,
    /// How old a result may be that its jobs take in the place of an attempt of their
    /// own, in the same words; none unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_for: Option<String>,
    /// Whether its jobs share an attempt with others that ask the same while it is
    /// open, unless they say it themselves; they do unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalesce: Option<bool>,
}

/// Why a job type cannot be used: what is wrong with which of its fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the job type is invalid: {}", list(errors))]
pub struct Invalid {
    /// At least one fault.
    pub errors: Vec<FieldError>,
}

fn list(errors: &[FieldError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Why a shipped job type cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ShippedError {
    /// Not the TOML that is expected.
    #[error("a shipped job type cannot be read")]
    Toml(#[from] toml::de::Error),
    /// A schema that is no JSON.
    #[error("a schema of the shipped job type {name} is not JSON")]
    Schema {
        /// The job type.
        name: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// The job types that ship with offpeak: `summarize`, `classify` and
/// `analyze_policy`.
pub fn shipped() -> Result<Vec<JobType>, ShippedError> {
    [
        include_str!("job_type/shipped/summarize.toml"),
        include_str!("job_type/shipped/classify.toml"),
        include_str!("job_type/shipped/analyze_policy.toml"),
    ]
    .into_iter()
    .map(read)
    .collect()
}

/// A shipped file. Its schemas are JSON inside TOML: what is passed on to the
/// model is read as it will be sent, in that order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    version: u32,
    description: String,
    model: String,
    max_tokens: u32,
    system: String,
    template: String,
    input_schema: String,
    output_schema: Option<String>,
}

fn read(text: &str) -> Result<JobType, ShippedError> {
    let file: File = toml::from_str(text)?;
    let json = |text: &str| {
        serde_json::from_str(text).map_err(|source| ShippedError::Schema {
            name: file.name.clone(),
            source,
        })
    };
    Ok(JobType {
        input_schema: json(&file.input_schema)?,
        output_schema: file.output_schema.as_deref().map(json).transpose()?,
        name: file.name,
        version: file.version,
        description: file.description,
        model: file.model,
        max_tokens: file.max_tokens,
        system: file.system,
        template: file.template,
        deliver_within: None,
        on_late: None,
        on_unknown: None,
        reuse_for: None,
        coalesce: None,
    })
}

#[cfg(test)]
mod tests;
