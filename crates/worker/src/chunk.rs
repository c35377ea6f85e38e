//! Result lines on their way to becoming effects.

use std::collections::HashMap;

use bytes::Bytes;
use offpeak_anthropic::Line;
use offpeak_anthropic::shape::{ResultKind, ResultLine};
use offpeak_domain::id::{BatchId, CustomId, JobId};
use offpeak_domain::job::{Failure, Outcome};
use offpeak_domain::job_type::OutputChecker;
use offpeak_domain::settle::{self, Settlement, Standing};
use offpeak_store::settle::{Effect, Measured, Next, Released};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::Result;
use crate::price::{measured, usage};
use crate::worker::Setting;

/// One line of ours.
pub(crate) struct Ours {
    job: JobId,
    bytes: Bytes,
    /// Longer than a line may be: only its head is here.
    oversized: bool,
}

/// Whose line it is.
pub(crate) enum Sorted {
    /// It names a job of this batch.
    Ours(Ours),
    /// It names something else, or nothing.
    Foreign,
}

/// Tells whether a line names a job of this batch.
pub(crate) fn sort(line: Line, batch: BatchId) -> Sorted {
    let (bytes, oversized) = match line {
        Line::Whole { bytes, .. } => (bytes, false),
        Line::Oversized { head, .. } => (head, true),
    };
    match custom_id(&bytes) {
        Some(id) if id.batch == batch => Sorted::Ours(Ours {
            job: id.job,
            bytes,
            oversized,
        }),
        _ => Sorted::Foreign,
    }
}

/// The custom id of a line, also of one that is broken further on: the value of
/// the first `"custom_id"` in it. Ours consist of characters that JSON never
/// escapes.
pub(crate) fn custom_id(line: &[u8]) -> Option<CustomId> {
    const NAME: &[u8] = b"\"custom_id\"";
    let at = line.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let rest = line
        .get(at..)?
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start();
    let value = rest.strip_prefix(b"\"")?.get(..CustomId::LEN)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The lines of one transaction.
#[derive(Default)]
pub(crate) struct Lines {
    lines: Vec<Ours>,
    bytes: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, line: Ours) {
        self.bytes += line.bytes.len();
        self.lines.push(line);
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn jobs(&self) -> Vec<JobId> {
        self.lines.iter().map(|line| line.job).collect()
    }

    /// One effect for each job that was taken out of flight; the other lines are
    /// replays. A second line of the same job finds it gone.
    pub(crate) fn effects(
        self,
        setting: &Setting,
        now: OffsetDateTime,
        released: &mut HashMap<JobId, Released>,
        params: &HashMap<JobId, Vec<u8>>,
    ) -> Result<Vec<Effect>> {
        let mut effects = Vec::with_capacity(released.len());
        // Jobs of one type share a schema: compiled once a chunk.
        let mut checker = OutputChecker::new();
        for line in self.lines {
            let Some(row) = released.remove(&line.job) else {
                continue;
            };
            let params = params.get(&line.job).map(Vec::as_slice);
            let said = if line.oversized {
                Said::unreadable()
            } else {
                read(&line.bytes, params, &mut checker)
            };
            effects.push(effect(setting, now, &line, row, said)?);
        }
        Ok(effects)
    }
}

/// What one line does to its job.
fn effect(
    setting: &Setting,
    now: OffsetDateTime,
    line: &Ours,
    released: Released,
    said: Said,
) -> Result<Effect> {
    let standing = Standing {
        tries: released.tries,
        canceled_by_user: released.canceled,
    };
    let settlement = settle::settle(
        &said.line,
        standing,
        setting.options.rules,
        setting.unit_random(),
    );
    let (measured, billed) = match settle::billed_usage(&said.line) {
        Some(usage) => {
            let model = said.model.as_deref().unwrap_or(released.asked_model());
            // A price that is missing must not lose a result: the model asked
            // for was known at submit, and what it answers with costs the same.
            let money = measured(&setting.prices, usage, model, now.date()).or_else(|_| {
                measured(&setting.prices, usage, released.asked_model(), now.date())
            })?;
            (money, true)
        }
        None => (Measured::default(), false),
    };
    Ok(Effect {
        next: next(settlement, &said),
        released,
        line_hash: Some(Sha256::digest(&line.bytes).to_vec()),
        line: Some(line.bytes.to_vec()),
        model: said.model,
        measured,
        billed,
    })
}

/// A line as the rules read it, with what the row holds beside.
struct Said {
    line: settle::Line,
    model: Option<String>,
    stop_reason: Option<String>,
    error_type: Option<String>,
}

impl Said {
    fn unreadable() -> Self {
        Self {
            line: settle::Line::Unreadable,
            model: None,
            stop_reason: None,
            error_type: None,
        }
    }
}

fn read(bytes: &[u8], params: Option<&[u8]>, checker: &mut OutputChecker) -> Said {
    let Ok(parsed) = ResultLine::parse(bytes) else {
        return Said::unreadable();
    };
    match &parsed.result {
        ResultKind::Succeeded(message) => {
            let stop_reason = message.stop_reason.as_ref().map(ToString::to_string);
            let schema_ok = params
                .and_then(|params| checker.check(params, &message.text().unwrap_or_default()))
                .map(|fits| fits.is_ok());
            Said {
                line: settle::Line::Succeeded {
                    stop_reason: stop_reason.clone(),
                    usage: usage(&message.usage),
                    schema_ok,
                    empty_content: message.content_empty,
                },
                model: Some(message.model.clone()),
                stop_reason,
                error_type: None,
            }
        }
        ResultKind::Errored(error) => {
            let error_type = error.error_type.to_string();
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
        ResultKind::Other(_) => Said::unreadable(),
    }
}

fn next(settlement: Settlement, said: &Said) -> Next {
    match settlement {
        Settlement::Complete => Next::End {
            outcome: Outcome::Completed,
            failure: None,
            stop_reason: said.stop_reason.clone(),
        },
        Settlement::Fail(failure) => Next::End {
            outcome: Outcome::Failed,
            failure: Some(failure),
            stop_reason: said.stop_reason.clone(),
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

/// The effect on a job whose line never came; none on a canceled one.
pub(crate) fn without_line(released: Released) -> Option<Effect> {
    (!released.canceled).then(|| Effect {
        released,
        next: Next::End {
            outcome: Outcome::Failed,
            failure: Some(Failure::ResultMissing),
            stop_reason: None,
        },
        line: None,
        line_hash: None,
        model: None,
        measured: Measured::default(),
        billed: false,
    })
}

#[cfg(test)]
mod tests {
    use super::custom_id;
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
            assert_eq!(custom_id(line.as_bytes()), Some(id), "{line}");
        }
        for line in [
            "",
            "{}",
            r#"{"custom_id":"j-01"}"#,
            r#"{"custom_id":7}"#,
            "\u{fffd}",
        ] {
            assert_eq!(custom_id(line.as_bytes()), None, "{line}");
        }
    }
}
