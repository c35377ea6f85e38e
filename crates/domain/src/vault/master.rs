//! Master keys as text: one a line, or several by commas, each `id:key` with the key as
//! 32 bytes in base64 or hexadecimal. The first one is current.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

use super::{Bytes32, Master, Vault};

/// Why a text is no list of master keys. Says which one, never what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing but white space and comments.
    #[error("no master key: write one as `id:key`, which `offpeak vault key` makes")]
    None,
    /// Without a colon, or with an id that is none.
    #[error(
        "master key {0} is not of the form `id:key`, where the id is 1 to 40 lowercase letters, \
         digits, `-` or `_`"
    )]
    Form(usize),
    /// Not 32 bytes.
    #[error("the master key {0:?} must be 32 bytes in base64 or hexadecimal")]
    Length(String),
    /// The same bytes over and over: nobody draws those.
    #[error("the master key {0:?} is not random: make one with `offpeak vault key`")]
    Weak(String),
    /// Two keys of one id.
    #[error("there are two master keys {0:?}: each needs an id of its own")]
    Twice(String),
}

impl Vault {
    /// Reads master keys. What begins with `#` is a comment.
    pub fn read(text: &SecretString) -> Result<Self, Malformed> {
        let words = text
            .expose_secret()
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default())
            .flat_map(|line| line.split(|c: char| c == ',' || c.is_whitespace()))
            .filter(|word| !word.is_empty());
        let mut masters: Vec<Master> = Vec::new();
        for (number, word) in words.enumerate() {
            let (id, key) = word.split_once(':').ok_or(Malformed::Form(number + 1))?;
            if !is_id(id) {
                return Err(Malformed::Form(number + 1));
            }
            let key = decoded(key).ok_or_else(|| Malformed::Length(id.to_owned()))?;
            if key.iter().all(|byte| *byte == key[0]) {
                return Err(Malformed::Weak(id.to_owned()));
            }
            if masters.iter().any(|there| there.id == id) {
                return Err(Malformed::Twice(id.to_owned()));
            }
            masters.push(Master {
                id: id.to_owned(),
                key: SecretBox::new(Box::new(*key)),
            });
        }
        if masters.is_empty() {
            return Err(Malformed::None);
        }
        Ok(Self { masters })
    }
}

/// A new master key of this id as text, or `None` when that is no id.
pub fn generate(id: &str, mut rng: impl CryptoRng) -> Option<SecretString> {
    if !is_id(id) {
        return None;
    }
    let mut bytes: Zeroizing<Bytes32> = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *bytes);
    let mut text = format!("{id}:");
    STANDARD.encode_string(*bytes, &mut text);
    Some(SecretString::from(text))
}

fn is_id(id: &str) -> bool {
    (1..=40).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn decoded(text: &str) -> Option<Zeroizing<Bytes32>> {
    let bytes = if text.len() == 64 {
        unhexed(text)
    } else {
        let engine = if text.ends_with('=') {
            STANDARD
        } else {
            STANDARD_NO_PAD
        };
        engine.decode(text).ok().map(Zeroizing::new)
    }?;
    bytes.as_slice().try_into().ok().map(Zeroizing::new)
}

fn unhexed(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let digits = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(digits, 16).ok()
        })
        .collect::<Option<Vec<u8>>>()
        .map(Zeroizing::new)
}
