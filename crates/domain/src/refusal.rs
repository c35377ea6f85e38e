//! Whose fault a refused create is: the batch's, or that of everything that is
//! sent to this upstream.
//!
//! A refused batch is halved until the one bad job is alone, and that one fails.
//! But some refusals look like that and are about something else: an account
//! that was closed, a version of the API that is over. They would fail the whole
//! queue, one job after the other.

use std::time::Duration;

/// Batches of one job, refused one after the other, of which the last one is not
/// taken for its own fault any more.
pub const IN_ROW: u32 = 5;
/// From such a refusal to the next create, which shows whether it is over.
pub const PAUSE: Duration = Duration::from_mins(15);
/// Sends after which a batch of several jobs is halved all the same: one bad job
/// in it may be all that there is left to refuse.
const TOGETHER: u32 = 8;
/// Sends after which a job fails all the same, though nothing else was accepted:
/// days of pauses. Every job ends.
const ALONE: u32 = 300;

/// What is done with a batch that was refused for what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is at fault: halved, or its only job fails.
    Guilty,
    /// Nobody can know: it waits, and the upstream is paused.
    Suspend,
}

/// What is done with it: a batch of so many jobs that was sent so often without
/// being stored, when so many batches of one job were refused before it, with
/// none accepted between.
pub fn judge(items: u32, sends: u32, refused_before: u32) -> Verdict {
    let enough = if items > 1 { TOGETHER } else { ALONE };
    if refused_before + 1 < IN_ROW || sends >= enough {
        Verdict::Guilty
    } else {
        Verdict::Suspend
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Guilty, Suspend};
    use super::judge;

    #[test]
    fn after_four_in_a_row_nothing_is_at_fault_by_itself() {
        // Jobs, sends, refused before.
        for (items, sends, before, verdict) in [
            (1, 0, 0, Guilty),
            (100_000, 0, 3, Guilty),
            (1, 0, 3, Guilty),
            (1, 0, 4, Suspend),
            (100_000, 0, 4, Suspend),
            (1, 0, 50, Suspend),
            // Sent in vain for other reasons, it is no more suspect than others.
            (1, 1_000, 0, Guilty),
            (2, 7, 4, Suspend),
            (2, 8, 4, Guilty),
            (1, 8, 4, Suspend),
            (1, 300, 4, Guilty),
        ] {
            let found = judge(items, sends, before);
            assert_eq!(found, verdict, "{items} {sends} {before}");
        }
    }
}
