//! One batch as the stand-in keeps it, and what follows from it at a given time.

use std::time::Duration;

use offpeak_anthropic::shape::{MessageBatch, ProcessingStatus, RequestCounts};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::behavior::Behavior;
use crate::dice::Dice;
use crate::fault::plan::{Lot, Plan};

/// How long a batch may run.
pub(crate) const LIFETIME: Duration = Duration::from_hours(24);
/// How long its results are kept, counted from its creation.
pub(crate) const RETENTION: Duration = Duration::from_hours(29 * 24);
/// When a batch ends that never ends.
const NEVER: Duration = Duration::from_hours(24 * 365 * 100);
/// The longest that canceling takes.
const WIND_DOWN: Duration = Duration::from_secs(30);

/// What is written beside a batch's spool. Small; replaced as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Counts up over the life of the folder; gives the order of lists.
    pub(crate) seq: u64,
    pub(crate) id: String,
    pub(crate) workspace: String,
    /// The API version that it was created under; its items are judged by it.
    pub(crate) version: String,
    pub(crate) betas: Vec<String>,
    pub(crate) items: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    pub(crate) turnaround_ms: u64,
    /// Held by a fault: no item of it is ever processed.
    pub(crate) held: bool,
    /// What faults want to become of it.
    #[serde(default)]
    pub(crate) plan: Plan,
    /// Made by a fault, as if by another client of the workspace.
    #[serde(default)]
    pub(crate) foreign: bool,
    /// The id of the key that it was created with.
    #[serde(default)]
    pub(crate) api_key: String,
    /// The create's `anthropic-user-profile-id`.
    #[serde(default)]
    pub(crate) user_profile: Option<String>,
    /// The create's `idempotency-key`.
    #[serde(default)]
    pub(crate) idempotency_key: Option<String>,
    /// Items whose `custom_id` stands before, where that is not refused at once.
    #[serde(default)]
    pub(crate) duplicates: Vec<u32>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) cancel_at: Option<OffsetDateTime>,
    /// Set once its results and its journal entries are written.
    pub(crate) settled: Option<Settled>,
    /// Deleted: its number stays taken, the rest is gone.
    pub(crate) deleted: bool,
}

/// How a batch ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settled {
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) ended_at: OffsetDateTime,
    pub(crate) counts: RequestCounts,
}

/// Whether an item reached a model in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Processed,
    Canceled,
    Expired,
}

impl Record {
    pub(crate) fn expires_at(&self) -> OffsetDateTime {
        self.created_at + LIFETIME
    }

    fn turnaround(&self) -> Duration {
        Duration::from_millis(self.turnaround_ms)
    }

    /// When every item of it is terminal, as things stand.
    pub(crate) fn ends_at(&self) -> OffsetDateTime {
        if self.plan.never_ends {
            return self.created_at + NEVER;
        }
        let mut end = self.expires_at();
        if !self.held {
            end = end.min(self.created_at + self.turnaround());
        }
        if let Some(at) = self.cancel_at {
            end = end.min(at + WIND_DOWN.min(self.turnaround() / 10));
        }
        end
    }

    /// Whether its end has come; from then on nothing about it can change.
    pub(crate) fn is_due(&self, now: OffsetDateTime) -> bool {
        self.ends_at() <= now
    }

    /// What became of an item: each is done at some time within the turnaround,
    /// and only what was done before the end counts.
    pub(crate) fn fate(&self, item: u32, seed: u64) -> Fate {
        if self.plan.lot(&self.id, item, seed) == Lot::Expired {
            return Fate::Expired;
        }
        if self.plan.cancel_completes && self.cancel_at.is_some() {
            return Fate::Processed;
        }
        let share = Dice::new(seed, &[&self.id, "done", &item.to_string()]).mille();
        let done = self.created_at
            + Duration::from_millis(self.turnaround_ms.saturating_mul(share) / 1000);
        if !self.held && done <= self.ends_at() {
            Fate::Processed
        } else if self.cancel_at.is_some() {
            Fate::Canceled
        } else {
            Fate::Expired
        }
    }

    /// The results are no longer kept.
    pub(crate) fn is_archived(&self, now: OffsetDateTime) -> bool {
        now >= self.created_at + RETENTION
    }

