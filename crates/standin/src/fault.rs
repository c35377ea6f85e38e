//! Faults that can be asked for. Each has a count and is gone when it is used up.
//! Kept in memory only: a restart clears them (but what a batch was given at its
//! creation stays with it).

pub(crate) mod lines;
pub(crate) mod plan;
pub(crate) mod rule;

use serde::{Deserialize, Serialize};

use offpeak_anthropic::shape::ErrorKind;

use crate::dice::Dice;
use crate::refusal::Refusal;

use rule::{Call, Fault, Form, Rule, Times};

/// What is going to go wrong. The same form is read and shown by
/// `/_standin/faults`; fields that are left out stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// The next creates are answered with an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_status: Option<CreateStatus>,
    /// So many creates are stored, then their connection is closed without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_create_answer: Option<u32>,
    /// The next results downloads break off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results_cut: Option<ResultsCut>,
    /// So many batches to come are never processed, until they are released,
    /// canceled or a day old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<u32>,
    /// Everything else, in the order in which it is tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// What a rule is asked about a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) call: Call,
    pub(crate) key: &'a str,
    /// The batch that it is about, and its age in milliseconds, where it is known.
    pub(crate) batch: Option<(&'a str, Option<u64>)>,
    /// It was redirected once.
    pub(crate) redirected: bool,
}

/// An error in place of the answer to a create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateStatus {
    /// HTTP status of the answer.
    pub status: u16,
    /// Whether the batch is stored before the error is answered.
    #[serde(default)]
    pub stored: bool,
    /// How many creates.
    #[serde(default = "once")]
    pub times: u32,
    /// `retry-after` header, as it is to stand there.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// `error.details.error_code`.
    #[serde(default)]
    pub code: Option<String>,
    /// Answer with a web page in place of the API's envelope.
    #[serde(default)]
    pub html: bool,
}

/// A results download that breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultsCut {
    /// After so many lines.
    pub after_lines: usize,
    /// How many downloads.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

impl Faults {
    /// Takes over what the other one sets.
    pub(crate) fn merge(&mut self, set: Self) {
        let Self {
            create_status,
            drop_create_answer,
            results_cut,
            hold,
            rules,
        } = set;
        self.create_status = create_status.or_else(|| self.create_status.take());
        self.drop_create_answer = drop_create_answer.or(self.drop_create_answer);
        self.results_cut = results_cut.or(self.results_cut);
        self.hold = hold.or(self.hold);
        self.rules.extend(rules);
    }

    /// The faults that fall on a call, in order; counts them down. `draw` tells
    /// this call from all others.
    pub(crate) fn draw(&mut self, facts: Facts<'_>, seed: u64, draw: &str) -> Vec<Fault> {
        let mut drawn = Vec::new();
        let mut number = 0_u32;
        self.rules.retain_mut(|rule| {
            number += 1;
            if !rule.meets(facts) {
                return true;
            }
            let dice = Dice::new(seed, &["rule", draw, &number.to_string()]).share();
            if dice >= rule.chance {
                return true;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return true;
            }
            match &mut rule.times {
                Times::Word(_) => {}
                Times::Count(0) => return false,
                Times::Count(left) => *left -= 1,
            }
            drawn.push(rule.fault.clone());
            rule.times != Times::Count(0)
        });
        drawn
    }

    /// The error for a create that is answered before (or after) it is stored.
    pub(crate) fn create_error(&mut self, stored: bool) -> Option<Refusal> {
        let fault = self
            .create_status
            .as_mut()
            .filter(|fault| fault.stored == stored)?;
        let refusal = Refusal {
            code: fault.code.as_deref().map(Into::into),
            retry_after: fault.retry_after.as_deref().map(Into::into),
            form: if fault.html {
                Form::Html
            } else {
                Form::Envelope
            },
            ..Refusal::new(
                fault.status,
                kind(fault.status),
                "A fault that was asked for",
            )
        };
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.create_status = None;
        }
        Some(refusal)
    }

    pub(crate) fn drops_answer(&mut self) -> bool {
        count_down(&mut self.drop_create_answer)
    }

    pub(crate) fn holds(&mut self) -> bool {
        count_down(&mut self.hold)
    }

    /// After how many lines this download breaks off.
    pub(crate) fn cut(&mut self) -> Option<usize> {
        let fault = self.results_cut.as_mut()?;
        let after = fault.after_lines;
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.results_cut = None;
        }
        Some(after)
    }
}

impl Rule {
    fn meets(&self, facts: Facts<'_>) -> bool {
        let called = self.on.is_empty() || self.on.contains(&Call::Any);
        if !called && !self.on.contains(&facts.call) {
            return false;
        }
        if facts.redirected && matches!(self.fault, Fault::Redirect { .. }) {
            return false;
        }
        if self.key.as_deref().is_some_and(|key| key != facts.key) {
            return false;
        }
        let (id, age) = facts.batch.unzip();
        if self.batch.is_some() && self.batch.as_deref() != id {
            return false;
        }
        self.younger_ms
            .is_none_or(|limit| age.flatten().is_some_and(|age| age < limit))
    }
}

impl rule::Status {
    /// The error that it stands for.
    pub(crate) fn refusal(&self) -> Refusal {
        let kind = self
            .kind
            .as_deref()
            .map_or_else(|| kind(self.status), ErrorKind::from);
        let message = self.message.as_deref();
        Refusal {
            code: self.code.as_deref().map(Into::into),
            retry_after: self.retry_after.as_deref().map(Into::into),
            retry_after_ms: self.retry_after_ms.as_deref().map(Into::into),
            should_retry: self.should_retry,
            form: self.body,
            ..Refusal::new(
                self.status,
                kind,
                message.unwrap_or("A fault that was asked for"),
            )
        }
    }
}

fn count_down(left: &mut Option<u32>) -> bool {
    let Some(count) = left.filter(|count| *count > 0) else {
        *left = None;
        return false;
    };
    *left = Some(count - 1).filter(|count| *count > 0);
    true
}

/// The `error.type` that goes with a status.
pub(crate) fn kind(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Billing,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimit,
        400..=499 => ErrorKind::InvalidRequest,
        504 => ErrorKind::Timeout,
        529 => ErrorKind::Overloaded,
        _ => ErrorKind::Api,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_used_up() {
        let mut faults = Faults::default();
        faults.merge(serde_json::from_str(r#"{"hold":2}"#).unwrap());
        faults.merge(
            serde_json::from_str(
                r#"{"create_status":{"status":529,"stored":true},"results_cut":{"after_lines":3}}"#,
            )
            .unwrap(),
        );
        assert_eq!(
            (faults.holds(), faults.holds(), faults.holds()),
            (true, true, false)
        );
        assert!(faults.create_error(false).is_none());
        assert_eq!(faults.create_error(true).unwrap().status, 529);
        assert!(faults.create_error(true).is_none());
        assert_eq!((faults.cut(), faults.cut()), (Some(3), None));
        assert!(!faults.drops_answer());
        assert_eq!(faults, Faults::default());
    }
}
