//! A job type made ready: checked once, then used for each of its jobs.

use std::time::Duration;

use jsonschema::Validator;
use serde::Serialize;
use serde_json::{Map, Value};

use super::head::Head;
use super::template::Template;
use super::{Invalid, JobType, Mismatch, OutputChecker, placeholder, schema};
use crate::FieldError;
use crate::deliver;
use crate::params::{MAX_BYTES, MAX_MODEL};

const MAX_NAME: usize = 63;
/// Anthropic's greatest number of output tokens, in a batch.
const MAX_TOKENS: u32 = 300_000;
/// Longest system prompt in bytes.
const MAX_SYSTEM: usize = 1_000_000;

/// A job type whose schemas compile and whose template fits them.
#[derive(Debug)]
pub struct Compiled {
    job_type: JobType,
    input: Validator,
    template: Template,
    /// The names of the input's properties, with their defaults.
    properties: Vec<(String, Option<Value>)>,
    within: Option<Duration>,
    reuse_for: Option<Duration>,
    /// The opening of its requests without context documents.
    head: Head,
}

/// Why an input that fits its schema cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The input is no object; it was not checked.
    #[error("the input is not an object")]
    NotAnObject,
    /// The request would be longer than Anthropic takes.
    #[error("the request would be longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The template fails for this input.
    #[error("the template of the job type fails for this input: {0}")]
    Template(String),
    /// The output schema asks for a value that the input lacks.
    #[error("the output schema needs the input's {pointer}, and the input has none")]
    Placeholder {
        /// Where in the input it should have stood.
        pointer: String,
    },
}

impl Compiled {
    /// Checks a job type whole, and says all that is wrong with it.
    pub fn new(job_type: JobType) -> Result<Self, Invalid> {
        let mut errors = faults_of_head(&job_type);
        let mut fault = |pointer: &str, message: String| {
            errors.push(FieldError::new(pointer, message));
        };

        let properties = properties(&job_type.input_schema);
        if job_type.input_schema.get("type") != Some(&Value::from("object")) {
            fault(
                "/input_schema",
                "must be the schema of an object".to_owned(),
            );
        }
        let input = schema::compile(&job_type.input_schema)
            .map_err(|error| fault(&format!("/input_schema{}", error.pointer), error.message));
        let known = |name: &str| properties.iter().any(|(property, _)| property == name);

        let template =
            Template::new(&job_type.template).map_err(|message| fault("/template", message));
        if let Ok(template) = &template {
            for name in template.variables().iter().filter(|name| !known(name)) {
                let message = format!("uses {name:?}, which the input schema does not have");
                fault("/template", message);
            }
        }

        if let Some(output_schema) = &job_type.output_schema {
            if output_schema.get("type") != Some(&Value::from("object")) {
                fault(
                    "/output_schema",
                    "must be the schema of an object".to_owned(),
                );
            }
            if let Err(error) = schema::compile(&placeholder::without(output_schema)) {
                fault(&format!("/output_schema{}", error.pointer), error.message);
            }
            for pointer in placeholder::pointers(output_schema) {
                if !placeholder::property(pointer).is_some_and(|name| known(&name)) {
                    let message = format!("refers to {pointer:?}, which the input does not have");
                    fault("/output_schema", message);
                }
            }
        }

        let within = job_type.deliver_within.as_deref().map(deliver::parse);
        let within = within.transpose().unwrap_or_else(|error| {
            errors.push(FieldError::new("/deliver_within", error.to_string()));
            None
        });
        if job_type.on_late.is_some() && job_type.deliver_within.is_none() {
            let message = "says what is done for late jobs, and `deliver_within` not when they are";
            errors.push(FieldError::new("/on_late", message.to_owned()));
        }

        let reuse_for = job_type.reuse_for.as_deref().map(deliver::parse);
        let reuse_for = reuse_for.transpose().unwrap_or_else(|error| {
            errors.push(FieldError::new("/reuse_for", error.to_string()));
            None
        });
        if job_type.reuse_for.is_some() && job_type.coalesce == Some(false) {
            let message =
                "says how old a result may be that is shared, and `coalesce` that none is";
            errors.push(FieldError::new("/reuse_for", message.to_owned()));
        }

        match (input, template) {
            (Ok(input), Ok(template)) if errors.is_empty() => Ok(Self {
                head: Head::new(&job_type, &[]),
                job_type,
                input,
                template,
                properties,
                within,
                reuse_for,
            }),
            _ => Err(Invalid { errors }),
        }
    }

    /// The job type as it was given.
    pub fn job_type(&self) -> &JobType {
        &self.job_type
    }

    /// How soon its jobs are wanted, unless they say it themselves.
    pub fn within(&self) -> Option<Duration> {
        self.within
    }

