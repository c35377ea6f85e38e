//! How far somebody has read in a tenant's stream of events.

use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderName, HeaderValue};
use offpeak_store::stream::Head;

/// Of answers that show jobs: what they show holds at least every event up to it.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("offpeak-cursor");

/// A place in a tenant's stream, `epoch.seq`; opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveCursor {
    /// As in [`Head::epoch`]: letters and digits.
    pub(crate) epoch: String,
    /// The number of the last event that was read; 0 before the first.
    pub(crate) seq: u64,
}

impl LiveCursor {
    /// The header that says so. To be read in the same transaction as what the
    /// answer shows, and before it: what is committed in between is then shown,
    /// and told once more, but never left out of both.
    pub(crate) fn header(&self) -> [(HeaderName, HeaderValue); 1] {
        let value = HeaderValue::from_str(&self.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        [(HEADER, value)]
    }
}

impl From<Head> for LiveCursor {
    fn from(head: Head) -> Self {
        Self {
            epoch: head.epoch,
            seq: head.seq,
        }
    }
}

impl fmt::Display for LiveCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// A text that no server gave as a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor that this server gave")]
pub(crate) struct Malformed;

impl FromStr for LiveCursor {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (epoch, seq) = text.split_once('.').ok_or(Malformed)?;
        let is_word = |word: &str| (1..=32).contains(&word.len());
        if !is_word(epoch) || !epoch.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Malformed);
        }
        // One spelling only: no sign, no zeros in front.
        let number: u64 = seq.parse().map_err(|_| Malformed)?;
        if number.to_string() != seq {
            return Err(Malformed);
        }
        Ok(Self {
            epoch: epoch.to_owned(),
            seq: number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{LiveCursor, Malformed};

    #[test]
    fn a_cursor_reads_back() {
        for text in ["1f0c9a3e.0", "1f0c9a3e.41", "a.18446744073709551615"] {
            let cursor: LiveCursor = text.parse().unwrap();
            assert_eq!(cursor.to_string(), text);
            assert_eq!(cursor.header()[0].1, text);
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "",
            ".",
            "41",
            ".41",
            "1f0c9a3e.",
            "1f0c9a3e.-1",
            "1f0c9a3e.+1",
            "1f0c9a3e.01",
            "1f0c9a3e.1.2",
            "1f0c 9a3e.1",
            "é.1",
            "a.18446744073709551616",
        ] {
            assert_eq!(text.parse::<LiveCursor>(), Err(Malformed), "{text}");
        }
    }
}
