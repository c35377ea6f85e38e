//! How long results that cannot be had are waited for, and when they are given
//! up. They are paid for, so patience costs less than a mistake.

use std::time::Duration;

use time::OffsetDateTime;

/// How long after its creation a batch has ended at the latest.
pub const ENDS_WITHIN: Duration = Duration::from_hours(24);
/// How long Anthropic keeps results, from a batch's creation.
pub const KEPT: Duration = Duration::from_hours(29 * 24);
/// How long after its end at the latest a batch that is neither listed nor known
/// by its id counts as lost. Known batches have been "not found" for a while before.
pub const LOST: Duration = Duration::from_hours(24);

/// Between two reads of a batch that could not be read to its end.
pub const PAUSE: Duration = Duration::from_secs(5);
/// The same, at most, while Anthropic says that it does not know the batch.
const UNKNOWN: Duration = Duration::from_mins(15);
/// The same, at most, while lines are missing that Anthropic counts.
const COUNTED: Duration = Duration::from_hours(6);

/// What is known of an ended batch.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// When it ended, or was written down as ended.
    pub ended_at: OffsetDateTime,
    /// When it had to end at the latest.
    pub expires_at: OffsetDateTime,
    /// Its requests as Anthropic counted them when it was seen to end; zero when
    /// it never was.
    pub counted: u64,
}

impl Facts {
    /// Whether Anthropic has deleted the results by `now`.
    pub fn is_past_keeping(&self, now: OffsetDateTime) -> bool {
        now > self.expires_at + KEPT.saturating_sub(ENDS_WITHIN)
    }

    /// When to read again what Anthropic says it does not know; `None` = never,
    /// it is gone.
    ///
    /// That alone is believed only when the results are deleted anyway: known
    /// batches are "not found" for minutes now and then. Before, the list has to
    /// say the same, which is how a batch came to count as ended that nobody saw
    /// end: so late, and without any count.
    pub fn unknown(&self, now: OffsetDateTime) -> Option<Duration> {
        let never_seen = self.counted == 0 && self.ended_at > self.expires_at + LOST;
        if never_seen || self.is_past_keeping(now) {
            return None;
        }
        let age = Duration::try_from(now - self.ended_at).unwrap_or_default();
        Some((age / 20).clamp(PAUSE, UNKNOWN))
    }
}

/// The pause after so many whole downloads (at least 1) that left jobs out:
/// seconds, and hours in the end while Anthropic counts more lines than the last
/// one showed.
pub fn pause(short_reads: u32, counted: u64, shown: u64) -> Duration {
    if counted > shown {
        let times = 15_u32.saturating_pow(short_reads.saturating_sub(1));
        PAUSE.saturating_mul(times).min(COUNTED)
    } else {
        PAUSE * short_reads.min(60)
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, pause};
    use std::time::Duration;
    use time::macros::datetime;

    const CREATED: time::OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn hours(hours: u64) -> Duration {
        Duration::from_hours(hours)
    }

    #[test]
    fn not_found_is_believed_late_or_when_the_list_agrees() {
        let minutes = |minutes| Some(Duration::from_mins(minutes));
        // Hours after the creation: of the end, of the read; counted; what is done.
        for (ended, now, counted, done) in [
            (1, 1, 5, Some(super::PAUSE)),
            (1, 3, 5, minutes(6)),
            (1, 50, 5, minutes(15)),
            (24, 29 * 24, 5, minutes(15)),
            (24, 29 * 24 + 1, 5, None),
            // Seen to end without counts: they may be wrong.
            (24, 50, 0, minutes(15)),
            // Never seen to end; too early for that, and then not.
            (48, 50, 0, minutes(6)),
            (49, 50, 0, None),
            (49, 50, 5, minutes(3)),
        ] {
            let facts = Facts {
                ended_at: CREATED + hours(ended),
                expires_at: CREATED + hours(24),
                counted,
            };
            let found = facts.unknown(CREATED + hours(now));
            assert_eq!(found, done, "{ended} {now} {counted}");
        }
    }

    #[test]
    fn pauses_grow_to_hours_while_lines_are_counted() {
        let seconds =
            |counted| [1, 2, 3, 4, 5, 50, u32::MAX].map(|n| pause(n, counted, 4).as_secs());
        assert_eq!(seconds(4), [5, 10, 15, 20, 25, 250, 300]);
        let grown = [5, 75, 1125, 16_875, 21_600, 21_600, 21_600];
        assert_eq!(seconds(5), grown);
    }
}
