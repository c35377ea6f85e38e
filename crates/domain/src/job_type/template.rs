//! The template of a job type's user message.
//!
//! A value is inserted once and never read as a template. Nothing is escaped:
//! the text is for a model, and must arrive as it is. A rendering has a budget
//! of steps and bytes, so that no template can ask for more time or memory
//! than a large request needs.

use std::collections::BTreeSet;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Map, Value};

/// Longest template in bytes.
const MAX_LEN: usize = 256 * 1024;
/// What one rendering may use: a unit is a step or 64 bytes of text made. The
/// longest request takes a quarter of it.
const FUEL: u64 = 2_000_000;
const NAME: &str = "template";

/// A template that was found good.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
}

impl Template {
    /// Reads a template, or says in one sentence why not.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        if source.len() > MAX_LEN {
            return Err(format!("is longer than {MAX_LEN} bytes"));
        }
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        // `{% if x %}` may ask for what the input lacks; `{{ x }}` may not.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_fuel(Some(FUEL));
        // A tag on a line of its own leaves no empty line behind.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|error| error.kind().to_string())?);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| {
                let line = error.line().unwrap_or(0);
                let detail = error
                    .detail()
                    .map(|detail| format!(": {detail}"))
                    .unwrap_or_default();
                format!("has a {} in line {line}{detail}", error.kind())
            })?;
        Ok(Self { environment })
    }

    /// The variables that it takes from the input.
    pub(super) fn variables(&self) -> BTreeSet<String> {
        let built_in: BTreeSet<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let template = self.environment.get_template(NAME);
        let used = template
            .map(|found| found.undeclared_variables(false))
            .unwrap_or_default();
        used.into_iter()
            .filter(|name| !built_in.contains(name.as_str()))
            .collect()
    }

    /// The text with the properties of `input` put in, or in a few words why
    /// not. The engine's own message may quote a value, so it is not repeated.
    pub(super) fn render(&self, input: &Map<String, Value>) -> Result<String, String> {
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(Serde(input)))
            .map_err(|error| format!("{} in line {}", error.kind(), error.line().unwrap_or(0)))
    }
}
