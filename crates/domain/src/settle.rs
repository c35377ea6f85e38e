//! What one result line means for its job, and whether it is billed.

use std::time::Duration;

use crate::job::Failure;
use crate::price::Usage;
use crate::retry;

/// What a result line says, as far as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A message came back; not necessarily a good one.
    Succeeded {
        /// Why the model stopped, in the API's words.
        stop_reason: Option<String>,
        /// The tokens it reports.
        usage: Usage,
        /// Whether the answer fits the output schema; `None` without a schema.
        schema_ok: Option<bool>,
        /// Whether the message has no content blocks.
        empty_content: bool,
    },
    /// The item ended in an error.
    Errored {
        /// The inner type, such as `overloaded_error` (never the literal `error`).
        error_type: String,
    },
    /// The batch was canceled before this item ran.
    Canceled,
    /// The batch ran out of its 24 hours before this item ran.
    Expired,
    /// The line is not readable as any of these.
    Unreadable,
}

/// What is known of the job that the line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Tries that failed before this one, as far as they count.
    pub tries: u32,
    /// Whether the job was canceled meanwhile, or got its result by another
    /// attempt: then it has ended already.
    pub has_ended: bool,
    /// Another attempt of it is open, in the other lane.
    pub is_one_of_two: bool,
}

/// The limits to settle by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Counted tries after which a job fails.
    pub max_tries: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_tries: 5 }
    }
}

/// What to do with the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It has a good result.
    Complete,
    /// It has failed for good.
    Fail(Failure),
    /// It goes back into the queue.
    Requeue {
        /// Whether this try counts against [`Rules::max_tries`].
        counts: bool,
        /// Not to be sent again before this long from now.
        not_before_after: Duration,
    },
    /// It has ended already; the line is only kept and booked.
    SetAside,
    /// This attempt has come to nothing, and the job goes on by the other one.
    LeaveToOther {
        /// How long until this lane may be tried again; none when that is no use.
        again_after: Option<Duration>,
    },
}

/// Decides what `line` means for a job that stands as `standing` says.
///
/// Only an error of the item itself counts as a try. That a batch expired or
/// was canceled upstream says nothing about the job, so a long outage cannot
/// use up its tries. `unit_random` in 0..1 spreads the retries.
///
/// Of two attempts the first good result wins: what is not good leaves the job to
/// the other one.
pub fn settle(line: &Line, standing: Standing, rules: Rules, unit_random: f64) -> Settlement {
    if standing.has_ended {
        return Settlement::SetAside;
    }
    match alone(line, standing, rules, unit_random) {
        Settlement::Fail(_) if standing.is_one_of_two => {
            Settlement::LeaveToOther { again_after: None }
        }
        Settlement::Requeue {
            not_before_after, ..
        } if standing.is_one_of_two => Settlement::LeaveToOther {
            again_after: Some(not_before_after),
        },
        decided => decided,
    }
}

/// The same for the only attempt.
fn alone(line: &Line, standing: Standing, rules: Rules, unit_random: f64) -> Settlement {
    match line {
        Line::Succeeded {
            stop_reason,
            schema_ok,
            ..
        } => judge(stop_reason.as_deref(), *schema_ok),
        Line::Errored { error_type } if is_fault_of_request(error_type) => {
            Settlement::Fail(Failure::InvalidRequest)
        }
        Line::Errored { .. } => {
            let tries = standing.tries.saturating_add(1);
            if tries >= rules.max_tries {
                return Settlement::Fail(Failure::TooManyTries);
            }
            let not_before_after = retry::backoff(tries, unit_random);
            Settlement::Requeue {
                counts: true,
                not_before_after,
            }
        }
        Line::Canceled | Line::Expired => Settlement::Requeue {
            counts: false,
            not_before_after: Duration::ZERO,
        },
        Line::Unreadable => Settlement::Fail(Failure::ResultUnreadable),
    }
}

/// A message that was cut off or refused breaks its schema as well; the stop
/// reason is the better explanation, so it is asked first. Stop reasons that
/// do not exist yet count as good: the answer is there, and paid for.
fn judge(stop_reason: Option<&str>, schema_ok: Option<bool>) -> Settlement {
    match stop_reason {
        Some("max_tokens") => Settlement::Fail(Failure::Truncated),
        Some("refusal") => Settlement::Fail(Failure::Refused),
        Some("model_context_window_exceeded") => Settlement::Fail(Failure::ContextExceeded),
        Some("pause_turn") => Settlement::Fail(Failure::Paused),
        // The answer is a call of the tenant's own tool, not the text yet.
        Some("tool_use") => Settlement::Complete,
        _ if schema_ok == Some(false) => Settlement::Fail(Failure::SchemaInvalid),
        _ => Settlement::Complete,
    }
}

/// Errors that the same request would meet again. All others, known or not,
/// may pass, and are bounded by the number of tries.
fn is_fault_of_request(error_type: &str) -> bool {
    matches!(
        error_type,
        "invalid_request_error" | "not_found_error" | "request_too_large"
    )
}

/// Whether Anthropic charges for the line: a message does, unless it is a
/// refusal without content (its usage shows tokens, and they are free).
/// Errored, canceled and expired items are not charged. An unreadable line
/// may well be; what it cost cannot be known, so it is an incident.
pub fn is_billed(line: &Line) -> bool {
    billed_usage(line).is_some()
}

