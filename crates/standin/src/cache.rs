//! A model of prompt caching: which parts of a prompt are written to a cache and
//! which are read from it follows from the `cache_control` marks, the model's
//! minimum length, the workspace, the time, and a hit rate.
//!
//! A mark covers everything before it, in the order tools, system, messages. The
//! longest marked prefix that is warm is read; what lies between it and the last
//! mark is written. An entry lives 5 minutes or an hour from its last use.
//! Shorter prefixes than the model's minimum are never cached. Prefixes that were
//! not marked are not found, though the real API looks some blocks back.

use std::collections::HashMap;
use std::fmt::Write as _;

use offpeak_anthropic::shape::CacheCreation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::dice::Dice;
use crate::models::Model;
use crate::tokens;

const SHORT: i64 = 300;
const LONG: i64 = 3_600;

/// Warm entries: when each goes cold, in seconds since 1970.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Warm(HashMap<String, i64>);

/// What one prompt reads and writes, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cached {
    pub(crate) read: u64,
    pub(crate) written: CacheCreation,
}

impl Cached {
    pub(crate) fn total(self) -> u64 {
        self.read + self.written_total()
    }

    pub(crate) fn written_total(self) -> u64 {
        self.written.ephemeral_5m_input_tokens + self.written.ephemeral_1h_input_tokens
    }
}

/// The cache as one workspace sees it at one time.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) warm: &'a mut Warm,
    pub(crate) workspace: &'a str,
    /// Seconds since 1970.
    pub(crate) now: i64,
    /// How likely a warm entry is found.
    pub(crate) hit_rate: f64,
    pub(crate) dice: Dice,
}

struct Mark {
    key: String,
    /// Tokens up to here.
    tokens: u64,
    life: i64,
}

impl Warm {
    /// Takes over what another one knows, the later end of each.
    pub(crate) fn absorb(&mut self, other: Self, now: i64) {
        for (key, until) in other.0 {
            let known = self.0.entry(key).or_insert(until);
            *known = until.max(*known);
        }
        self.0.retain(|_, until| *until > now);
    }
}

impl Session<'_> {
    /// Runs one prompt through the cache.
    pub(crate) fn run(&mut self, params: &Value, model: &Model) -> Cached {
        let marks = marks(params, model, self.workspace);
        if marks.is_empty() {
            return Cached::default();
        }
        let found = self.dice.share() < self.hit_rate;
        let is_warm = |mark: &Mark| {
            self.warm
                .0
                .get(&mark.key)
                .is_some_and(|end| *end > self.now)
        };
        let hit = marks.iter().rposition(is_warm).filter(|_| found);
        let mut cached = Cached {
            read: hit.map_or(0, |at| marks[at].tokens),
            ..Cached::default()
        };
        let mut covered = cached.read;
        for (at, mark) in marks.iter().enumerate() {
            if hit.is_none_or(|hit| at > hit) {
                let more = mark.tokens.saturating_sub(covered);
                if mark.life == LONG {
                    cached.written.ephemeral_1h_input_tokens += more;
                } else {
                    cached.written.ephemeral_5m_input_tokens += more;
                }
                covered = covered.max(mark.tokens);
            }
            let until = self.now.saturating_add(mark.life);
            self.warm.0.insert(mark.key.clone(), until);
        }
        cached
    }
}

/// The marked prefixes that are long enough, shortest first.
fn marks(params: &Value, model: &Model, workspace: &str) -> Vec<Mark> {
    // Nearly no prompt has a mark; finding that out should cost nearly nothing.
    if !is_marked(params) {
        return Vec::new();
    }
    let automatic = life(&params["cache_control"]);
    let mut hash = Sha256::new();
    hash.update(workspace);
    hash.update(model.id);
    let mut walk = Walk {
        hash,
        tokens: 0,
        min: model.min_cacheable(),
        marks: Vec::new(),
    };
    for tool in params["tools"].as_array().into_iter().flatten() {
        walk.part(tool, tokens::of_text(&tool.to_string()));
    }
    walk.content(&params["system"]);
    for message in params["messages"].as_array().into_iter().flatten() {
        if let Some(role) = message["role"].as_str() {
            walk.hash.update(role);
        }
        walk.content(&message["content"]);
    }
    if let Some(life) = automatic {
        walk.mark(life);
    }
    walk.marks
}