    /// The batch as the API shows it. Counts stay at `processing` until the end.
    pub(crate) fn show(
        &self,
        now: OffsetDateTime,
        origin: &str,
        behavior: &Behavior,
    ) -> MessageBatch {
        let archived_at = self.is_archived(now).then(|| self.created_at + RETENTION);
        let done = if behavior.early_counts && !self.held {
            let age = (now - self.created_at).whole_milliseconds();
            let whole = i128::from(self.turnaround_ms).max(1);
            u64::try_from(age * i128::from(self.items) / whole).unwrap_or(0)
        } else {
            0
        };
        let succeeded = done.min(u64::from(self.items));
        let processing = RequestCounts {
            processing: u64::from(self.items) - succeeded,
            succeeded,
            ..RequestCounts::default()
        };
        let skew = time::Duration::seconds(behavior.stamp_skew_s);
        MessageBatch {
            id: self.id.clone(),
            processing_status: match (&self.settled, self.cancel_at) {
                (Some(_), _) => ProcessingStatus::Ended,
                (None, Some(_)) => ProcessingStatus::Canceling,
                (None, None) => ProcessingStatus::InProgress,
            },
            request_counts: self
                .settled
                .as_ref()
                .map_or(processing, |settled| settled.counts),
            created_at: self.created_at + skew,
            expires_at: self.expires_at() + skew,
            ended_at: self.settled.as_ref().map(|settled| settled.ended_at + skew),
            cancel_initiated_at: self.cancel_at.map(|at| at + skew),
            archived_at: archived_at.map(|at| at + skew),
            results_url: (self.settled.is_some()
                && (archived_at.is_none() || behavior.archived_url))
                .then(|| format!("{origin}/v1/messages/batches/{}/results", self.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn record(turnaround: Duration) -> Record {
        Record {
            seq: 1,
            id: "msgbatch_standin_1".to_owned(),
            workspace: "w".to_owned(),
            version: "2026-10-21".to_owned(),
            betas: Vec::new(),
            items: 1000,
            created_at: datetime!(2026-11-22 16:00 UTC),
            turnaround_ms: u64::try_from(turnaround.as_millis()).unwrap(),
            held: false,
            plan: Plan::default(),
            foreign: false,
            api_key: String::new(),
            user_profile: None,
            idempotency_key: None,
            duplicates: Vec::new(),
            cancel_at: None,
            settled: None,
            deleted: false,
        }
    }

    fn fates(record: &Record) -> (usize, usize, usize) {
        let count = |fate| {
            (0..record.items)
                .filter(|item| record.fate(*item, 7) == fate)
                .count()
        };
        (
            count(Fate::Processed),
            count(Fate::Canceled),
            count(Fate::Expired),
        )
    }

    #[test]
    fn undisturbed_everything_is_processed_within_the_turnaround() {
        let record = record(Duration::from_mins(10));
        assert_eq!(record.ends_at(), datetime!(2026-11-22 16:10 UTC));
        assert_eq!(fates(&record), (1000, 0, 0));
        assert!(!record.is_due(datetime!(2026-11-22 16:09:59 UTC)));
        assert!(record.is_due(datetime!(2026-11-22 16:10 UTC)));
    }

    #[test]
    fn cancel_in_the_middle_keeps_what_was_done() {
        let mut record = record(Duration::from_mins(10));
        record.cancel_at = Some(datetime!(2026-11-22 16:05 UTC));
        assert_eq!(record.ends_at(), datetime!(2026-11-22 16:05:30 UTC));
        let (processed, canceled, expired) = fates(&record);
        assert!((450..=650).contains(&processed), "{processed}");
        assert_eq!((processed + canceled, expired), (1000, 0));
    }

    #[test]
    fn a_day_is_the_hard_end() {
        let mut slow = record(Duration::from_hours(48));
        assert_eq!(slow.ends_at(), slow.created_at + LIFETIME);
        let (processed, canceled, expired) = fates(&slow);
        assert!((400..=600).contains(&processed), "{processed}");
        assert_eq!((processed + expired, canceled), (1000, 0));
        slow.held = true;
        assert_eq!(fates(&slow), (0, 0, 1000));
    }
}
