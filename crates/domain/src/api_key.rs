//! The text of an API key, in GitHub's format.
//!
//! `ofp_live_`, 32 random base62 characters (190 bits), and 6 characters that
//! are the CRC-32 of those 32. The underscores let a double click select all
//! of it; the checksum tells a typo or a scanner's false find from a key
//! without asking the database. The key itself is shown once and stored only
//! as its SHA-256, which is enough for a secret of this many random bits.

use std::fmt;

use rand::CryptoRng;
use sha2::{Digest, Sha256};

const PREFIX: &str = "ofp_live_";
const RANDOM: usize = 32;
const CHECKSUM: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API key in clear. It cannot be printed by accident: its `Debug` is its
/// hint, and only [`expose`](Self::expose) gives the text.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// A text that is no API key, whatever the database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not of the form `ofp_live_` and 38 letters and digits.
    #[error("an API key is ofp_live_ and 38 letters and digits")]
    Form,
    /// Of the right form, with a wrong checksum: mistyped or cut together.
    #[error("the API key is mistyped: its checksum does not match")]
    Checksum,
}

impl ApiKey {
    /// A new key from a random source that is fit for secrets.
    pub fn generate(mut rng: impl CryptoRng) -> Self {
        let mut text = String::with_capacity(PREFIX.len() + RANDOM + CHECKSUM);
        text.push_str(PREFIX);
        while text.len() < PREFIX.len() + RANDOM {
            // Six bits of each byte; 62 and 63 are thrown away, so that every
            // character is equally likely.
            for byte in rng.next_u64().to_le_bytes() {
                if let Some(character) = BASE62.get(usize::from(byte >> 2)) {
                    text.push(char::from(*character));
                }
            }
        }
        text.truncate(PREFIX.len() + RANDOM);
        let checksum = checksum(&text[PREFIX.len()..]);
        text.push_str(&checksum);
        Self(text)
    }

    /// Reads a key; only its form and checksum are judged.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let body = text.strip_prefix(PREFIX).ok_or(Malformed::Form)?;
        if body.len() != RANDOM + CHECKSUM || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Malformed::Form);
        }
        let (random, sum) = body.split_at(RANDOM);
        if checksum(random) == sum {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed::Checksum)
        }
    }

    /// The key in clear, to show once or to send.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the text: what is stored, and what a key is found by.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Prefix and last four characters: enough to tell one's keys apart, and
    /// fit to be shown and logged.
    pub fn hint(&self) -> String {
        format!("{PREFIX}…{}", &self.0[self.0.len() - 4..])
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.hint())
    }
}

/// CRC-32 in six base62 digits, most significant first.
fn checksum(random: &str) -> String {
    let mut rest = crc32fast::hash(random.as_bytes()) as usize;
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest % 62];
        rest /= 62;
    }
    digits.map(char::from).iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{ApiKey, Malformed};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn key(seed: u64) -> ApiKey {
        ApiKey::generate(StdRng::seed_from_u64(seed))
    }

    #[test]
    fn a_generated_key_reads_back() {
        for seed in 0..200 {
            let key = key(seed);
            assert_eq!(key.expose().len(), 47);
            assert_eq!(ApiKey::parse(key.expose()).unwrap(), key);
            assert_ne!(key.digest(), self::key(seed + 1).digest());
        }
    }

    /// The format is an interface: secret scanners check it.
    #[test]
    fn the_checksum_is_crc32_of_the_random_part() {
        let text = format!(
            "ofp_live_{}{}",
            "0".repeat(32),
            super::checksum(&"0".repeat(32))
        );
        insta::assert_snapshot!(text, @"ofp_live_000000000000000000000000000000002wjyrI");
        assert!(ApiKey::parse(&text).is_ok());
    }

    #[test]
    fn any_single_typo_is_told() {
        let good = key(1).expose().to_owned();
        for at in 9..good.len() {
            let other = if &good[at..=at] == "x" { "y" } else { "x" };
            let typo = format!("{}{other}{}", &good[..at], &good[at + 1..]);
            assert_eq!(ApiKey::parse(&typo), Err(Malformed::Checksum), "{at}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let good = key(1).expose().to_owned();
        let test = good.replace("live", "test");
        let accented = format!("{}é", &good[..good.len() - 2]);
        for text in [
            "",
            "sk-ant-api03-x",
            &good[1..],
            &good[..46],
            &test,
            &accented,
        ] {
            assert_eq!(ApiKey::parse(text), Err(Malformed::Form), "{text}");
        }
    }

    #[test]
    fn debug_shows_the_hint_alone() {
        let key = key(7);
        let last_four = &key.expose()[43..];
        assert_eq!(format!("{key:?}"), format!("ApiKey(ofp_live_…{last_four})"));
    }

    /// 6,400 characters: each of the 62 should come about 103 times.
    #[test]
    fn characters_are_evenly_spread() {
        let mut seen = std::collections::BTreeMap::new();
        for seed in 0..200 {
            for character in key(seed).expose()[9..41].chars() {
                *seen.entry(character).or_insert(0_u32) += 1;
            }
        }
        assert_eq!(seen.len(), 62);
        assert!(seen.values().all(|n| (55..160).contains(n)), "{seen:?}");
    }
}
