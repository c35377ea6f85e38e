//! What an operator has to know: a closed list of kinds, each with what it
//! means and what to do. Something in the program writes each of them.

use crate::label::labels;

labels! {
    /// What happened.
    pub enum Kind as "incident kind", as_str {
        /// Anthropic holds a message batch whose jobs went on without it.
        LateTwin = "late_twin",
        /// Anthropic holds a message batch in our form that no row knows.
        UpstreamUnknownBatch = "upstream_unknown_batch",
        /// A batch did not end in its time.
        BatchOverdue = "batch_overdue",
        /// A batch has ended long ago and its results are not all read.
        ResultsWaiting = "results_waiting",
        /// Results that are not read are about to be deleted.
        ResultsNearExpiry = "results_near_expiry",
        /// Results that were not read are gone.
        ResultsLost = "results_lost",
        /// A result line could not be taken as it came.
        QuarantinedLine = "quarantined_line",
        /// Two result lines of one job say different things.
        ConflictingLine = "conflicting_line",
        /// What was read is not what Anthropic counted.
        CountsDiffer = "counts_differ",
        /// The database is another one than before.
        DatabaseChanged = "database_changed",
        /// An upstream's key does not see the workspace of what was sent before.
        OtherWorkspace = "other_workspace",
        /// Nothing is sent to an upstream until somebody acts.
        UpstreamPaused = "upstream_paused",
        /// Nobody knows what became of a send, for longer than any batch lives.
        SendUncertain = "send_uncertain",
        /// A batch is sent again and again, and not stored.
        BatchNotSent = "batch_not_sent",
        /// The answer to a direct call was lost.
        OutcomeUnknown = "outcome_unknown",
        /// Nobody knows whether what went ahead of a batch was billed.
        PrimeUnknown = "prime_unknown",
        /// A message batch is not deleted at Anthropic, as its tenant wants.
        CopyKept = "copy_kept",
    }
}

impl Kind {
    /// What it means and what to do, for a person.
    pub const fn text(self) -> &'static str {
        match self {
            Self::LateTwin => {
                "A create was believed to have stored nothing, and Anthropic stored it after all: \
                 its jobs were sent again, so this batch was paid besides. What it billed is \
                 absorbed by the deployment, no tenant pays it. If it happens again, raise \
                 settle_time in [reliability]."
            }
            Self::UpstreamUnknownBatch => {
                "Anthropic holds a message batch that looks like ours, and this database has \
                 never heard of it. Does another offpeak use the same workspace, or was the \
                 database restored from a backup?"
            }
            Self::BatchOverdue => {
                "Anthropic should have ended this batch an hour ago. It is looked at as before, \
                 and its jobs are not sent again. If it stays so, ask Anthropic's support with \
                 the id of the message batch."
            }
            Self::ResultsWaiting => {
                "This batch ended a day ago and its results are not all read. Look at the last \
                 error of the batch and at the worker's log."
            }
            Self::ResultsNearExpiry => {
                "Anthropic deletes the results of this batch within twelve hours, and they are \
                 not all read. Find out at once why reading them fails; they are paid for."
            }
            Self::ResultsLost => {
                "Results of this batch cannot be had from Anthropic any more and were not read: \
                 their jobs failed, and what they may have billed is in no ledger. Retry the \
                 jobs if they are still wanted; that is paid again."
            }
            Self::QuarantinedLine => {
                "A line among the results of this batch could not be read, or names no job of it. \
                 It stands in the table quarantine; all other lines were taken. The job that it \
                 names failed as result_unreadable, and what it may have billed is in no ledger."
            }
            Self::ConflictingLine => {
                "Anthropic gave two different results for one job of this batch. The first one \
                 stands and is billed; the other one is in the table quarantine. Compare the \
                 bill with what is booked."
            }
            Self::CountsDiffer => {
                "What Anthropic counts for this batch is not what its results say. Every job of \
                 it has a line, and the lines are what is booked. Compare the bill with what is \
                 booked."
            }
            Self::DatabaseChanged => {
                "The database is another one than before: a standby took over, or a backup was \
                 restored, and what was committed last may be missing. Nothing is sent before \
                 Anthropic's list was compared for the settle time; what it holds of lost batches \
                 is taken over. `offpeak reconcile` shows how far that is and what is kept back. \
                 Jobs that were accepted last may be lost: their apps have to send them again."
            }
            Self::OtherWorkspace => {
                "This upstream's key does not know a message batch that was sent before: it is of \
                 another workspace, or the base URL is another one. What it does not list proves \
                 nothing, so creates without an answer stay in doubt, and batches that are \
                 missing are not given up. Start a worker with a key of the workspace of before \
                 until nothing of it is open; offpeak resolves this when it sees that batch. If \
                 somebody deleted that batch at Anthropic, nothing is to be done: it counts for \
                 28 days at most."
            }
            Self::UpstreamPaused => {
                "Nothing is sent to this upstream, for the reason that stands here; its jobs \
                 wait, and none fails. When it is mended, offpeak notices by itself, and \
                 resolves this."
            }
            Self::SendUncertain => {
                "The answer to this create was lost more than a day ago, and it is still not \
                 known whether Anthropic stored it: its jobs wait. Does listing the message \
                 batches fail, or does another program create many in the same workspace?"
            }
            Self::PrimeUnknown => {
                "One request goes ahead of some batches, to bring into Anthropic's cache what \
                 their jobs share; the answer to this one was lost. It is not sent again, its \
                 batch went without. What it would have cost is absorbed by the deployment, \
                 whether it was billed or not. Nothing is to be done."
            }
            Self::CopyKept => {
                "The tenant of this batch wants it deleted at Anthropic, and that has failed for \
                 a day. It is tried every hour; look at the worker's log. Anthropic deletes its \
                 results by itself 29 days after it was created."
            }
            Self::BatchNotSent => {
                "This batch was planned an hour ago, and Anthropic has stored none of its \
                 creates. It is sent again, as before. Look at the last error of the batch and \
                 at the worker's log."
            }
            Self::OutcomeUnknown => {
                "A direct call was sent and its answer lost, or the process that sent it died. \
                 Anthropic may have billed it, and nobody can look that up by its job. The job \
                 failed as outcome_unknown or, where its type says on_unknown = retry, was called \
                 for again; then what the lost call cost, going by the answer to the next one, is \
                 absorbed by the deployment."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn each_kind_has_its_own_text() {
        let mut texts: Vec<&str> = Kind::ALL.iter().map(|kind| kind.text()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Kind::ALL.len());
        assert!(texts.iter().all(|text| text.ends_with(['.', '?'])));
    }
}
