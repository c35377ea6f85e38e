//! A tenant's own Anthropic key: what it may look like, and where it stands.

use std::ops::RangeInclusive;

use secrecy::{ExposeSecret as _, SecretString};

use crate::label::labels;

/// Characters of a key.
const LENGTH: RangeInclusive<usize> = 16..=512;

labels! {
    /// Where a key stands that a tenant has set.
    pub enum State as "state of a key", as_str {
        /// A worker has still to ask Anthropic whether it is good.
        Checking = "checking",
        /// The tenant's jobs go by it.
        Current = "current",
        /// Anthropic does not take it, or it does not fit what is under way.
        Refused = "refused",
        /// Another one took its place.
        Replaced = "replaced",
        /// It was removed.
        Removed = "removed",
    }
}

/// A text that is no key, whatever Anthropic would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an Anthropic key is 16 to 512 characters without spaces, such as sk-ant-api03-…: copy it \
     from Anthropic's console"
)]
pub struct Malformed;

/// A key of Anthropic's, as it was copied; white space around it is taken off.
#[derive(Clone, Debug)]
pub struct UpstreamKey(SecretString);

impl UpstreamKey {
    /// Reads one. Only its form is judged.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        let good = LENGTH.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        // What this server itself gives out is none of Anthropic's.
        if !good || text.starts_with("ofp_") {
            return Err(Malformed);
        }
        Ok(Self(SecretString::from(text)))
    }

    /// In clear, to be sealed or sent.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// Its last four characters, which may be shown.
    pub fn last_four(&self) -> &str {
        let text = self.0.expose_secret();
        &text[text.len() - 4..]
    }
}

#[cfg(test)]
mod tests {
    use super::UpstreamKey;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_key_is_read_as_it_was_copied() {
        let key = UpstreamKey::parse(" sk-ant-api03-abcdWXYZ\n").unwrap();
        assert_eq!(key.secret().expose_secret(), "sk-ant-api03-abcdWXYZ");
        assert_eq!(key.last_four(), "WXYZ");
        assert!(!format!("{key:?}").contains("WXYZ"));
        for text in [
            "",
            "sk-ant-short",
            "sk-ant-api03-with space",
            "sk-ant-äöü-0123456789",
            "ofp_live_00000000000000000000000000000000",
        ] {
            assert!(UpstreamKey::parse(text).is_err(), "{text}");
        }
        assert!(UpstreamKey::parse(&"a".repeat(513)).is_err());
    }
}
