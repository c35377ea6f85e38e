//! Whether an upstream's list has to be compared with the database before
//! anything is sent.
//!
//! A restored backup, or a standby that was not quite up to date, has forgotten
//! what the old database did last: jobs stand in its queue that Anthropic is
//! working on. It cannot know which; only the upstream's list can tell. So
//! whenever the database is not certainly the one that went on without a gap,
//! the list goes first.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::id::JobId;
use crate::label::labels;
use crate::reconcile::SKEW;

/// How much further back than the last sign of life a listing reaches.
pub const LOOKBACK: Duration = Duration::from_hours(1);
/// How seldom a sign of life is written down.
pub const ALIVE_EVERY: Duration = Duration::from_mins(1);
/// Complete listings that compare a changed database.
const LISTINGS: u32 = 2;

labels! {
    /// Why an upstream's list is compared.
    pub enum Cause as "cause of a comparison", as_str {
        /// It is another database: restored, or failed over.
        Changed = "changed",
        /// The operator says that it may be.
        Asked = "asked",
        /// The same one, and its server was started anew.
        Restarted = "restarted",
    }
}

impl Cause {
    /// Whether the database may have forgotten something. An ordinary restart
    /// forgets nothing that was committed.
    pub const fn is_full(self) -> bool {
        match self {
            Self::Changed | Self::Asked => true,
            Self::Restarted => false,
        }
    }
}

/// A database as it shows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// System, timeline and tables: the same for as long as nothing can be missing.
    pub incarnation: String,
    /// When its server was started.
    pub started_at: OffsetDateTime,
}

/// How far an upstream's list has been compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// For which database it was; none after the operator asked for another.
    pub compared: Option<Database>,
    /// When that one was last seen.
    pub alive_at: OffsetDateTime,
    /// The comparison under way.
    pub under_way: Option<UnderWay>,
}

/// A comparison under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// For which database.
    pub of: Database,
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub noticed_at: OffsetDateTime,
    /// Complete listings so far.
    pub listings: u32,
    /// When the last of them began.
    pub listed_at: Option<OffsetDateTime>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is nothing to compare with: the first start with this upstream.
    Begin,
    /// It looks so, and something went on here long before, at this time for
    /// the last: it may be an old backup. To be compared as if it was asked for.
    Doubt(OffsetDateTime),
    /// Compared.
    Rest,
    /// Write down that a comparison begins.
    Notice(Cause),
    /// List everything.
    List,
    /// List everything, then.
    Wait(OffsetDateTime),
}

/// Decides. What Anthropic holds may take `settle` to be listed.
///
/// Without a standing, `before` is the last trace of a batch here, or else when
/// the oldest open job was accepted. A database that went on a moment ago is no
/// backup: one is older than that before it is restored.
pub fn step(
    now: OffsetDateTime,
    present: &Database,
    standing: Option<&Standing>,
    before: Option<OffsetDateTime>,
    settle: Duration,
) -> Step {
    let Some(standing) = standing else {
        return match before.filter(|before| *before < now - settle) {
            Some(before) => Step::Doubt(before),
            None => Step::Begin,
        };
    };
    if standing.compared.as_ref() == Some(present) {
        return Step::Rest;
    }
    match &standing.under_way {
        Some(under_way) if under_way.of == *present => {
            let last = under_way.noticed_at + settle;
            if under_way.listings > 0 && now < last {
                Step::Wait(last)
            } else {
                Step::List
            }
        }
        // Another one, while it went on: it begins anew.
        Some(_) | None => Step::Notice(match &standing.compared {
            None => Cause::Asked,
            Some(was) if was.incarnation == present.incarnation => Cause::Restarted,
            Some(_) => Cause::Changed,
        }),
    }
}

impl UnderWay {
    /// Whether it is done: after one listing if nothing can be missing here, else
    /// when a listing was made late enough to show everything.
    pub fn is_done(&self, settle: Duration) -> bool {
        let late = |at| at >= self.noticed_at + settle;
        if self.cause.is_full() {
            self.listings >= LISTINGS && self.listed_at.is_some_and(late)
        } else {
            self.listings > 0
        }
    }
}

/// How far back a listing reaches: to the first message batch that a database
/// last seen at `alive_at` may have forgotten.
pub fn since(alive_at: OffsetDateTime, send_within: Duration) -> OffsetDateTime {
    alive_at - LOOKBACK - send_within
}

