//! Who somebody is, as the identity server says it.

use sha2::{Digest, Sha256};

/// Characters of an address, at most.
const MAX_ADDRESS: usize = 254;

/// Somebody at an identity server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the issuer and of their subject there: what never changes of them, and
    /// is given to nobody else.
    pub digest: [u8; 32],
    /// Their address, if the server says that it verified it: in lower case, of ASCII.
    pub address: Option<String>,
}

impl Identity {
    pub(crate) fn new(issuer: &str, subject: &str, address: Option<&str>, verified: bool) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"offpeak.identity.1");
        for text in [issuer, subject] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        Self {
            digest: hash.finalize().into(),
            address: address
                .filter(|address| verified && is_address(address))
                .map(str::to_ascii_lowercase),
        }
    }
}

/// Whether a text may be compared with the name of a person. Beyond ASCII, letters that
/// are not the same become the same in lower case: such an address could be somebody
/// else's.
fn is_address(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
    text.len() <= MAX_ADDRESS
        && text
            .split_once('@')
            .is_some_and(|(who, at)| part(who) && part(at) && !at.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::{Identity, is_address};

    #[test]
    fn an_address_counts_when_it_was_verified_and_can_be_no_others() {
        let of = |address, verified| Identity::new("i", "s", address, verified).address;
        assert_eq!(
            of(Some("Ada@Example.com"), true).as_deref(),
            Some("ada@example.com")
        );
        assert_eq!(of(Some("ada@example.com"), false), None);
        assert_eq!(of(None, true), None);
        // U+212A is a `k` in lower case.
        assert_eq!(of(Some("\u{212a}im@example.com"), true), None);
        for wrong in ["", "ada", "@example.com", "ada@", "a@b@c", "a b@c", "a@b\n"] {
            assert!(!is_address(wrong), "{wrong}");
        }
        assert!(!is_address(&format!("a@{}", "b".repeat(253))));
    }

    #[test]
    fn nobody_is_somebody_else() {
        let digest = |issuer, subject| Identity::new(issuer, subject, None, false).digest;
        assert_eq!(digest("i", "s"), digest("i", "s"));
        // Nothing flows from one into the other, and case counts.
        for (issuer, subject) in [("is", ""), ("", "is"), ("i", "S"), ("i", "s/"), ("j", "s")] {
            assert_ne!(digest("i", "s"), digest(issuer, subject));
        }
    }
}
