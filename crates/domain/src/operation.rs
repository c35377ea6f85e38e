//! Operations: what may be done with every job that a filter finds.

use crate::job::State as JobState;
use crate::label::labels;

labels! {
    /// What an operation does with each job.
    pub enum Action as "action", as_str {
        /// Ends it, if it has not ended.
        Cancel = "cancel",
        /// Queues it again, if it has ended.
        Retry = "retry",
    }
}

labels! {
    /// How far an operation is.
    pub enum State as "operation state", as_str {
        /// There may be jobs that it has not looked at.
        Running = "running",
        /// It has looked at all of them.
        Done = "done",
        /// It was stopped, or stopped itself, before that.
        Stopped = "stopped",
    }
}

impl Action {
    /// The states in which it can change a job, of those asked for; of all when none
    /// was. A retry changes completed jobs only where that is said (`completed`): they
    /// are paid for again.
    pub fn states(self, asked: &[JobState], completed: bool) -> Vec<JobState> {
        let changes = |state: JobState| match self {
            Self::Cancel => !state.is_final(),
            Self::Retry => state.is_final() && (completed || state != JobState::Completed),
        };
        JobState::ALL
            .iter()
            .copied()
            .filter(|state| changes(*state) && (asked.is_empty() || asked.contains(state)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Action;
    use crate::job::State::{Canceled, Completed, Failed, Processing, Queued, Submitted};

    #[test]
    fn each_action_has_its_states() {
        assert_eq!(
            Action::Cancel.states(&[], true),
            [Queued, Submitted, Processing]
        );
        assert_eq!(Action::Retry.states(&[], false), [Failed, Canceled]);
        assert_eq!(
            Action::Retry.states(&[], true),
            [Completed, Failed, Canceled]
        );
    }

    #[test]
    fn a_filter_narrows_them() {
        assert_eq!(
            Action::Cancel.states(&[Completed, Submitted], false),
            [Submitted]
        );
        assert_eq!(Action::Cancel.states(&[Failed], false), []);
        assert_eq!(Action::Retry.states(&[Completed], false), []);
        assert_eq!(Action::Retry.states(&[Completed], true), [Completed]);
    }
}
