//! What a person wrote where an id is wanted, judged before anything is asked.

use offpeak_domain::id::{GroupId, JobId};

use crate::exit::Failure;
use crate::output::visible;

/// What an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Job,
    Group,
}

/// Of either kind.
pub(super) fn either(text: &str) -> Result<Kind, Failure> {
    kind(text).ok_or_else(|| mistake(text, "an id is job_ or grp_ and 26 letters and digits"))
}

/// That of a job.
pub(super) fn job(text: &str) -> Result<(), Failure> {
    match kind(text) {
        Some(Kind::Job) => Ok(()),
        Some(Kind::Group) => Err(Failure::usage(anyhow::anyhow!(
            "{text} is a group: `offpeak jobs --group {text}` lists its jobs, `offpeak groups \
             {text}` shows it"
        ))),
        None => Err(mistake(
            text,
            "a job's id is job_ and 26 letters and digits",
        )),
    }
}

/// That of a group.
pub(super) fn group(text: &str) -> Result<(), Failure> {
    match kind(text) {
        Some(Kind::Group) => Ok(()),
        Some(Kind::Job) => Err(Failure::usage(anyhow::anyhow!(
            "{text} is a job: `offpeak jobs {text}` shows it"
        ))),
        None => Err(mistake(
            text,
            "a group's id is grp_ and 26 letters and digits",
        )),
    }
}

fn kind(text: &str) -> Option<Kind> {
    if text.parse::<JobId>().is_ok() {
        Some(Kind::Job)
    } else if text.parse::<GroupId>().is_ok() {
        Some(Kind::Group)
    } else {
        None
    }
}

fn mistake(text: &str, like: &str) -> Failure {
    Failure::usage(anyhow::anyhow!(
        "\"{}\" is no id: {like}, as `offpeak groups` and `offpeak jobs` list them",
        visible::line(text)
    ))
}
