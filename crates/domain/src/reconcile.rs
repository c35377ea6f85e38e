//! What became of a send whose answer was lost.
//!
//! A create has no idempotency key, and until a message batch ends its
//! contents cannot be read: only workspace, time and count tell it. So the
//! rule is timid. It adopts a stranger only when nothing else could be meant,
//! refutes only after several complete listings over a long time, and waits
//! otherwise; waiting delays jobs, each of the other two can pay twice.

use std::time::Duration;

use time::OffsetDateTime;

/// How far outside the send Anthropic's clock may place the creation.
pub const SKEW: Duration = Duration::from_mins(5);
/// The same where Anthropic does not say what time it is there: nobody's clock
/// is wrong by more.
pub const UNKNOWN_SKEW: Duration = Duration::from_hours(24);
/// Complete listings without a trace that refute a send.
pub const LISTINGS: u32 = 3;

/// Whether a send's time and a batch's are of one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// They are.
    Compared,
    /// Ours and Anthropic's, and nobody knows what they differ by.
    Apart,
}

/// One send that has no clear answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncertain {
    /// Requests in it.
    pub items: u64,
    /// When its first byte may have left.
    pub sent_at: OffsetDateTime,
    /// When its sender had given up at the latest.
    pub deadline: OffsetDateTime,
}

/// One message batch of a complete listing of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// When Anthropic says it was created.
    pub created_at: OffsetDateTime,
    /// Requests in it: the sum of its counts.
    pub total: u64,
    /// Whether it cannot be meant: it is another batch of ours, or its results
    /// were read and name none of our jobs.
    pub known: bool,
    /// Whether another send has recognised it as its own, on no better evidence.
    /// It is not adopted twice, but may be this one's all the same.
    pub guessed: bool,
}

/// The complete listings that were made for this send, the present included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listings {
    /// How many; only those begun after the send's deadline.
    pub count: u32,
    /// When the first of them began.
    pub first: OffsetDateTime,
    /// When the last of them began.
    pub last: OffsetDateTime,
}

/// What to believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The candidate at this index is the one. It stays unverified until a
    /// result line names a job of ours.
    Adopt(usize),
    /// Nothing is certain yet: list again later.
    Wait {
        /// Something is listed that may be it: then none of the listings so far
        /// says that it is absent.
        in_sight: bool,
    },
    /// It was never stored; its jobs are free.
    Refute,
}

/// Decides about `send` after a complete listing that showed `candidates`.
///
/// `alike` counts the other uncertain sends to the same workspace with as many
/// items and an overlapping window: with one of those about, a match proves
/// nothing. `settle` is how long a stored batch could stay out of the list.
///
/// All times are on Anthropic's clock. Ours may be set between the send and a
/// listing, or between two listings, and would then prove what is not so. Where
/// Anthropic does not say what time it is there, the send and the listings are on
/// ours: then whatever was created within a day of the send may be it, and only
/// its lines can tell.
pub fn reconcile(
    send: &Uncertain,
    candidates: &[Candidate],
    alike: usize,
    listings: Option<Listings>,
    settle: Duration,
    clocks: Clocks,
) -> Verdict {
    let is_suspect = |c: &Candidate| !c.known && send.may_have_made(c.created_at, clocks);
    let fits = |c: &Candidate| is_suspect(c) && !c.guessed && c.total == send.items;

    let mut fitting = (0..candidates.len()).filter(|index| fits(&candidates[*index]));
    if let (Some(only), None, 0, Clocks::Compared) = (fitting.next(), fitting.next(), alike, clocks)
    {
        return Verdict::Adopt(only);
    }
    // Of another size, too many of ours, or guessed to be another's: counts may
    // be wrong or late, and guesses too, so any stranger in the window might be
    // ours until it ended and was read.
    if candidates.iter().any(is_suspect) {
        return Verdict::Wait { in_sight: true };
    }
    match listings {
        Some(seen) if seen.prove_absence(send, settle) => Verdict::Refute,
        _ => Verdict::Wait { in_sight: false },
    }
}

/// Which of the `refuted` sends has stored the running stranger after all, if
/// that is unmistakable. It has the time and the count of one of them, and no
/// send that is `open` (under way, uncertain, or recognised and not verified)
/// can have made it, whatever its count: in a workspace of our own it is then
/// nobody's, and its work is for nothing.
pub fn twin_of(stranger: &Candidate, refuted: &[Uncertain], open: &[Uncertain]) -> Option<usize> {
    let made = |send: &Uncertain| send.may_have_made(stranger.created_at, Clocks::Compared);
    if stranger.known || open.iter().any(made) {
        return None;
    }
    refuted
        .iter()
        .position(|send| made(send) && send.items == stranger.total)
}