/// The usage to book for the line, if it [is billed](is_billed).
pub fn billed_usage(line: &Line) -> Option<&Usage> {
    match line {
        Line::Succeeded {
            stop_reason,
            usage,
            empty_content,
            ..
        } => {
            let free = *empty_content && stop_reason.as_deref() == Some("refusal");
            (!free).then_some(usage)
        }
        Line::Errored { .. } | Line::Canceled | Line::Expired | Line::Unreadable => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Rules, Settlement, Standing, is_billed, settle};
    use crate::price::Usage;

    fn message(stop_reason: &str, schema_ok: Option<bool>, empty_content: bool) -> Line {
        let stop_reason = Some(stop_reason.to_owned());
        let usage = Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        };
        Line::Succeeded {
            stop_reason,
            usage,
            schema_ok,
            empty_content,
        }
    }

    fn errored(error_type: &str) -> Line {
        Line::Errored {
            error_type: error_type.to_owned(),
        }
    }

    fn word(settlement: Settlement) -> String {
        match settlement {
            Settlement::Complete => "complete".to_owned(),
            Settlement::Fail(failure) => format!("fail {failure}"),
            Settlement::Requeue { counts: true, .. } => "requeue, counts".to_owned(),
            Settlement::Requeue { counts: false, .. } => "requeue, free".to_owned(),
            Settlement::SetAside => "set aside".to_owned(),
            Settlement::LeaveToOther { again_after } => match again_after {
                Some(_) => "left to other, again".to_owned(),
                None => "left to other".to_owned(),
            },
        }
    }

    #[test]
    fn every_kind_of_line() {
        let lines = [
            ("end_turn", message("end_turn", None, false)),
            ("end_turn, fits", message("end_turn", Some(true), false)),
            (
                "end_turn, breaks schema",
                message("end_turn", Some(false), false),
            ),
            ("stop_sequence", message("stop_sequence", None, false)),
            ("tool_use, no text", message("tool_use", Some(false), false)),
            ("from the future", message("sunset", None, false)),
            ("max_tokens", message("max_tokens", Some(false), false)),
            ("refusal, some text", message("refusal", None, false)),
            ("refusal, empty", message("refusal", Some(false), true)),
            ("end_turn, empty", message("end_turn", None, true)),
            (
                "context window",
                message("model_context_window_exceeded", None, false),
            ),
            ("pause_turn", message("pause_turn", None, false)),
            ("invalid_request_error", errored("invalid_request_error")),
            ("not_found_error", errored("not_found_error")),
            ("overloaded_error", errored("overloaded_error")),
            ("api_error", errored("api_error")),
            ("from_the_future", errored("from_the_future")),
            ("canceled", Line::Canceled),
            ("expired", Line::Expired),
            ("unreadable", Line::Unreadable),
        ];
        let first = Standing {
            tries: 0,
            has_ended: false,
            is_one_of_two: false,
        };
        let last = Standing { tries: 4, ..first };
        let ended = Standing {
            has_ended: true,
            ..first
        };
        let other = Standing {
            is_one_of_two: true,
            ..first
        };
        let mut table = vec![format!(
            "{:<24} {:<7} {:<22} {:<22} {:<10} {}",
            "line", "billed", "first try", "fifth try", "ended", "one of two"
        )];
        for (name, line) in lines {
            let [first, last, ended, other] =
                [first, last, ended, other].map(|s| word(settle(&line, s, Rules::default(), 0.5)));
            let billed = is_billed(&line);
            table.push(format!(
                "{name:<24} {billed:<7} {first:<22} {last:<22} {ended:<10} {other}"
            ));
        }
        insta::assert_snapshot!(table.join("\n"), @r"
        line                     billed  first try              fifth try              ended      one of two
        end_turn                 true    complete               complete               set aside  complete
        end_turn, fits           true    complete               complete               set aside  complete
        end_turn, breaks schema  true    fail schema_invalid    fail schema_invalid    set aside  left to other
        stop_sequence            true    complete               complete               set aside  complete
        tool_use, no text        true    complete               complete               set aside  complete
        from the future          true    complete               complete               set aside  complete
        max_tokens               true    fail truncated         fail truncated         set aside  left to other
        refusal, some text       true    fail refused           fail refused           set aside  left to other
        refusal, empty           false   fail refused           fail refused           set aside  left to other
        end_turn, empty          true    complete               complete               set aside  complete
        context window           true    fail context_exceeded  fail context_exceeded  set aside  left to other
        pause_turn               true    fail paused            fail paused            set aside  left to other
        invalid_request_error    false   fail invalid_request   fail invalid_request   set aside  left to other
        not_found_error          false   fail invalid_request   fail invalid_request   set aside  left to other
        overloaded_error         false   requeue, counts        fail too_many_tries    set aside  left to other, again
        api_error                false   requeue, counts        fail too_many_tries    set aside  left to other, again
        from_the_future          false   requeue, counts        fail too_many_tries    set aside  left to other, again
        canceled                 false   requeue, free          requeue, free          set aside  left to other, again
        expired                  false   requeue, free          requeue, free          set aside  left to other, again
        unreadable               false   fail result_unreadable fail result_unreadable set aside  left to other
        ");
    }

    #[test]
    fn counted_tries_wait_and_free_ones_do_not() {
        let standing = Standing {
            tries: 2,
            has_ended: false,
            is_one_of_two: false,
        };
        let wait = |line| match settle(&line, standing, Rules::default(), 1.0) {
            Settlement::Requeue {
                not_before_after, ..
            } => not_before_after.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(errored("overloaded_error")), 8);
        assert_eq!(wait(Line::Expired), 0);
    }
}
