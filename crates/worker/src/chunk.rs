//! Result lines on their way to becoming effects.

mod held;

use bytes::Bytes;
use offpeak_anthropic::Line;
use offpeak_anthropic::shape::{ResultKind, ResultLine};
use offpeak_domain::id::{BatchId, CustomId, JobId};
use offpeak_domain::job::{Failure, Lane, Outcome};
use offpeak_domain::job_type::OutputChecker;
use offpeak_domain::price::Usage;
use offpeak_domain::quarantine::{Flaw, Tally, is_too_deep};
use offpeak_domain::settle::{self, Settlement, Standing};
use offpeak_store::mutant;
use offpeak_store::quarantine::{self, Flawed};
use offpeak_store::settle::{Effect, Measured, Next, Released};
use sha2::{Digest, Sha256};
use time::{Date, OffsetDateTime};

pub(crate) use self::held::Lines;
use crate::price::{measured, usage, without_price};
use crate::worker::Setting;

/// One line of ours.
#[derive(Clone)]
pub(crate) struct Ours {
    job: JobId,
    bytes: Bytes,
    /// SHA-256 of the bytes.
    hash: [u8; 32],
    /// Length of the whole line, of which the bytes may be the head.
    length: u64,
    /// What it says: nothing readable if only its head is here, or if the
    /// database refused it.
    said: Said,
    /// What is wrong with it.
    flaw: Option<Flaw>,
    /// A line of this job stood in this download before.
    pub(crate) again: bool,
    /// A newline ended it.
    pub(crate) terminated: bool,
}

impl Ours {
    /// Whose it is.
    pub(crate) fn job(&self) -> JobId {
        self.job
    }

    /// Whether it ends in the middle, as the last line of a download does that
    /// was cut.
    pub(crate) fn is_broken_off(&self) -> bool {
        self.flaw == Some(Flaw::BrokenOff)
    }

    /// Counts it.
    pub(crate) fn count(&self, tally: &mut Tally) {
        let said = &mut tally.said;
        *match self.said.line {
            settle::Line::Succeeded { .. } => &mut said.succeeded,
            settle::Line::Errored { .. } => &mut said.errored,
            settle::Line::Canceled => &mut said.canceled,
            settle::Line::Expired => &mut said.expired,
            settle::Line::Unreadable => &mut tally.unreadable,
        } += 1;
    }

    /// What is put aside of it. A second line that says the same is kept
    /// already; one whose job was never in the batch may be anybody's.
    fn flawed(&self, flaw: Flaw) -> Flawed {
        let head = match flaw {
            Flaw::DuplicateId | Flaw::UnknownId => None,
            _ => Some(self.bytes[..self.bytes.len().min(quarantine::HEAD)].to_vec()),
        };
        Flawed {
            flaw,
            hash: self.hash,
            bytes: self.length,
            head,
        }
    }

    /// Whether the answer fits the schema that the params ask for, if it is an
    /// answer and they ask for one.
    fn fits(&self, params: &[u8], checker: &mut OutputChecker) -> Option<bool> {
        if !matches!(self.said.line, settle::Line::Succeeded { .. }) {
            return None;
        }
        let parsed = ResultLine::parse(&self.bytes).ok()?;
        let text = parsed.text().unwrap_or_default();
        checker.check(params, &text).map(|fits| fits.is_ok())
    }
}

/// Whose line it is.
pub(crate) enum Sorted {
    /// It names a job of this batch.
    Ours(Ours),
    /// It names something else.
    Foreign(Flawed),
    /// It names nothing.
    Unreadable(Flawed),
}

/// Tells whether a line names a job of this batch. Ours is read and hashed at
/// once, while nothing in the database waits for it.
pub(crate) fn sort(line: Line, batch: BatchId) -> Sorted {
    let (bytes, length, oversized, terminated) = match line {
        Line::Whole { bytes, terminated } => {
            let length = bytes.len() as u64;
            (bytes, length, false, terminated)
        }
        Line::Oversized {
            head,
            len,
            terminated,
        } => (head, len, true, terminated),
    };
    let hash = Sha256::digest(&bytes).into();
    // Nothing of its text is kept: it may be anybody's.
    let other = |flaw| Flawed {
        flaw,
        hash,
        bytes: length,
        head: None,
    };
    match whose(&bytes) {
        Whose::Ours(id) if id.batch == batch => {
            let read = if oversized { None } else { read(&bytes) };
            let flaw = match &read {
                // Whoever gets the answer has to read it, too.
                Some(_) if is_too_deep(&bytes) => Some(Flaw::TooDeep),
                Some(_) => None,
                None if oversized => Some(Flaw::Oversized),
                None => Some(Flaw::of_unreadable(&bytes)),
            };
            let said = match read {
                Some(said) if flaw.is_some() => said.not_taken(),
                Some(said) => said,
                None => Said::unreadable(),
            };
            Sorted::Ours(Ours {
                job: id.job,
                hash,
                length,
                said,
                flaw,
                again: false,
                terminated,
                bytes,
            })
        }
        Whose::Ours(_) | Whose::Foreign => Sorted::Foreign(other(Flaw::UnknownId)),
        Whose::Unreadable => Sorted::Unreadable(other(Flaw::NoId)),
    }
}

