//! Query parameters that may stand several times.

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::refusal::Refusal;

/// The pairs as they came.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let (_, value) = pairs.find(|(key, _)| key == name)?;
        Some(value)
    }

    /// All values of `name[]`, with or without the brackets.
    pub(crate) fn many(&self, name: &str) -> Vec<String> {
        let matching = |key: &str| key.strip_suffix("[]").unwrap_or(key) == name;
        let pairs = self.0.iter().filter(|(key, _)| matching(key));
        pairs.map(|(_, value)| value.clone()).collect()
    }

    /// A number between bounds.
    pub(crate) fn number(&self, name: &str, default: usize, max: usize) -> Result<usize, Refusal> {
        match self.one(name).map(str::parse::<usize>) {
            None => Ok(default),
            Some(Ok(number)) if (1..=max).contains(&number) => Ok(number),
            Some(_) => Err(Refusal::invalid(format!(
                "{name}: Input should be an integer from 1 to {max}"
            ))),
        }
    }

    /// A time, in seconds since 1970.
    pub(crate) fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.one(name) else {
            return Ok(None);
        };
        match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(time) => Ok(Some(time.unix_timestamp())),
            Err(_) => Err(Refusal::invalid(format!(
                "{name}: Input should be a valid datetime"
            ))),
        }
    }

    /// `starting_at`, which every report needs.
    pub(crate) fn start(&self) -> Result<i64, Refusal> {
        self.time("starting_at")?
            .ok_or_else(|| Refusal::invalid("starting_at: Field required"))
    }

    /// The `group_by[]` dimensions, all of which must be among these.
    pub(crate) fn groups(&self, allowed: &[&str]) -> Result<Vec<String>, Refusal> {
        let groups = self.many("group_by");
        match groups
            .iter()
            .find(|group| !allowed.contains(&group.as_str()))
        {
            Some(group) => Err(Refusal::invalid(format!(
                "group_by: '{group}' is not a dimension of this report"
            ))),
            None => Ok(groups),
        }
    }

    /// The filters that are set, of those that there are.
    pub(crate) fn filters(
        &self,
        known: &[(&str, &'static str)],
    ) -> Vec<(&'static str, Vec<String>)> {
        known
            .iter()
            .map(|(parameter, dimension)| (*dimension, self.many(parameter)))
            .filter(|(_, values)| !values.is_empty())
            .collect()
    }
}
