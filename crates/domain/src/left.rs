//! When a group ends, as past batches tell it.
//!
//! Nothing is known of what goes on inside a message batch. So this is no share of
//! what is done: it is when the open batches are back if they take as long as those
//! before them. The group ends with the last of them.

use std::time::Duration;

use time::OffsetDateTime;

use crate::turnaround::Measured;

/// An open batch of the group, or the one that its waiting jobs are about to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// When Anthropic made it, or the earliest that it may.
    pub since: OffsetDateTime,
    /// How much later than that it may begin: the longest wait for its flush.
    pub flush: Duration,
    /// How long batches like it took; none before enough were measured.
    pub measured: Option<Measured>,
}

/// What may be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// When it ends if each batch takes as long as half of those before it did.
    pub from: OffsetDateTime,
    /// When, if none takes longer than nine tenths of those before it did. Both may be
    /// past.
    pub to: OffsetDateTime,
    /// Past batches like the one that decides `to`.
    pub of: u64,
    /// Whether one has taken longer than nine tenths did.
    pub late: bool,
}

/// When the group ends, with a batch that has ended seen so long after it at the
/// latest. None when nothing is open, or a part is like no batch that was
/// measured often enough.
pub fn left(now: OffsetDateTime, parts: &[Part], seen_after: Duration) -> Option<Left> {
    let mut all = None::<Left>;
    for part in parts {
        let measured = part.measured?;
        let to = part.since + part.flush + measured.nine_tenths + seen_after;
        let one = Left {
            from: part.since + measured.half,
            to,
            of: measured.n,
            late: to <= now,
        };
        all = Some(all.map_or(one, |all| Left {
            from: all.from.max(one.from),
            to: all.to.max(one.to),
            of: if one.to > all.to { one.of } else { all.of },
            late: all.late || one.late,
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::OffsetDateTime;

    use super::{Part, left};
    use crate::turnaround::Measured;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-28 12:00 UTC);

    fn minutes(n: u64) -> Duration {
        Duration::from_mins(n)
    }

    fn measured(half: u64, nine_tenths: u64, n: u64) -> Measured {
        Measured {
            half: minutes(half),
            nine_tenths: minutes(nine_tenths),
            most: minutes(2 * nine_tenths),
            n,
        }
    }

    /// At Anthropic for so many minutes.
    fn runs(age: u64, measured: Option<Measured>) -> Part {
        Part {
            since: NOW - minutes(age),
            flush: Duration::ZERO,
            measured,
        }
    }

    /// Not flushed yet; that takes up to five minutes.
    fn waits(measured: Option<Measured>) -> Part {
        Part {
            flush: minutes(5),
            ..runs(0, measured)
        }
    }

    #[test]
    fn the_last_part_decides_and_nothing_is_made_up() {
        let (usual, slow) = (Some(measured(20, 60, 212)), Some(measured(90, 240, 31)));
        // What is open; in how many minutes from, to, of how many, and whether one is
        // late. A batch is seen to have ended a minute later at the latest.
        for (name, parts, told) in [
            ("nothing open", vec![], None),
            (
                "just begun",
                vec![runs(0, usual)],
                Some((20, 61, 212, false)),
            ),
            (
                "on its way",
                vec![runs(15, usual)],
                Some((5, 46, 212, false)),
            ),
            (
                "past half",
                vec![runs(30, usual)],
                Some((-10, 31, 212, false)),
            ),
            (
                "nearly late",
                vec![runs(60, usual)],
                Some((-40, 1, 212, false)),
            ),
            ("late", vec![runs(61, usual)], Some((-41, 0, 212, true))),
            (
                "very late",
                vec![runs(900, usual)],
                Some((-880, -839, 212, true)),
            ),
            ("waiting", vec![waits(usual)], Some((20, 66, 212, false))),
            (
                "some wait, some run",
                vec![runs(30, usual), waits(usual)],
                Some((20, 66, 212, false)),
            ),
            (
                "the slow one is the last",
                vec![runs(10, slow), runs(0, usual)],
                Some((80, 231, 31, false)),
            ),
            (
                "the slow one is nearly there",
                vec![runs(200, slow), runs(0, usual)],
                Some((20, 61, 212, false)),
            ),
            (
                "one is late",
                vec![runs(100, usual), runs(10, slow)],
                Some((80, 231, 31, true)),
            ),
            ("unlike any", vec![runs(5, None)], None),
            (
                "one of them unlike any",
                vec![runs(0, usual), waits(None)],
                None,
            ),
            (
                "a clock that is ahead",
                vec![Part {
                    since: NOW + minutes(2),
                    ..runs(0, usual)
                }],
                Some((22, 63, 212, false)),
            ),
        ] {
            let found = left(NOW, &parts, minutes(1));
            let found = found.map(|left| {
                let minutes = |at: OffsetDateTime| (at - NOW).whole_minutes();
                (minutes(left.from), minutes(left.to), left.of, left.late)
            });
            assert_eq!(found, told, "{name}");
        }
    }
}