/// What the `custom_id` of a line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A job and a batch, in our form.
    Ours(CustomId),
    /// Something else.
    Foreign,
    /// There is none to be read.
    Unreadable,
}

/// Reads the custom id of a line, also of one that is broken further on: the
/// value of the first `"custom_id"` in it. Ours consist of characters that JSON
/// never escapes.
pub(crate) fn whose(line: &[u8]) -> Whose {
    let Some(value) = custom_id(line) else {
        return Whose::Unreadable;
    };
    std::str::from_utf8(value)
        .ok()
        .and_then(|value| value.parse().ok())
        .map_or(Whose::Foreign, Whose::Ours)
}

fn custom_id(line: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"\"custom_id\"";
    let at = line.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let rest = line
        .get(at..)?
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start();
    let value = rest.strip_prefix(b"\"")?;
    let end = value.iter().position(|byte| *byte == b'"')?;
    value.get(..end)
}

/// What one line does to its job.
fn effect(
    setting: &Setting,
    of: (Lane, Date),
    line: &Ours,
    said: Said,
    released: Released,
    random: f64,
) -> Effect {
    let standing = Standing {
        tries: released.tries,
        has_ended: released.has_ended(),
        is_one_of_two: released.is_one_of_two(),
    };
    let settlement = settle::settle(&said.line, standing, setting.options.rules, random);
    let usage = settle::billed_usage(&said.line).or(said.billed.as_deref());
    let (measured, billed) = match usage {
        Some(_) if released.has_ended() && mutant!("late_line_free") => {
            (Measured::default(), false)
        }
        Some(usage) => (price(setting, usage, &said, &released, of), true),
        None => (Measured::default(), false),
    };
    Effect {
        next: next(settlement, &said),
        released,
        line_hash: Some(line.hash.to_vec()),
        line: Some(line.bytes.to_vec()),
        model: said.model,
        lane: of.0,
        measured,
        billed,
    }
}

/// Prices what was used. A result is never held back for want of a price: the
/// model asked for stands in for one that is not known; with neither, the tokens
/// are booked as without a known price, loudly.
fn price(
    setting: &Setting,
    usage: &Usage,
    said: &Said,
    released: &Released,
    (lane, day): (Lane, Date),
) -> Measured {
    let answered = said.model.as_deref().unwrap_or(released.asked_model());
    let at = |model| measured(&setting.prices, usage, model, day, lane);
    at(answered)
        .or_else(|_| at(released.asked_model()))
        .unwrap_or_else(|error| {
            tracing::error!(job = %released.job, %error, "booked without a price");
            without_price(usage)
        })
}

/// A line as the rules read it, with what the row holds beside.
#[derive(Clone)]
struct Said {
    line: settle::Line,
    model: Option<String>,
    error_type: Option<String>,
    /// What is billed all the same, of a line that is not taken.
    billed: Option<Box<Usage>>,
}

impl Said {
    fn unreadable() -> Self {
        Self {
            line: settle::Line::Unreadable,
            model: None,
            error_type: None,
            billed: None,
        }
    }

    /// A line that could be read and gives no answer nevertheless.
    fn not_taken(self) -> Self {
        Self {
            billed: settle::billed_usage(&self.line).copied().map(Box::new),
            model: self.model,
            ..Self::unreadable()
        }
    }

    fn stop_reason(&self) -> Option<String> {
        match &self.line {
            settle::Line::Succeeded { stop_reason, .. } => stop_reason.clone(),
            settle::Line::Errored { .. }
            | settle::Line::Canceled
            | settle::Line::Expired
            | settle::Line::Unreadable => None,
        }
    }
}

