//! Which lane a job takes, and when a batched one is called for besides.
//!
//! A batch costs half, and nobody says when it ends. What is known is how long
//! this upstream's batches took lately ([`Turnaround`]). A job that they would
//! most likely keep waiting for too long is called for directly, at the normal
//! price; one that says `escalate` may take the chance from even odds on: won, it
//! saves half, lost, the same half is paid besides.
//!
//! [`Turnaround`]: crate::turnaround::Turnaround

use std::time::Duration;

use time::OffsetDateTime;

use crate::job::{Lane, OnLate};
use crate::label::labels;
use crate::turnaround::Measured;

/// What Anthropic allows a message batch.
pub const LIMIT: Duration = Duration::from_hours(24);

labels! {
    /// Why a job takes its lane.
    pub enum Reason as "reason for a lane", as_str {
        /// It has no deadline.
        NoDeadline = "no_deadline",
        /// A batch is back by then even if it takes all of its 24 hours.
        Guaranteed = "guaranteed",
        /// Nearly all batches are back by then.
        Usual = "usual",
        /// At least half of the batches are back by then, and the job is called
        /// for directly when its batch is not.
        Likely = "likely",
        /// Too many batches are not back by then.
        BelowFloor = "below_floor",
        /// It would still wait for its batch to fill, or to be looked at.
        TooShort = "too_short",
        /// Too few batches were measured to say when one is back.
        Unmeasured = "unmeasured",
    }
}

impl Reason {
    /// The lane that it leads to.
    pub const fn lane(self) -> Lane {
        match self {
            Self::NoDeadline | Self::Guaranteed | Self::Usual | Self::Likely => Lane::Batch,
            Self::BelowFloor | Self::TooShort | Self::Unmeasured => Lane::Direct,
        }
    }
}

/// What is known of the two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// The longest that a job waits for its batch to fill, and the batch, once it
    /// has ended, to be looked at.
    pub around: Duration,
    /// How long batches take; none before enough were measured.
    pub batch: Option<Measured>,
    /// How long direct calls take, if enough were measured.
    pub direct: Option<Measured>,
    /// How long before its deadline a job is called for at the latest.
    pub escalate_before: Duration,
}

impl Ways {
    /// Below this a job is called for directly, whatever its policy.
    pub fn floor(&self) -> Option<Duration> {
        self.batch.map(|batch| self.around + batch.half)
    }
}

/// Chooses the lane of a job that is wanted `within` so long.
pub fn route(within: Option<Duration>, on_late: OnLate, ways: &Ways) -> Reason {
    let Some(within) = within else {
        return Reason::NoDeadline;
    };
    if within >= ways.around + LIMIT {
        return Reason::Guaranteed;
    }
    if within < ways.around {
        return Reason::TooShort;
    }
    let Some(batch) = ways.batch else {
        return Reason::Unmeasured;
    };
    if within >= ways.around + batch.most {
        return Reason::Usual;
    }
    let saved = within >= ways.around + batch.half + ways.escalate_before;
    if on_late == OnLate::Escalate && saved {
        Reason::Likely
    } else {
        Reason::BelowFloor
    }
}

/// When an answer is expected: `since` is when its batch was made or, for one that
/// waits, is about to be. The first of what half and most of the batches took
/// that is still to come; none when it takes longer than that already, or
/// nothing was measured.
pub fn expected(
    now: OffsetDateTime,
    since: OffsetDateTime,
    measured: Option<Measured>,
) -> Option<OffsetDateTime> {
    let measured = measured?;
    [measured.half, measured.most]
        .into_iter()
        .map(|time| since + time)
        .find(|at| *at > now)
}

/// How fast late jobs can be called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Calls at the same time.
    pub parallel: u32,
    /// How long one takes.
    pub call: Duration,
    /// Time that is kept in hand besides.
    pub before: Duration,
}

