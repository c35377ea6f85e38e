//! What is wrong with a result line, and whether what was read of a batch is
//! what Anthropic counted.

use serde::de::IgnoredAny;

use crate::label::labels;
use crate::params::shape::depth;

labels! {
    /// Why a line could not be taken as it came.
    pub enum Flaw as "flaw of a result line", as_str {
        /// Longer than any line may be.
        Oversized = "oversized",
        /// Its bytes are not UTF-8.
        NotUtf8 = "not_utf8",
        /// A NUL byte stands in it.
        Nul = "nul",
        /// It is nested deeper than anything is read.
        TooDeep = "too_deep",
        /// It ends in the middle.
        BrokenOff = "broken_off",
        /// It is no JSON.
        NotJson = "not_json",
        /// It is JSON and no result that this version knows.
        UnknownForm = "unknown_form",
        /// It names no job.
        NoId = "no_id",
        /// It names something that is no job of this batch.
        UnknownId = "unknown_id",
        /// It names a job a second time, and says the same.
        DuplicateId = "duplicate_id",
        /// It differs from the line that gave its job the result.
        Conflict = "conflict",
        /// The database refused what stands in it.
        Refused = "refused",
    }
}

/// Levels that the reader of JSON goes down.
const DEEPEST: usize = 128;

impl Flaw {
    /// What is wrong with a line that could not be read as a result. It walks
    /// the line and never descends into it.
    pub fn of_unreadable(line: &[u8]) -> Self {
        if let Err(error) = std::str::from_utf8(line) {
            return match error.error_len() {
                Some(_) => Self::NotUtf8,
                None => Self::BrokenOff,
            };
        }
        if line.contains(&0) {
            return Self::Nul;
        }
        if is_too_deep(line) {
            return Self::TooDeep;
        }
        match serde_json::from_slice::<IgnoredAny>(line) {
            Ok(IgnoredAny) => Self::UnknownForm,
            Err(error) if error.is_eof() => Self::BrokenOff,
            Err(_) => Self::NotJson,
        }
    }
}

/// Whether a line is nested deeper than anything is read, also where this program
/// passes on what it does not look into.
pub fn is_too_deep(line: &[u8]) -> bool {
    // Counting is so much faster than following that nearly no line is followed.
    let opened = line.iter().filter(|byte| matches!(byte, b'[' | b'{'));
    opened.count() > DEEPEST && depth(line) > DEEPEST
}

/// How many requests of a batch came out in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// With a message.
    pub succeeded: u64,
    /// With an error.
    pub errored: u64,
    /// Canceled before they ran.
    pub canceled: u64,
    /// Not run in time.
    pub expired: u64,
}

/// The lines of one whole download: each job once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines that say how their job came out.
    pub said: Counts,
    /// Lines that name a job and cannot be read.
    pub unreadable: u64,
}

impl Tally {
    /// Jobs that have a line.
    pub fn jobs(&self) -> u64 {
        self.said.total().saturating_add(self.unreadable)
    }

    /// Whether this is what Anthropic counted for a batch of so many requests.
    ///
    /// No line is held back or taken for the sake of a count: the lines say what
    /// happened to each job, a count only that somebody ought to look. A line
    /// that cannot be read may be of any kind. With fewer lines than requests
    /// (the others were read before) only the sum can be compared.
    pub fn agrees(&self, items: u64, counted: Counts) -> bool {
        if counted.total() != items {
            return false;
        }
        let all = self.jobs() == items;
        let within = [
            (self.said.succeeded, counted.succeeded),
            (self.said.errored, counted.errored),
            (self.said.canceled, counted.canceled),
            (self.said.expired, counted.expired),
        ]
        .iter()
        .all(|(read, counted)| read <= counted);
        self.jobs() < items || (all && within)
    }
}

impl Counts {
    /// All of them.
    pub fn total(&self) -> u64 {
        [self.succeeded, self.errored, self.canceled, self.expired]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Flaw, Tally};

    #[test]
    fn each_flaw_has_its_name() {
        let bomb = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        let unclosed = b"[".repeat(100_000);
        let table: [(&[u8], Flaw); 9] = [
            (
                b"{\"custom_id\":\"a\",\"result\":\"\xc3\x28\"}",
                Flaw::NotUtf8,
            ),
            (b"{\"custom_id\":\"\xe2\x80", Flaw::BrokenOff),
            (b"{\"a\":\"\0\"}", Flaw::Nul),
            (&bomb, Flaw::TooDeep),
            (&unclosed, Flaw::TooDeep),
            (b"{\"custom_id\":\"a\",\"resu", Flaw::BrokenOff),
            (b"upstream connect error", Flaw::NotJson),
            (b"{\"a\":\"[[[\\\"[[\"}", Flaw::UnknownForm),
            (b"\xef\xbb\xbf{}", Flaw::NotJson),
        ];
        for (line, flaw) in table {
            let start = String::from_utf8_lossy(&line[..line.len().min(30)]);
            assert_eq!(Flaw::of_unreadable(line), flaw, "{start}");
        }
    }

    #[test]
    fn counts_are_compared_and_never_believed_more_than_lines() {
        let counts = |succeeded, errored, canceled, expired| Counts {
            succeeded,
            errored,
            canceled,
            expired,
        };
        let tally = |said, unreadable| Tally { said, unreadable };
        for (read, counted, agrees) in [
            (tally(counts(5, 0, 0, 0), 0), counts(5, 0, 0, 0), true),
            (tally(counts(2, 1, 1, 1), 0), counts(2, 1, 1, 1), true),
            // Too many, too few (negative ones are read as none).
            (tally(counts(5, 0, 0, 0), 0), counts(6, 0, 0, 0), false),
            (tally(counts(5, 0, 0, 0), 0), counts(0, 0, 0, 0), false),
            // The sum is right and the kinds are not.
            (tally(counts(4, 1, 0, 0), 0), counts(5, 0, 0, 0), false),
            // A line that nobody can read may have been any of them.
            (tally(counts(4, 0, 0, 0), 1), counts(5, 0, 0, 0), true),
            (tally(counts(4, 0, 0, 0), 1), counts(3, 2, 0, 0), false),
            // Read in two goes: the last one shows a part.
            (tally(counts(3, 0, 0, 0), 0), counts(5, 0, 0, 0), true),
            (tally(counts(6, 0, 0, 0), 0), counts(5, 0, 0, 0), false),
        ] {
            assert_eq!(read.agrees(5, counted), agrees, "{read:?} of {counted:?}");
        }
    }
}
