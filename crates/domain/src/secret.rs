//! The text of a secret that offpeak gives out, in GitHub's format.
//!
//! A prefix that says what it opens, such as `ofp_live_`, 32 random base62
//! characters (190 bits), and 6 characters that are the CRC-32 of those 32. The
//! underscores let a double click select all of it; the checksum tells a typo
//! or a scanner's false find from a secret without asking the database. The
//! secret itself is shown once and stored only as its SHA-256, which is enough
//! for so many random bits.

use std::fmt;
use std::marker::PhantomData;

use rand::CryptoRng;
use sha2::{Digest, Sha256};

const RANDOM: usize = 32;
const CHECKSUM: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a secret opens.
pub trait Kind {
    /// What its text begins with, including the underscore.
    const PREFIX: &'static str;
    /// What it is called, as in "an API key".
    const ONE: &'static str;
    /// The same, as in "the API key".
    const THIS: &'static str;
}

/// A secret in clear. It cannot be printed by accident: its `Debug` is its
/// hint, and only [`expose`](Self::expose) gives the text.
pub struct Secret<K> {
    text: String,
    kind: PhantomData<fn() -> K>,
}

/// Opens all that is a tenant's, until it is revoked: `ofp_live_…`.
#[derive(Debug)]
pub struct OfTenant;

impl Kind for OfTenant {
    const PREFIX: &'static str = "ofp_live_";
    const ONE: &'static str = "an API key";
    const THIS: &'static str = "the API key";
}

/// Opens the same for the browser of one who signed in with a key, for hours:
/// `ofp_session_…`.
#[derive(Debug)]
pub struct OfSession;

impl Kind for OfSession {
    const PREFIX: &'static str = "ofp_session_";
    const ONE: &'static str = "a session";
    const THIS: &'static str = "the session";
}

/// Opens the jobs of one user or one group to read, for minutes: `ofp_ticket_…`.
#[derive(Debug)]
pub struct OfTicket;

impl Kind for OfTicket {
    const PREFIX: &'static str = "ofp_ticket_";
    const ONE: &'static str = "a ticket";
    const THIS: &'static str = "the ticket";
}

/// Signs one person in, once: `ofp_link_…`.
#[derive(Debug)]
pub struct OfLink;

impl Kind for OfLink {
    const PREFIX: &'static str = "ofp_link_";
    const ONE: &'static str = "a sign-in link's secret";
    const THIS: &'static str = "the sign-in link's secret";
}

/// Goes with one sign-in by an identity server, for minutes: `ofp_signin_…`.
#[derive(Debug)]
pub struct OfSignIn;

impl Kind for OfSignIn {
    const PREFIX: &'static str = "ofp_signin_";
    const ONE: &'static str = "a sign-in's secret";
    const THIS: &'static str = "the sign-in's secret";
}

/// A session's secret.
pub type SessionSecret = Secret<OfSession>;
/// A ticket's secret.
pub type TicketSecret = Secret<OfTicket>;
/// A sign-in link's secret.
pub type LinkSecret = Secret<OfLink>;
/// The secret of a sign-in that is under way.
pub type SignInSecret = Secret<OfSignIn>;

/// A text that is no such secret, whatever the database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not of the form of prefix and 38 letters and digits.
    #[error("{one} is {prefix} and 38 letters and digits")]
    Form {
        /// What was expected, as in "an API key".
        one: &'static str,
        /// What it begins with.
        prefix: &'static str,
    },
    /// Of the right form, with a wrong checksum: mistyped or cut together.
    #[error("{this} is mistyped: its checksum does not match")]
    Checksum {
        /// What was expected, as in "the API key".
        this: &'static str,
    },
}

impl<K: Kind> Secret<K> {
    fn of(text: String) -> Self {
        Self {
            text,
            kind: PhantomData,
        }
    }

    /// A new secret from a random source that is fit for secrets.
    pub fn generate(mut rng: impl CryptoRng) -> Self {
        let mut text = String::with_capacity(K::PREFIX.len() + RANDOM + CHECKSUM);
        text.push_str(K::PREFIX);
        while text.len() < K::PREFIX.len() + RANDOM {
            // Six bits of each byte; 62 and 63 are thrown away, so that every
            // character is equally likely.
            for byte in rng.next_u64().to_le_bytes() {
                if let Some(character) = BASE62.get(usize::from(byte >> 2)) {
                    text.push(char::from(*character));
                }
            }
        }
        text.truncate(K::PREFIX.len() + RANDOM);
        let checksum = checksum(&text[K::PREFIX.len()..]);
        text.push_str(&checksum);
        Self::of(text)
    }

    /// Reads a secret; only its form and checksum are judged.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let form = Malformed::Form {
            one: K::ONE,
            prefix: K::PREFIX,
        };
        let body = text.strip_prefix(K::PREFIX).ok_or(form)?;
        if body.len() != RANDOM + CHECKSUM || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(form);
        }
        let (random, sum) = body.split_at(RANDOM);
        if checksum(random) == sum {
            Ok(Self::of(text.to_owned()))
        } else {
            Err(Malformed::Checksum { this: K::THIS })
        }
    }

    /// The text in clear, to show once or to send.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the text: what is stored, and what a secret is found by.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    /// Prefix and last four characters: enough to tell one's secrets apart, and
    /// fit to be shown and logged.
    pub fn hint(&self) -> String {
        format!("{}…{}", K::PREFIX, &self.text[self.text.len() - 4..])
    }
}

impl<K> Clone for Secret<K> {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            kind: PhantomData,
        }
    }
}

impl<K> PartialEq for Secret<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K> Eq for Secret<K> {}

impl<K: Kind> fmt::Debug for Secret<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.hint())
    }
}

/// CRC-32 in six base62 digits, most significant first.
pub(crate) fn checksum(random: &str) -> String {
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
    use super::{Malformed, SessionSecret, TicketSecret};
    use crate::api_key::ApiKey;
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
            let refused = ApiKey::parse(&typo);
            assert!(
                matches!(refused, Err(Malformed::Checksum { .. })),
                "{at}: {refused:?}"
            );
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
            let refused = ApiKey::parse(text);
            assert!(matches!(refused, Err(Malformed::Form { .. })), "{text}");
        }
    }

    #[test]
    fn debug_shows_the_hint_alone() {
        let key = key(7);
        let last_four = &key.expose()[43..];
        assert_eq!(format!("{key:?}"), format!("Secret(ofp_live_…{last_four})"));
    }

    #[test]
    fn one_kind_is_not_another() {
        let rng = || StdRng::seed_from_u64(3);
        let ticket = TicketSecret::generate(rng());
        let session = SessionSecret::generate(rng());
        assert!(ticket.expose().starts_with("ofp_ticket_"));
        assert!(session.expose().starts_with("ofp_session_"));
        assert_eq!(TicketSecret::parse(ticket.expose()), Ok(ticket.clone()));
        let refused = ApiKey::parse(ticket.expose()).unwrap_err();
        insta::assert_snapshot!(refused, @"an API key is ofp_live_ and 38 letters and digits");
        let refused = TicketSecret::parse(session.expose()).unwrap_err();
        insta::assert_snapshot!(refused, @"a ticket is ofp_ticket_ and 38 letters and digits");
        // The same random part, and still another digest.
        assert_ne!(ticket.digest(), session.digest());
        assert!(!format!("{ticket:?} {session:?}").contains(&ticket.expose()[11..43]));
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
