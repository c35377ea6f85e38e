//! The `custom_id` of one request in one message batch.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::{BatchId, JobId, Malformed, base32};

/// Names a job and the batch it was sent in, so that even a result line that
/// nobody waits for explains itself, and no two attempts share a name.
///
/// Text: `o1_<job>_<batch>` with 26 characters each, inside what Anthropic
/// allows (`^[a-zA-Z0-9_-]{1,64}$`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomId {
    /// The job that is asked for.
    pub job: JobId,
    /// The batch that asks.
    pub batch: BatchId,
}

const PREFIX: &str = "o1_";

impl CustomId {
    /// Length of the text in bytes, always.
    pub const LEN: usize = PREFIX.len() + base32::LEN + 1 + base32::LEN;
}

impl fmt::Display for CustomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (job, batch) = (self.job.as_uuid(), self.batch.as_uuid());
        f.write_str(PREFIX)?;
        f.write_str(base32::encode(job).as_str())?;
        f.write_str("_")?;
        f.write_str(base32::encode(batch).as_str())
    }
}

impl FromStr for CustomId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        parts(text)
            .map(|(job, batch)| Self {
                job: JobId::from_uuid(job),
                batch: BatchId::from_uuid(batch),
            })
            .ok_or(Malformed {
                expected: "o1_<job>_<batch> with 26 characters of base32 each",
            })
    }
}

fn parts(text: &str) -> Option<(Uuid, Uuid)> {
    let (job, batch) = text.strip_prefix(PREFIX)?.split_once('_')?;
    Some((base32::decode(job)?, base32::decode(batch)?))
}

#[cfg(test)]
mod tests {
    use super::{BatchId, CustomId, JobId};
    use proptest::prelude::*;
    use uuid::Uuid;

    proptest! {
        #[test]
        fn text_reads_back(job in any::<u128>(), batch in any::<u128>()) {
            let id = CustomId {
                job: JobId::from_uuid(Uuid::from_u128(job)),
                batch: BatchId::from_uuid(Uuid::from_u128(batch)),
            };
            let text = id.to_string();
            prop_assert_eq!(text.len(), CustomId::LEN);
            prop_assert_eq!(text.parse::<CustomId>(), Ok(id));
        }
    }

    #[test]
    fn names_of_other_programs_are_not_ours() {
        let ours = format!("o1_{}_{}", "0".repeat(26), "1".repeat(26));
        assert_eq!(ours.len(), 56);
        assert!(ours.parse::<CustomId>().is_ok());
        for text in [
            "",
            "my-request-1",
            "o1_",
            "o1_0_1",
            &ours[1..],
            &format!("{ours}_"),
        ] {
            assert!(text.parse::<CustomId>().is_err(), "{text}");
        }
    }
}
