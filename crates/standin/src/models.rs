//! The models that the stand-in knows, and the rules that depend on them. Release
//! dates are only as good as the order that they give.

use offpeak_anthropic::shape::ModelInfo;
use serde_json::json;
use time::macros::date;
use time::{Date, OffsetDateTime, Time};

/// One model.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) id: &'static str,
    alias: &'static str,
    name: &'static str,
    line: &'static str,
    /// Major and minor version as one number: 4.5 is 45.
    generation: u16,
    released: Date,
    retires: Option<Date>,
    pub(crate) max_input: u64,
    pub(crate) max_output: u64,
    /// May answer with up to 300,000 tokens in a batch.
    pub(crate) long_output: bool,
}

const M: u64 = 1_000_000;
const K: u64 = 1_000;

macro_rules! model {
    ($id:literal = $alias:literal, $name:literal, $line:literal $generation:literal, $released:expr, $input:expr, $output:expr, $long:literal) => {
        Model {
            id: $id,
            alias: $alias,
            name: $name,
            line: $line,
            generation: $generation,
            released: $released,
            retires: None,
            max_input: $input,
            max_output: $output,
            long_output: $long,
        }
    };
}

/// Newest first.
static MODELS: [Model; 18] = [
    model!("claude-fable-5-2" = "", "Claude Fable 5.2", "fable" 52, date!(2026-11-09), M, 128 * K, false),
    model!("claude-mythos-5-2" = "", "Claude Mythos 5.2", "mythos" 52, date!(2026-11-09), M, 128 * K, false),
    model!("claude-haiku-5-5" = "", "Claude Haiku 5.5", "haiku" 55, date!(2026-10-07), M, 128 * K, true),
    model!("claude-sonnet-5-5" = "", "Claude Sonnet 5.5", "sonnet" 55, date!(2026-09-22), M, 128 * K, true),
    model!("claude-opus-5-5" = "", "Claude Opus 5.5", "opus" 55, date!(2026-09-15), M, 128 * K, true),
    model!("claude-fable-5-1" = "", "Claude Fable 5.1", "fable" 51, date!(2026-08-25), M, 128 * K, false),
    model!("claude-mythos-5-1" = "", "Claude Mythos 5.1", "mythos" 51, date!(2026-08-25), M, 128 * K, false),
    model!("claude-fable-5" = "", "Claude Fable 5", "fable" 50, date!(2026-07-14), M, 128 * K, false),
    model!("claude-mythos-5" = "", "Claude Mythos 5", "mythos" 50, date!(2026-07-14), M, 128 * K, false),
    model!("claude-opus-5" = "", "Claude Opus 5", "opus" 50, date!(2026-06-30), M, 128 * K, true),
    model!("claude-sonnet-5" = "", "Claude Sonnet 5", "sonnet" 50, date!(2026-06-16), M, 128 * K, true),
    model!("claude-opus-4-8" = "", "Claude Opus 4.8", "opus" 48, date!(2026-05-19), M, 128 * K, true),
    model!("claude-opus-4-7" = "", "Claude Opus 4.7", "opus" 47, date!(2026-04-16), M, 128 * K, true),
    model!("claude-sonnet-4-6" = "", "Claude Sonnet 4.6", "sonnet" 46, date!(2026-02-17), M, 128 * K, true),
    model!("claude-opus-4-6" = "", "Claude Opus 4.6", "opus" 46, date!(2026-02-05), M, 128 * K, true),
    model!("claude-opus-4-5-20251101" = "claude-opus-4-5", "Claude Opus 4.5", "opus" 45, date!(2025-11-24), 200 * K, 64 * K, false),
    model!("claude-haiku-4-5-20251001" = "claude-haiku-4-5", "Claude Haiku 4.5", "haiku" 45, date!(2025-10-15), 200 * K, 64 * K, false),
    Model {
        retires: Some(date!(2026 - 11 - 30)),
        ..model!("claude-sonnet-4-5-20250929" = "claude-sonnet-4-5", "Claude Sonnet 4.5", "sonnet" 45, date!(2025-09-29), 200 * K, 64 * K, false)
    },
];

/// A model by id or alias.
pub(crate) fn find(id: &str) -> Option<&'static Model> {
    MODELS
        .iter()
        .find(|model| model.id == id || (model.alias == id && !id.is_empty()))
}

/// Every model, newest first.
pub(crate) fn all() -> &'static [Model] {
    &MODELS
}

impl Model {
    /// Sampling parameters are locked (under 2023-06-01; gone since).
    pub(crate) fn locks_sampling(&self) -> bool {
        self.generation > 46
    }

    /// Tokens that a prefix must have to be cached.
    pub(crate) fn min_cacheable(&self) -> u64 {
        match (self.line, self.generation) {
            ("opus" | "haiku", ..=46) => 4_096,
            ("opus", 47) => 2_048,
            ("opus", 48) | ("sonnet", ..=50) => 1_024,
            _ => 512,
        }
    }

    /// `active` or `deprecated`; none is retired yet.
    pub(crate) fn lifecycle(&self) -> &'static str {
        if self.retires.is_some() {
            "deprecated"
        } else {
            "active"
        }
    }

    /// Its family, such as `opus`.
    pub(crate) fn line(&self) -> &'static str {
        self.line
    }

    /// Every name that it answers to.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.id, self.alias]
            .into_iter()
            .filter(|name| !name.is_empty())
    }

    /// An assistant turn at the end is refused.
    pub(crate) fn refuses_prefill(&self) -> bool {
        self.generation >= 46
    }

    /// Whether this form of thinking is refused.
    pub(crate) fn refuses_thinking(&self, form: &str) -> bool {
        match form {
            "enabled" => self.generation >= 47,
            "adaptive" => self.generation <= 45,
            "disabled" => {
                matches!(self.line, "fable" | "mythos")
                    || (self.line == "opus" && self.generation == 55)
            }
            _ => false,
        }
    }

    /// The model as the API shows it.
    pub(crate) fn show(&self) -> ModelInfo {
        let midnight = |date: Date| OffsetDateTime::new_utc(date, Time::MIDNIGHT);
        let yes = json!({ "supported": true });
        let thinking = |form: &str| json!({ "supported": !self.refuses_thinking(form) });
        ModelInfo {
            id: self.id.to_owned(),
            display_name: self.name.to_owned(),
            created_at: midnight(self.released),
            lifecycle: Some(self.lifecycle().to_owned()),
            deprecated_at: self.retires.map(|_| midnight(date!(2026 - 09 - 29))),
            retires_at: self.retires.map(midnight),
            line: Some(self.line.to_owned()),
            max_input_tokens: Some(self.max_input),
            max_tokens: Some(self.max_output),
            capabilities: Some(json!({
                "batch": yes,
                "citations": yes,
                "image_input": yes,
                "pdf_input": yes,
                "structured_outputs": yes,
                "thinking": {
                    "supported": true,
                    "types": { "adaptive": thinking("adaptive"), "enabled": thinking("enabled") },
                },
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_first_and_aliases_resolve() {
        assert!(MODELS.iter().rev().is_sorted_by_key(|model| model.released));
        assert_eq!(
            find("claude-haiku-4-5").map(|model| model.id),
            Some("claude-haiku-4-5-20251001")
        );
        assert!(find("").is_none());
        assert!(find("claude-haiku-5-5").is_some_and(Model::locks_sampling));
    }
}
