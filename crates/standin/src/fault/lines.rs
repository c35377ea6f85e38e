//! Damage to result lines: what it is, and on which lines it falls.

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// Lines of a results download that are damaged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineFault {
    /// How.
    pub what: Damage,
    /// Which lines, counted from 0. None and no `chance`: the first one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u64>,
    /// How likely each line is damaged, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// Bytes of an `oversize` line, levels of `depth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The `custom_id`s of `unknown` lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

/// How a line is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// It is missing.
    Missing,
    /// It stands there twice.
    Duplicate,
    /// A second line gives the same `custom_id` another result.
    Conflict,
    /// A line with a `custom_id` that nobody sent stands before it.
    Unknown,
    /// It breaks off in the middle, without a newline, and the file ends there.
    Truncate,
    /// It breaks off in the middle, with a newline, and the file ends there.
    TruncateNewline,
    /// The newline at its end is missing, and the file ends there.
    NoNewline,
    /// The connection breaks in the middle of it.
    Reset,
    /// It is so many bytes longer (64 MB by default); still valid.
    Oversize,
    /// A NUL byte stands in it, which no JSON may hold.
    Nul,
    /// Its text holds an escaped NUL, which JSON may.
    NulEscape,
    /// Its text holds half of a surrogate pair.
    LoneSurrogate,
    /// Its text holds U+2028, which is no end of a line.
    LineSeparator,
    /// Its text holds bytes that are not UTF-8.
    BadUtf8,
    /// A byte order mark stands before it.
    Bom,
    /// It ends in CR LF.
    Crlf,
    /// An empty line stands before it.
    Blank,
    /// It holds a value that is so many arrays deep (100,000 by default).
    Depth,
    /// It is no JSON.
    Garbage,
    /// Its result has a type that nobody knows.
    ResultType,
    /// Its message holds a block of a type that nobody knows.
    BlockType,
}

impl LineFault {
    /// One kind of damage to one line.
    pub fn new(what: Damage, line: u64) -> Self {
        Self {
            what,
            at: vec![line],
            chance: None,
            size: None,
            ids: Vec::new(),
        }
    }

    /// Whether it falls on this line. `draw` names the download.
    pub(crate) fn falls_on(&self, line: u64, seed: u64, draw: &str) -> bool {
        if self.at.contains(&line) {
            return true;
        }
        match self.chance {
            Some(chance) => {
                let what = format!("{:?}", self.what);
                Dice::new(seed, &["line", draw, &what, &line.to_string()]).share() < chance
            }
            None => self.at.is_empty() && line == 0,
        }
    }
}
