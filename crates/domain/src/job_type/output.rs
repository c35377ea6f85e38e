//! Whether an answer fits the output schema that its own request asked for.

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::schema;
use crate::FieldError;

/// How an answer breaks its schema. It quotes nothing of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The answer is not JSON at all.
    #[error("the answer is not JSON: {0}")]
    NotJson(FieldError),
    /// It is JSON of another form. Only the rule is named: field names and
    /// permitted values come from the prompt or the answer.
    #[error("the answer breaks the rule {rule:?} of its schema")]
    Broken {
        /// The keyword of the schema, such as `required` or `enum`.
        rule: String,
    },
    /// The schema itself cannot be used, so no answer can be said to fit it.
    #[error("the output schema {message}")]
    Schema {
        /// What is wrong with it.
        message: String,
    },
}

/// Checks the text of an answer against the schema in the params (a Messages
/// body) that asked for it; `None` if they ask for none.
///
/// For many results in a row, an [`OutputChecker`] does the same faster.
pub fn check_output_against(params: &[u8], text: &str) -> Option<Result<(), Mismatch>> {
    OutputChecker::new().check(params, text)
}

/// Checks answers, and keeps the last schema compiled: the jobs of a batch
/// often share one.
#[derive(Debug, Default)]
pub struct OutputChecker {
    last: Option<(String, Result<Validator, String>)>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    output_config: Option<OutputConfig<'a>>,
}

#[derive(Deserialize)]
struct OutputConfig<'a> {
    #[serde(borrow)]
    format: Option<Format<'a>>,
}

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(borrow)]
    schema: &'a RawValue,
}

impl OutputChecker {
    /// A checker that has seen no schema yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`check_output_against`].
    pub fn check(&mut self, params: &[u8], text: &str) -> Option<Result<(), Mismatch>> {
        // Params that cannot be read ask for no schema that we could know.
        let params: Params<'_> = serde_json::from_slice(params).ok()?;
        let schema = params.output_config?.format?.schema.get();
        Some(self.judge(schema, text))
    }

    /// Checks against a schema at hand.
    pub(super) fn check_schema(&mut self, schema: &Value, text: &str) -> Result<(), Mismatch> {
        self.judge(&schema.to_string(), text)
    }

    fn judge(&mut self, schema: &str, text: &str) -> Result<(), Mismatch> {
        if self.last.as_ref().is_some_and(|(known, _)| known != schema) {
            self.last = None;
        }
        let fresh = || (schema.to_owned(), compile(schema));
        let (_, compiled) = self.last.get_or_insert_with(fresh);
        let validator = compiled.as_ref().map_err(|message| Mismatch::Schema {
            message: message.clone(),
        })?;
        let answer: Value = serde_json::from_str(text)
            .map_err(|error| Mismatch::NotJson(FieldError::syntax(&error)))?;
        validator
            .validate(&answer)
            .map_err(|error| Mismatch::Broken {
                rule: error.kind().keyword().to_owned(),
            })
    }
}

fn compile(schema: &str) -> Result<Validator, String> {
    let schema = serde_json::from_str(schema).map_err(|_| "is nested too deeply".to_owned())?;
    // Where it is wrong would quote the schema's own names.
    schema::compile(&schema).map_err(|error| error.message)
}
