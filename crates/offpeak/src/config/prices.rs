//! `[prices]`: the price list that everything is priced by.

use std::path::PathBuf;

use anyhow::Context as _;
use offpeak_domain::price;
use serde::Deserialize;

/// `[prices]`
#[derive(Clone, Debug, Deserialize)]
pub struct Prices {
    /// A list that goes over the shipped one; empty for none.
    pub file: PathBuf,
    /// Models without a price may be asked for.
    pub allow_unknown: bool,
}

impl Prices {
    /// The shipped list with the operator's over it, or what is wrong with that:
    /// the file, the model and the field.
    pub fn list(&self) -> anyhow::Result<price::Prices> {
        let list = if self.file.as_os_str().is_empty() {
            price::Prices::shipped().context("the built-in price list")?
        } else {
            let path = self.file.display();
            let own = std::fs::read_to_string(&self.file).with_context(|| {
                format!("prices.file (OFFPEAK_PRICES_FILE): cannot read {path}")
            })?;
            price::Prices::overlaid(&own).with_context(|| path.to_string())?
        };
        Ok(list.allowing_unknown(self.allow_unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment};

    fn list(text: &str) -> anyhow::Result<offpeak_domain::price::Prices> {
        let scratch = tempfile::tempdir()?;
        let path = scratch.path().join("own.toml");
        std::fs::write(&path, text)?;
        let file = path.to_string_lossy().into_owned();
        let config = Config::read(None, &Environment::of(&[("OFFPEAK_PRICES_FILE", &file)]))?;
        config
            .prices
            .list()
            .map_err(|error| anyhow::anyhow!(format!("{error:#}").replace(&*file, "own.toml")))
    }

    #[test]
    fn a_file_of_ones_own_goes_over_the_shipped_list() {
        let own = "[[model]]\nid = 'claude-mythos-5-2'\nprice = [{ input = '8', output = '40' }]";
        let prices = list(own).unwrap();
        assert!(prices.admits("claude-mythos-5-2") && prices.admits("claude-haiku-5-5"));
        assert!(!prices.admits("claude-mythos-6"));
        let allowed = [("OFFPEAK_PRICES_ALLOW_UNKNOWN", "true")];
        let config = Config::read(None, &Environment::of(&allowed)).unwrap();
        assert!(config.prices.list().unwrap().admits("claude-mythos-6"));
    }

    #[test]
    fn says_which_file_model_and_field_is_wrong() {
        let wrong = |text| list(text).unwrap_err().to_string();
        insta::assert_snapshot!(wrong("[[model]]\nid = 'm'\nprice = [{ input = '1', output = 'much' }]"), @r#"own.toml: m: price.output: "much" cannot be held exactly: expected a plain decimal number of dollars, such as 12.5"#);
        let gone = Config::read(
            None,
            &Environment::of(&[("OFFPEAK_PRICES_FILE", "gone.toml")]),
        );
        let error = gone.unwrap().prices.list().unwrap_err();
        assert_eq!(
            error.to_string(),
            "prices.file (OFFPEAK_PRICES_FILE): cannot read gone.toml"
        );
    }
}
