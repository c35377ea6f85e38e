//! A script: everything that a stand-in is to do differently, in one file.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::behavior::Behavior;
use crate::fault::Faults;

/// What a script file says, as TOML or JSON. Whatever is left out stays as usual.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// In place of the stand-in's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How long batches take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turnaround: Option<Turnaround>,
    /// How it behaves where it could behave in another way.
    pub behavior: Behavior,
    /// What goes wrong.
    pub faults: Faults,
}

/// How long batches take: drawn evenly from here for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turnaround {
    /// At least so long, in milliseconds.
    pub min_ms: u64,
    /// At most so long, in milliseconds.
    pub max_ms: u64,
}

/// Why a script cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("the script cannot be read")]
    Unreadable(#[from] io::Error),
    /// It is neither TOML nor JSON of the documented form.
    #[error("the script is wrong: {0}")]
    Wrong(String),
}

impl Script {
    /// Reads a script file.
    pub fn read(path: &Path) -> Result<Self, ScriptError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Reads a script: JSON, if it begins with `{`, else TOML.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let wrong = |error: &dyn std::error::Error| ScriptError::Wrong(error.to_string());
        if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| wrong(&error))
        } else {
            toml::from_str(text).map_err(|error| wrong(&error))
        }
    }
}
