use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context as _;

/// The process's environment as it was at the start, passed on as a value so
/// that tests give their own.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Reads it; once, in `main`.
    pub fn read() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// One with exactly these variables.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// A variable's text; unset and empty are both `None`.
    pub fn text(&self, name: &str) -> anyhow::Result<Option<String>> {
        match self.0.get(std::ffi::OsStr::new(name)) {
            Some(value) if !value.is_empty() => value
                .to_str()
                .map(|text| Some(text.to_owned()))
                .with_context(|| format!("{name} is not UTF-8")),
            _ => Ok(None),
        }
    }

    /// Names that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.0
            .keys()
            .filter_map(|name| name.to_str())
            .filter(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .collect()
    }

    /// A variable as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// A variable as it stands.
    pub fn raw(&self, name: &str) -> Option<OsString> {
        self.0.get(std::ffi::OsStr::new(name)).cloned()
    }
}
