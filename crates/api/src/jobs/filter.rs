//! Which jobs: the parameters that a list of jobs takes, and that an operation takes in
//! its body.

use offpeak_domain::id::{BatchId, GroupId};
use offpeak_domain::job::{Failure, State};
use offpeak_store::list::Filter;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::query::Query;

/// Takes them, and notes what is wrong with them.
pub(crate) fn read(query: &mut Query) -> Filter {
    let words = State::ALL
        .iter()
        .map(|state| state.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let mut filter = Filter {
        states: query.words("state", &words, |word| word.parse().ok()),
        group: query.parsed("group", "the id of a group, grp_…", |id| {
            id.parse::<GroupId>().ok()
        }),
        job_type: query.text("type"),
        user: query.text("user"),
        model: query.text("model"),
        label: query.parsed("label", &labels(), |word| {
            let known = Failure::ALL.iter().map(|failure| failure.label());
            known
                .into_iter()
                .find(|label| *label == word)
                .map(str::to_owned)
        }),
        batch: query.parsed("batch", "the id of a batch, bat_…", |id| {
            id.parse::<BatchId>().ok()
        }),
        since: query.parsed("since", TIME, time),
        until: query.parsed("until", TIME, time),
        before: None,
    };
    filter.states.sort_unstable();
    filter.states.dedup();
    filter
}

const TIME: &str = "a time, as in 2026-11-28T05:00:00Z";

/// No row has a time before 1970, and none that PostgreSQL cannot hold.
fn time(text: &str) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    (at >= OffsetDateTime::UNIX_EPOCH).then_some(at)
}

fn labels() -> String {
    let all: Vec<&str> = Failure::ALL.iter().map(|failure| failure.label()).collect();
    format!("one of {}", all.join(", "))
}