fn is_marked(params: &Value) -> bool {
    let marked = |part: &Value| !part["cache_control"].is_null();
    let any = |parts: &Value| {
        parts
            .as_array()
            .is_some_and(|parts| parts.iter().any(marked))
    };
    let messages = params["messages"].as_array();
    marked(params)
        || any(&params["tools"])
        || any(&params["system"])
        || messages.is_some_and(|all| all.iter().any(|message| any(&message["content"])))
}

struct Walk {
    hash: Sha256,
    tokens: u64,
    min: u64,
    marks: Vec<Mark>,
}

impl Walk {
    fn content(&mut self, content: &Value) {
        match content {
            Value::String(text) => {
                self.hash.update(text);
                self.tokens += tokens::of_text(text);
            }
            Value::Array(blocks) => {
                for block in blocks {
                    self.part(block, tokens::of_block(block));
                }
            }
            _ => {}
        }
    }

    fn part(&mut self, part: &Value, tokens: u64) {
        let control = &part["cache_control"];
        if control.is_null() {
            self.hash.update(part.to_string());
        } else {
            let mut bare = part.clone();
            if let Some(fields) = bare.as_object_mut() {
                fields.shift_remove("cache_control");
            }
            self.hash.update(bare.to_string());
        }
        self.tokens += tokens;
        if let Some(life) = life(control) {
            self.mark(life);
        }
    }

    fn mark(&mut self, life: i64) {
        if self.tokens < self.min {
            return;
        }
        let digest = self.hash.clone().finalize();
        let mut key = String::with_capacity(24);
        for byte in digest.iter().take(12) {
            // Writing to a String cannot fail.
            let _ok = write!(key, "{byte:02x}");
        }
        self.marks.push(Mark {
            key,
            tokens: self.tokens,
            life,
        });
    }
}

fn life(control: &Value) -> Option<i64> {
    (control["type"] == "ephemeral").then(|| if control["ttl"] == "1h" { LONG } else { SHORT })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models;

    fn run(warm: &mut Warm, now: i64, hit_rate: f64, params: &Value) -> (u64, u64, u64) {
        let mut session = Session {
            warm,
            workspace: "w",
            now,
            hit_rate,
            dice: Dice::new(1, &["test"]),
        };
        let model = models::find("claude-haiku-5-5").unwrap();
        let cached = session.run(params, model);
        let written = cached.written;
        (
            cached.read,
            written.ephemeral_5m_input_tokens,
            written.ephemeral_1h_input_tokens,
        )
    }

    fn prompt(prefix: usize, question: &str, ttl: Option<&str>) -> Value {
        let mut control = json!({ "type": "ephemeral" });
        if let Some(ttl) = ttl {
            control["ttl"] = ttl.into();
        }
        json!({
            "system": [{ "type": "text", "text": "x".repeat(prefix * 4), "cache_control": control }],
            "messages": [{ "role": "user", "content": question }],
        })
    }

    #[test]
    fn written_once_then_read_until_it_goes_cold() {
        let mut warm = Warm::default();
        let mut ask = |now, question: &str| run(&mut warm, now, 1.0, &prompt(600, question, None));
        assert_eq!(ask(0, "a"), (0, 600, 0));
        assert_eq!(ask(299, "b"), (600, 0, 0));
        assert_eq!(ask(598, "b"), (600, 0, 0), "use keeps it warm");
        assert_eq!(ask(898, "b"), (0, 600, 0));
        assert_eq!(
            run(&mut warm, 898, 0.0, &prompt(600, "c", None)),
            (0, 600, 0)
        );
        assert_eq!(
            run(&mut warm, 898, 1.0, &prompt(600, "c", Some("1h"))),
            (600, 0, 0)
        );
        assert_eq!(
            run(&mut warm, 4_000, 1.0, &prompt(600, "c", None)),
            (600, 0, 0)
        );
    }

    #[test]
    fn too_short_is_not_cached_and_marks_are_steps() {
        let mut warm = Warm::default();
        assert_eq!(run(&mut warm, 0, 1.0, &prompt(511, "a", None)), (0, 0, 0));
        let mut params = prompt(600, "a", Some("1h"));
        params["cache_control"] = json!({ "type": "ephemeral" });
        params["messages"][0]["content"] = "y".repeat(400).into();
        assert_eq!(run(&mut warm, 0, 1.0, &params), (0, 100, 600));
        params["messages"][0]["content"] = "z".repeat(40).into();
        assert_eq!(run(&mut warm, 0, 1.0, &params), (600, 10, 0));
    }
}