/// Which of these deadlines, the earliest first, have to be called for now, so
/// that all can still be kept: the first so many. And when to look again.
///
/// They go through a gate that is so wide: the tenth of ten that fall on one
/// moment must begin before it, or it comes too late.
pub fn due(
    now: OffsetDateTime,
    deadlines: &[OffsetDateTime],
    pace: &Pace,
) -> (usize, Option<OffsetDateTime>) {
    let parallel = pace.parallel.max(1);
    let (mut called, mut next) = (0, None::<OffsetDateTime>);
    for (index, deadline) in deadlines.iter().enumerate() {
        let rounds = u32::try_from(index + 1)
            .unwrap_or(u32::MAX)
            .div_ceil(parallel);
        let latest = *deadline - pace.before - pace.call.saturating_mul(rounds);
        if latest <= now {
            called = index + 1;
        } else {
            next = Some(next.map_or(latest, |next| next.min(latest)));
        }
    }
    (called, next)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::{Pace, Reason, Ways, due, expected, route};
    use crate::job::OnLate;
    use crate::turnaround::Measured;

    const MEASURED: Measured = Measured {
        half: Duration::from_mins(20),
        nine_tenths: Duration::from_mins(40),
        most: Duration::from_hours(1),
        n: 400,
    };
    const WAYS: Ways = Ways {
        around: Duration::from_mins(2),
        batch: Some(MEASURED),
        direct: None,
        escalate_before: Duration::from_mins(3),
    };

    #[test]
    fn every_reason() {
        let unmeasured = Ways {
            batch: None,
            ..WAYS
        };
        let minutes = |minutes| Some(Duration::from_mins(minutes));
        let rows = [
            ("no deadline", None, WAYS),
            ("30 s", Some(Duration::from_secs(30)), WAYS),
            ("just over the way around", minutes(2), WAYS),
            ("21 min", minutes(21), WAYS),
            ("24 min", minutes(24), WAYS),
            ("25 min", minutes(25), WAYS),
            ("61 min", minutes(61), WAYS),
            ("62 min", minutes(62), WAYS),
            ("24 h 2 min", minutes(24 * 60 + 2), WAYS),
            (
                "30 s, unmeasured",
                Some(Duration::from_secs(30)),
                unmeasured,
            ),
            ("8 h, unmeasured", minutes(480), unmeasured),
            ("24 h 2 min, unmeasured", minutes(24 * 60 + 2), unmeasured),
        ];
        let mut table = vec![format!(
            "{:<26} {:<20} {:<20} {}",
            "wanted within", "wait", "escalate", "fail"
        )];
        let mut seen = Vec::new();
        for (name, within, ways) in rows {
            let said: Vec<String> = OnLate::ALL
                .iter()
                .map(|policy| {
                    let reason = route(within, *policy, &ways);
                    seen.push(reason);
                    format!("{} {reason}", reason.lane())
                })
                .collect();
            table.push(format!(
                "{name:<26} {:<20} {:<20} {}",
                said[0], said[1], said[2]
            ));
        }
        for reason in Reason::ALL {
            assert!(seen.contains(reason), "{reason} is never given");
        }
        insta::assert_snapshot!(table.join("\n"), @r#"
        wanted within              wait                 escalate             fail
        no deadline                batch no_deadline    batch no_deadline    batch no_deadline
        30 s                       direct too_short     direct too_short     direct too_short
        just over the way around   direct below_floor   direct below_floor   direct below_floor
        21 min                     direct below_floor   direct below_floor   direct below_floor
        24 min                     direct below_floor   direct below_floor   direct below_floor
        25 min                     direct below_floor   batch likely         direct below_floor
        61 min                     direct below_floor   batch likely         direct below_floor
        62 min                     batch usual          batch usual          batch usual
        24 h 2 min                 batch guaranteed     batch guaranteed     batch guaranteed
        30 s, unmeasured           direct too_short     direct too_short     direct too_short
        8 h, unmeasured            direct unmeasured    direct unmeasured    direct unmeasured
        24 h 2 min, unmeasured     batch guaranteed     batch guaranteed     batch guaranteed
        "#);
    }

    const NOW: OffsetDateTime = datetime!(2026-11-27 12:00 UTC);

    #[test]
    fn what_is_expected_is_still_to_come() {
        let minutes = |ago| {
            let since = NOW - Duration::from_mins(ago);
            expected(NOW, since, Some(MEASURED)).map(|at| (at - since).whole_minutes())
        };
        assert_eq!(minutes(0), Some(20));
        assert_eq!(minutes(19), Some(20));
        assert_eq!(minutes(20), Some(60));
        assert_eq!(minutes(60), None);
        assert_eq!(expected(NOW, NOW, None), None);
    }

    const PACE: Pace = Pace {
        parallel: 2,
        call: Duration::from_secs(10),
        before: Duration::from_mins(1),
    };

    fn deadlines(seconds: &[u64]) -> Vec<OffsetDateTime> {
        seconds
            .iter()
            .map(|seconds| NOW + Duration::from_secs(*seconds))
            .collect()
    }

    #[test]
    fn one_deadline_is_called_for_in_time_and_not_before() {
        assert_eq!(due(NOW, &[], &PACE), (0, None));
        assert_eq!(due(NOW, &deadlines(&[70]), &PACE).0, 1);
        let (called, next) = due(NOW, &deadlines(&[75]), &PACE);
        assert_eq!((called, next), (0, Some(NOW + Duration::from_secs(5))));
    }

    #[test]
    fn many_at_one_moment_begin_before_it() {
        // Six go through a gate of two in thirty seconds.
        let crowd = deadlines(&[90; 6]);
        assert_eq!(due(NOW, &crowd, &PACE).0, 6);
        let (called, next) = due(NOW - Duration::from_secs(1), &crowd, &PACE);
        assert_eq!((called, next), (0, Some(NOW)));
    }

    #[test]
    fn one_that_is_early_goes_when_those_behind_it_need_the_room() {
        // The last of five would be late, so all before it begin now.
        let (called, _) = due(NOW, &deadlines(&[80, 85, 88, 89, 90]), &PACE);
        assert_eq!(called, 5);
        let (called, next) = due(NOW, &deadlines(&[65, 500, 500]), &PACE);
        assert_eq!(called, 1);
        assert_eq!(next, Some(NOW + Duration::from_mins(7)));
    }
}