/// What a line says, if it is a result that this version knows.
fn read(bytes: &[u8]) -> Option<Said> {
    let parsed = ResultLine::parse(bytes).ok()?;
    Some(match &parsed.result {
        ResultKind::Succeeded(message) => Said {
            line: settle::Line::Succeeded {
                stop_reason: message
                    .stop_reason
                    .as_ref()
                    .map(|reason| word(&reason.to_string())),
                usage: usage(&message.usage),
                schema_ok: None,
                empty_content: message.content_empty,
            },
            model: Some(word(&message.model)),
            error_type: None,
            billed: None,
        },
        ResultKind::Errored(error) => {
            let error_type = word(&error.error_type.to_string());
            Said {
                line: settle::Line::Errored {
                    error_type: error_type.clone(),
                },
                error_type: Some(error_type),
                ..Said::unreadable()
            }
        }
        ResultKind::Canceled => Said {
            line: settle::Line::Canceled,
            ..Said::unreadable()
        },
        ResultKind::Expired => Said {
            line: settle::Line::Expired,
            ..Said::unreadable()
        },
        ResultKind::Other(_) => return None,
    })
}

/// A word of Anthropic's as a column holds it: PostgreSQL's text has no NUL, and
/// a name has an end.
fn word(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(200).collect()
}

fn next(settlement: Settlement, said: &Said) -> Next {
    match settlement {
        Settlement::Complete => Next::End {
            outcome: Outcome::Completed,
            failure: None,
            stop_reason: said.stop_reason(),
        },
        Settlement::Fail(failure) => Next::End {
            outcome: Outcome::Failed,
            failure: Some(failure),
            stop_reason: said.stop_reason(),
        },
        Settlement::Requeue {
            counts,
            not_before_after,
        } => Next::Again {
            as_outcome: attempt_outcome(&said.line),
            label: said.error_type.clone(),
            counts,
            after: not_before_after,
            max_items: None,
        },
        Settlement::SetAside => Next::SetAside {
            as_outcome: attempt_outcome(&said.line),
        },
        Settlement::LeaveToOther { again_after } => Next::Leave {
            as_outcome: attempt_outcome(&said.line),
            label: said.error_type.clone(),
            after: again_after,
        },
    }
}

/// The word under which an attempt that did not end its job is remembered.
fn attempt_outcome(line: &settle::Line) -> &'static str {
    match line {
        settle::Line::Succeeded { .. } => "completed",
        settle::Line::Errored { .. } | settle::Line::Unreadable => "errored",
        settle::Line::Canceled => "canceled",
        settle::Line::Expired => "expired",
    }
}

/// How many of these ended their jobs after the deadline.
pub(crate) fn late(effects: &[Effect], now: OffsetDateTime) -> u64 {
    let late = effects.iter().filter(|effect| {
        matches!(effect.next, Next::End { .. })
            && effect
                .released
                .deadline
                .is_some_and(|deadline| deadline < now)
    });
    late.count() as u64
}

/// The effect on a job whose line never came; none on a canceled one.
pub(crate) fn without_line(released: Released) -> Option<Effect> {
    without(released, Failure::ResultMissing)
}

/// The effect on a job of which nothing came back; none on a canceled one.
pub(crate) fn without(released: Released, failure: Failure) -> Option<Effect> {
    let as_outcome = "errored";
    let next = if released.is_one_of_two() {
        Next::Leave {
            as_outcome,
            label: Some(failure.label().to_owned()),
            after: None,
        }
    } else if !released.has_ended() {
        Next::End {
            outcome: Outcome::Failed,
            failure: Some(failure),
            stop_reason: None,
        }
    } else if released.is_beside() {
        Next::SetAside { as_outcome }
    } else {
        return None;
    };
    Some(Effect {
        released,
        next,
        line: None,
        line_hash: None,
        model: None,
        lane: Lane::Batch,
        measured: Measured::default(),
        billed: false,
    })
}

#[cfg(test)]
mod tests {
    use super::{Whose, whose};
    use offpeak_domain::id::{BatchId, CustomId, JobId};
    use uuid::Uuid;

    #[test]
    fn a_custom_id_is_found_in_whatever_is_left_of_a_line() {
        let id = CustomId {
            job: JobId::from_uuid(Uuid::from_u128(7)),
            batch: BatchId::from_uuid(Uuid::from_u128(9)),
        };
        for line in [
            format!(r#"{{"custom_id":"{id}","result":{{"type":"expired"}}}}"#),
            format!(r#"{{ "custom_id" : "{id}", "result": {{"type":"succ"#),
            format!(r#"{{"result":{{"type":"expired"}},"custom_id":"{id}"}}"#),
        ] {
            assert_eq!(whose(line.as_bytes()), Whose::Ours(id), "{line}");
        }
        for line in [r#"{"custom_id":"j-01"}"#, "{\"custom_id\":\"\u{fffd}\"}"] {
            assert_eq!(whose(line.as_bytes()), Whose::Foreign, "{line}");
        }
        for line in [
            "",
            "{}",
            r#"{"custom_id":7}"#,
            r#"{"custom_id":"o1_01"#,
            "\u{fffd}",
        ] {
            assert_eq!(whose(line.as_bytes()), Whose::Unreadable, "{line}");
        }
    }
}
