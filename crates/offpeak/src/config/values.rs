//! Settings that are text in the file and something else in the program.

use offpeak_domain::origin::Origin;
use secrecy::SecretString;
use serde::Deserialize as _;

pub(super) fn origin<'de, D>(deserializer: D) -> Result<Option<Origin>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    Origin::parse(&text).map(Some).map_err(|why| {
        serde::de::Error::custom(format!("{text:?} is no address of a server: it {why}"))
    })
}

pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err = String>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

pub(super) fn secret<'de, D>(deserializer: D) -> Result<Option<SecretString>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| SecretString::from(text)))
}