/// Whether a message batch that a send had only recognised, and that Anthropic
/// has not known in so many looks `since` then, is let go of: nobody's results
/// can come of it, and the send is to be looked for elsewhere. Known batches have
/// been "not found" for a while, so one look says nothing.
pub fn is_gone(looks: u32, since: OffsetDateTime, now: OffsetDateTime, settle: Duration) -> bool {
    looks >= LISTINGS && now >= since + settle
}

impl Clocks {
    /// How far outside the send the creation may seem to be.
    pub fn skew(self) -> Duration {
        match self {
            Self::Compared => SKEW,
            Self::Apart => UNKNOWN_SKEW,
        }
    }
}

impl Uncertain {
    /// Whether one batch may have been made by either of the two.
    pub fn overlaps(&self, other: &Self) -> bool {
        other.sent_at - SKEW <= self.deadline + SKEW && self.sent_at - SKEW <= other.deadline + SKEW
    }

    /// Whether a batch that was created then can be of this send.
    fn may_have_made(&self, created_at: OffsetDateTime, clocks: Clocks) -> bool {
        let skew = clocks.skew();
        (self.sent_at - skew..=self.deadline + skew).contains(&created_at)
    }
}

impl Listings {
    /// Enough of them, none before the sender had given up, and spread over the
    /// time in which a stored batch would have become visible. Spread, and not
    /// only late: after a suspended machine wakes, every deadline is long past
    /// and proves nothing.
    fn prove_absence(self, send: &Uncertain, settle: Duration) -> bool {
        self.count >= LISTINGS && self.first > send.deadline && self.last >= self.first + settle
    }
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Clocks, Listings, Uncertain, Verdict, is_gone, reconcile, twin_of};
    use proptest::prelude::*;
    use std::time::Duration;
    use time::OffsetDateTime;
    use time::macros::datetime;

    const SENT: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
    const SEND: Uncertain = Uncertain {
        items: 500,
        sent_at: SENT,
        deadline: datetime!(2026-11-22 12:05 UTC),
    };
    const SETTLE: Duration = Duration::from_mins(15);
    const SEEN: Verdict = Verdict::Wait { in_sight: true };
    const UNSEEN: Verdict = Verdict::Wait { in_sight: false };

    fn minutes(minutes: i64) -> OffsetDateTime {
        SENT + time::Duration::minutes(minutes)
    }

    fn candidate(minute: i64, total: u64) -> Candidate {
        Candidate {
            created_at: minutes(minute),
            total,
            known: false,
            guessed: false,
        }
    }

    fn listings(count: u32, first: i64, last: i64) -> Listings {
        Listings {
            count,
            first: minutes(first),
            last: minutes(last),
        }
    }

    fn verdict(candidates: &[Candidate], alike: usize) -> Verdict {
        let seen = Some(listings(9, 6, 60));
        reconcile(&SEND, candidates, alike, seen, SETTLE, Clocks::Compared)
    }

    #[test]
    fn the_only_stranger_of_our_size_is_adopted() {
        assert_eq!(verdict(&[candidate(0, 500)], 0), Verdict::Adopt(0));
        let others = [
            candidate(-60, 500), // long before
            candidate(2, 499),   // of another size
            Candidate {
                known: true,
                ..candidate(1, 500)
            }, // one of ours
            candidate(2, 500),
            candidate(30, 500), // long after
        ];
        assert_eq!(verdict(&others, 0), Verdict::Adopt(3));
    }

    #[test]
    fn the_window_ends_five_minutes_outside_the_send() {
        for (minute, expected) in [
            (-6, Verdict::Refute),
            (-5, Verdict::Adopt(0)),
            (10, Verdict::Adopt(0)),
            (11, Verdict::Refute),
        ] {
            assert_eq!(verdict(&[candidate(minute, 500)], 0), expected, "{minute}");
        }
    }

    #[test]
    fn doubt_waits() {
        assert_eq!(verdict(&[candidate(1, 500), candidate(2, 500)], 0), SEEN);
        assert_eq!(verdict(&[candidate(1, 500)], 1), SEEN);
        assert_eq!(verdict(&[candidate(1, 77)], 0), SEEN);
    }

    #[test]
    fn without_anthropics_time_a_day_is_in_question_and_nothing_is_adopted() {
        let verdict = |minute, count| {
            let seen = Some(listings(count, 6, 60));
            let listed = [candidate(minute, 500)];
            reconcile(&SEND, &listed, 0, seen, SETTLE, Clocks::Apart)
        };
        assert_eq!(verdict(1, 9), SEEN, "it may be it, or not");
        assert_eq!(verdict(-24 * 60, 9), SEEN);
        assert_eq!(verdict(-24 * 60 - 1, 9), Verdict::Refute);
        assert_eq!(verdict(24 * 60 + 6, 2), UNSEEN);
    }

    #[test]
    fn what_another_guessed_is_neither_adopted_nor_out_of_the_question() {
        let guessed = Candidate {
            guessed: true,
            ..candidate(1, 500)
        };
        assert_eq!(verdict(&[guessed], 0), SEEN);
        assert_eq!(verdict(&[guessed, candidate(2, 500)], 0), Verdict::Adopt(1));
    }

    #[test]
    fn absence_needs_three_listings_late_enough() {
        let judge = |alike, seen| reconcile(&SEND, &[], alike, seen, SETTLE, Clocks::Compared);
        let after = |seen| judge(0, Some(seen));
        assert_eq!(judge(0, None), UNSEEN);
        assert_eq!(after(listings(2, 6, 20)), UNSEEN, "too few");
        assert_eq!(
            after(listings(3, 5, 20)),
            UNSEEN,
            "first before the sender gave up"
        );
        assert_eq!(after(listings(3, 6, 20)), UNSEEN, "too close together");
        assert_eq!(after(listings(3, 60, 61)), UNSEEN, "late, but all at once");
        assert_eq!(after(listings(3, 6, 21)), Verdict::Refute);
        let twin = judge(1, Some(listings(3, 6, 21)));
        assert_eq!(
            twin,
            Verdict::Refute,
            "with nothing in sight, a twin does not matter"
        );
    }

    #[test]
    fn a_twin_is_unmistakable_or_left_alone() {
        let other = Uncertain { items: 7, ..SEND };
        let later = Uncertain {
            sent_at: minutes(60),
            deadline: minutes(65),
            ..other
        };
        let running = candidate(3, 500);
        assert_eq!(twin_of(&running, &[other, SEND], &[]), Some(1));
        assert_eq!(twin_of(&running, &[SEND], &[later]), Some(0));
        assert_eq!(twin_of(&running, &[other], &[]), None, "another count");
        assert_eq!(twin_of(&running, &[SEND], &[other]), None, "may be its");
        assert_eq!(twin_of(&candidate(30, 500), &[SEND], &[]), None);
        let known = Candidate {
            known: true,
            ..running
        };
        assert_eq!(twin_of(&known, &[SEND], &[]), None);
    }

    #[test]
    fn a_guess_is_given_up_after_several_looks_over_the_settle_time() {
        let gone = |looks, minute| is_gone(looks, SENT, minutes(minute), SETTLE);
        assert!(!gone(2, 60));
        assert!(!gone(9, 14));
        assert!(gone(3, 15));
    }

    proptest! {
        /// Whatever is listed: no known or misfitting batch is adopted, and
        /// nothing is refuted while a stranger stands in the window.
        #[test]
        fn never_adopts_or_refutes_against_the_evidence(
            candidates in prop::collection::vec(
                (-20_i64..30, prop_oneof![Just(500_u64), 0..1_000_u64], any::<bool>())
                    .prop_map(|(minute, total, known)| Candidate {
                        known,
                        ..candidate(minute, total)
                    }),
                0..6,
            ),
            alike in 0_usize..2,
            count in 0_u32..5,
            last in 6_i64..40,
        ) {
            let seen = listings(count, 6, last);
            let suspects = candidates
                .iter()
                .filter(|c| !c.known && (minutes(-5)..=minutes(10)).contains(&c.created_at))
                .count();
            match reconcile(&SEND, &candidates, alike, Some(seen), SETTLE, Clocks::Compared) {
                Verdict::Adopt(index) => {
                    prop_assert!(!candidates[index].known && candidates[index].total == 500);
                    prop_assert_eq!(alike, 0);
                }
                Verdict::Refute => prop_assert!(suspects == 0 && count >= 3 && last >= 21),
                Verdict::Wait { in_sight } => prop_assert_eq!(in_sight, suspects > 0),
            }
        }
    }
}