    /// How old a result may be that its jobs take.
    pub fn reuse_for(&self) -> Option<Duration> {
        self.reuse_for
    }

    /// Checks an input against the input schema; at most twenty faults, none
    /// of which quotes the input.
    pub fn check_input(&self, input: &Value) -> Result<(), Vec<FieldError>> {
        let faults = schema::faults(&self.input, input);
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// What its requests begin with.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What they begin with when these documents follow the system prompt.
    pub fn head_with(&self, contexts: &[&str]) -> Head {
        Head::new(&self.job_type, contexts)
    }

    /// The Messages body for an input that was [checked](Self::check_input):
    /// compact JSON, equal for equal inputs.
    pub fn render(&self, input: &Value) -> Result<Vec<u8>, RenderError> {
        self.render_after(&self.head, input)
    }

    /// The same after another of its openings.
    pub fn render_after(&self, head: &Head, input: &Value) -> Result<Vec<u8>, RenderError> {
        let input = self.complete(input.as_object().ok_or(RenderError::NotAnObject)?);
        let content = self
            .template
            .render(&input)
            .map_err(RenderError::Template)?;
        let schema = self.job_type.output_schema.as_ref();
        let schema = schema
            .map(|schema| placeholder::fill(schema, &input))
            .transpose()
            .map_err(|pointer| RenderError::Placeholder {
                pointer: pointer.to_owned(),
            })?;
        let format = schema.map(|schema| Format {
            kind: "json_schema",
            schema,
        });
        let rest = Rest {
            messages: [Message {
                role: "user",
                content: &content,
            }],
            output_config: format.map(|format| OutputConfig { format }),
        };
        // Room for some escapes, so that a usual body is not moved as it grows.
        let texts = head.bytes.len() + content.len();
        let mut body = Vec::with_capacity(texts + content.len() / 8 + 256);
        body.extend_from_slice(&head.bytes);
        serde_json::to_writer(&mut body, &rest)
            .map_err(|error| RenderError::Template(format!("not JSON: {:?}", error.classify())))?;
        // One object: what follows the opening is no other one.
        body[head.bytes.len()] = b',';
        if body.len() > MAX_BYTES {
            Err(RenderError::TooLong)
        } else {
            Ok(body)
        }
    }

    /// Checks an answer to this input; always good without an output schema.
    /// A result is judged by [`check_output_against`](super::check_output_against)
    /// and its own params; this is for trying a job type out.
    pub fn check_output(&self, input: &Value, text: &str) -> Result<(), Mismatch> {
        let (Some(schema), Some(input)) = (&self.job_type.output_schema, input.as_object()) else {
            return Ok(());
        };
        let filled = placeholder::fill(schema, &self.complete(input));
        let filled = filled.map_err(|pointer| Mismatch::Schema {
            message: format!("needs the input's {pointer}"),
        })?;
        OutputChecker::new().check_schema(&filled, text)
    }

    /// The input with the defaults of those properties that it lacks.
    fn complete(&self, input: &Map<String, Value>) -> Map<String, Value> {
        let mut whole = input.clone();
        for (name, default) in &self.properties {
            if let (Some(default), false) = (default, whole.contains_key(name)) {
                whole.insert(name.clone(), default.clone());
            }
        }
        whole
    }
}

/// What is wrong with name, version, model, and the lengths.
fn faults_of_head(job_type: &JobType) -> Vec<FieldError> {
    let name = job_type.name.as_bytes();
    let name_ok = name.first().is_some_and(u8::is_ascii_lowercase)
        && name.len() <= MAX_NAME
        && name
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
    let model_ok = !job_type.model.is_empty() && job_type.model.len() <= MAX_MODEL;
    [
        (
            name_ok,
            "/name",
            "must be a lowercase letter and up to 62 of a-z, 0-9 and _",
        ),
        (job_type.version >= 1, "/version", "must be at least 1"),
        (model_ok, "/model", "must be the name of a model"),
        (
            (1..=MAX_TOKENS).contains(&job_type.max_tokens),
            "/max_tokens",
            "must be from 1 to 300000",
        ),
        (
            job_type.system.len() <= MAX_SYSTEM,
            "/system",
            "is longer than 1000000 bytes",
        ),
        (
            !job_type.template.trim().is_empty(),
            "/template",
            "must not be empty",
        ),
    ]
    .into_iter()
    .filter(|(ok, ..)| !ok)
    .map(|(_, pointer, message)| FieldError::new(pointer, message))
    .collect()
}

fn properties(input_schema: &Value) -> Vec<(String, Option<Value>)> {
    let properties = input_schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.clone(), schema.get("default").cloned()))
        .collect()
}

#[derive(Serialize)]
struct Rest<'a> {
    messages: [Message<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct OutputConfig {
    format: Format,
}

#[derive(Serialize)]
struct Format {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: Value,
}