/// The first job that cannot be in a message batch which was created at
/// `created_at` on our clock: ids are minted in the order of time, and clocks
/// differ by less than the margin.
pub fn first_free(created_at: OffsetDateTime) -> JobId {
    let millis = (created_at + SKEW).unix_timestamp_nanos() / 1_000_000;
    let millis = u128::try_from(millis).unwrap_or(0);
    JobId::from_uuid(Uuid::from_u128(millis << 80))
}

#[cfg(test)]
mod tests {
    use super::{Cause, Database, Standing, Step, UnderWay, first_free, step};
    use crate::id::{JobId, Minter};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::time::Duration;
    use time::OffsetDateTime;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
    const SETTLE: Duration = Duration::from_mins(15);

    fn minutes(minutes: i64) -> OffsetDateTime {
        NOON + time::Duration::minutes(minutes)
    }

    fn database(incarnation: &str, started: i64) -> Database {
        Database {
            incarnation: incarnation.to_owned(),
            started_at: minutes(started),
        }
    }

    fn standing(compared: Option<Database>) -> Standing {
        Standing {
            compared,
            alive_at: minutes(-1),
            under_way: None,
        }
    }

    fn begun(cause: Cause, listings: u32, listed: i64) -> UnderWay {
        UnderWay {
            of: database("b", 0),
            cause,
            noticed_at: NOON,
            listings,
            listed_at: Some(minutes(listed)),
        }
    }

    #[test]
    fn what_differs_says_why_it_is_compared() {
        let present = database("b", 0);
        let next = |compared| step(NOON, &present, Some(&standing(compared)), None, SETTLE);
        assert_eq!(next(Some(present.clone())), Step::Rest);
        assert_eq!(
            next(Some(database("a", 0))),
            Step::Notice(Cause::Changed),
            "even with the same start"
        );
        assert_eq!(
            next(Some(database("b", -9))),
            Step::Notice(Cause::Restarted)
        );
        assert_eq!(next(None), Step::Notice(Cause::Asked));
    }

    #[test]
    fn a_first_start_is_none_where_something_went_on_long_ago() {
        let first =
            |before: Option<i64>| step(NOON, &database("b", 0), None, before.map(minutes), SETTLE);
        assert_eq!(first(None), Step::Begin, "nothing was ever done");
        assert_eq!(
            first(Some(-15)),
            Step::Begin,
            "an upgrade, or a job came first"
        );
        assert_eq!(first(Some(-16)), Step::Doubt(minutes(-16)));
    }

    #[test]
    fn it_lists_at_once_and_after_the_settle_time() {
        let next = |minute, listings, of: &Database| {
            let standing = Standing {
                under_way: Some(begun(Cause::Changed, listings, 0)),
                ..standing(Some(database("a", 0)))
            };
            step(minutes(minute), of, Some(&standing), None, SETTLE)
        };
        let same = database("b", 0);
        assert_eq!(next(0, 0, &same), Step::List);
        assert_eq!(next(1, 1, &same), Step::Wait(minutes(15)));
        assert_eq!(next(15, 1, &same), Step::List);
        assert_eq!(next(99, 0, &same), Step::List);
        assert_eq!(
            next(1, 1, &database("c", 0)),
            Step::Notice(Cause::Changed),
            "it changed once more"
        );
        assert_eq!(next(1, 1, &database("b", 1)), Step::Notice(Cause::Changed));
    }

    #[test]
    fn a_restart_needs_one_listing_and_a_change_a_late_one() {
        assert!(begun(Cause::Restarted, 1, 0).is_done(SETTLE));
        assert!(!begun(Cause::Restarted, 0, 0).is_done(SETTLE));
        for cause in [Cause::Changed, Cause::Asked] {
            assert!(!begun(cause, 1, 60).is_done(SETTLE), "one proves little");
            assert!(!begun(cause, 9, 14).is_done(SETTLE), "too early");
            assert!(begun(cause, 2, 15).is_done(SETTLE));
        }
    }

    #[test]
    fn younger_jobs_are_free() {
        let job = |at| -> JobId { Minter::new(at, StdRng::seed_from_u64(1)).mint() };
        let first = first_free(NOON);
        assert!(job(minutes(-60)) < first);
        assert!(job(NOON) < first);
        assert!(job(minutes(4)) < first, "clocks may differ");
        assert!(job(minutes(5)) >= first);
        assert_eq!(first.minted_at(), minutes(5));
    }
}
