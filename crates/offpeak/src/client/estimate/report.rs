//! What an estimate says, for programs and for both pages.

use offpeak_domain::estimate::{Assumed, Basis, Lanes, Row, Through};
use offpeak_domain::money::Pico;
use serde::Serialize;

use super::reading::Reading;
use crate::output::count;

/// The whole estimate.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Requests that are priced.
    pub(super) requests: u64,
    /// Those of them that were made already, with their usage.
    pub(super) logged: u64,
    /// Calls that ended in an error, and are billed to nobody.
    pub(super) unbilled: u64,
    /// Lines and files that could not be read.
    pub(super) left_out: u64,
    /// First and last day (UTC) of the calls that say when they were made.
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    /// Requests that repeat another to the byte.
    pub(super) repeated: u64,
    /// Requests whose cacheable prefix is not theirs alone, and the prefixes.
    pub(super) sharing: u64,
    pub(super) prefixes: u64,
    pub(super) urgent_percent: u8,
    pub(super) lanes: Costs,
    pub(super) models: Vec<ModelCosts>,
    /// Models without a price; their requests are in no sum.
    pub(super) unknown_models: Vec<Unknown>,
    /// One line each.
    pub(super) assumptions: Vec<String>,
}

/// In dollars, exact.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Costs {
    /// As the calls were made; null when none was.
    pub(super) logged: Option<Pico>,
    pub(super) sync: Pico,
    pub(super) sync_cached: Pico,
    pub(super) batch: Pico,
    pub(super) offpeak: [Hits; 3],
}

/// Through offpeak, at one rate of cache hits.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Hits {
    pub(super) hit_percent: u8,
    pub(super) cost: Pico,
    /// Against `sync`; with `cost` they make it.
    pub(super) saved: Saved,
}

/// What is saved, by what saves it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Saved {
    pub(super) batch: Pico,
    pub(super) cache: Pico,
    pub(super) duplicates: Pico,
}

/// One model's part.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ModelCosts {
    pub(super) model: String,
    pub(super) requests: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) lanes: Costs,
}

/// Requests that no price is known for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Unknown {
    pub(super) model: String,
    pub(super) requests: u64,
}

impl Report {
    pub(crate) fn of(reading: &Reading, assumed: Assumed) -> Self {
        let rows = reading.tally.rows(assumed);
        let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
        let was_made = reading.logged > 0;
        let lanes = rows.iter().map(|row| row.lanes).sum();
        let mut report = Self {
            requests: reading.calls,
            logged: reading.logged,
            unbilled: reading.unbilled,
            left_out: reading.left_out,
            from: reading.days.map(|(first, _)| first.to_string()),
            to: reading.days.map(|(_, last)| last.to_string()),
            input_tokens: sum(|row| row.input),
            output_tokens: sum(|row| row.output),
            repeated: sum(|row| row.repeated),
            sharing: sum(|row| row.sharing),
            prefixes: reading.tally.prefixes(),
            urgent_percent: assumed.urgent,
            lanes: Costs::of(&lanes, assumed, was_made),
            models: rows
                .iter()
                .map(|row| ModelCosts {
                    model: row.model.clone(),
                    requests: row.calls,
                    input_tokens: row.input,
                    output_tokens: row.output,
                    lanes: Costs::of(&row.lanes, assumed, was_made),
                })
                .collect(),
            unknown_models: reading
                .tally
                .unknown()
                .into_iter()
                .map(|(model, requests)| Unknown { model, requests })
                .collect(),
            assumptions: Vec::new(),
        };
        report.assumptions = report.assumptions(reading, assumed);
        report
    }

    /// What it is compared with: what was paid, or what would be at once.
    pub(super) fn base(&self) -> Pico {
        self.lanes.logged.unwrap_or(self.lanes.sync)
    }

    /// With as many cache hits as there are as a rule.
    pub(super) fn middle(&self) -> Hits {
        self.lanes.offpeak[1]
    }

    /// Through offpeak, as a rule.
    pub(crate) fn offpeak(&self) -> Pico {
        self.middle().cost
    }

    /// At once, nothing cached.
    pub(crate) fn sync(&self) -> Pico {
        self.lanes.sync
    }

    /// Tokens in and out.
    pub(crate) fn tokens(&self) -> u64 {
        self.input_tokens + self.output_tokens
    }

    /// Whether the rate of cache hits makes a difference.
    pub(super) fn caches(&self) -> bool {
        let [few, _, many] = self.lanes.offpeak;
        few.cost != many.cost
    }

    fn assumptions(&self, reading: &Reading, assumed: Assumed) -> Vec<String> {
        let mut lines = vec![
            "Prices are Anthropic's list prices of the day of each call, today's where no time is \
             given; a batch halves every token and no web search."
                .to_owned(),
        ];
        let counted = "four bytes a token, calibrated against offpeak's stand-in; a real model's \
                       count differs";
        match self.requests - self.logged {
            0 if reading.bare == self.logged => {}
            0 => lines.push(format!(
                "Tokens are those that were billed; which part of a prompt is shared goes by an \
                 estimate ({counted})."
            )),
            planned => lines.push(format!(
                "Prompt tokens of {} are estimated ({counted}).",
                requests(planned)
            )),
        }
        if let Some(permille) = reading.drift.permille() {
            lines.push(format!(
                "That way of counting is off by {} where it can be compared with what was billed \
                 ({}).",
                signed(permille),
                requests(reading.drift.prompts)
            ));
        }
        for (basis, calls) in &reading.bases {
            lines.extend(founded(*basis, *calls));
        }
        lines.push(format!(
            "{} % of the requests are urgent and go at once, at the full price{}.",
            assumed.urgent,
            if assumed.urgent == 0 {
                " (--urgent 35% to see that)"
            } else {
                ""
            }
        ));
        if self.sharing > 0 {
            let [few, middle, many] = assumed.hits;
            lines.push(format!(
                "Shared prefixes are tools and system prompt, cached for five minutes in both lanes where that \
                 pays; {few} %, {middle} % and {many} % of the reads find theirs (caching in batches \
                 is best effort)."
            ));
            lines.push(
                "Synchronous caching is at its best: every call finds the prefix that another used \
                 in the five minutes before, or always where no times are given."
                    .to_owned(),
            );
        } else {
            lines.push(
                "Nothing is cached: no tools and system prompt that requests share are as long as \
                 their model asks for."
                    .to_owned(),
            );
        }
        lines.push(
            "Requests that are equal to the byte within an hour of the first are paid once, unless \
             they are urgent."
                .to_owned(),
        );
        if reading.bare > 0 {
            lines.push(format!(
                "Where the text was not logged ({}), equal requests and prefixes that were not \
                 cached cannot be seen.",
                requests(reading.bare)
            ));
        }
        if reading.tally.is_full() {
            lines.push(
                "There are more different requests or prefixes than are told apart (1,500,000 and \
                 20,000): later ones count as different and as not shared."
                    .to_owned(),
            );
        }
        lines
    }
}

impl Costs {
    fn of(lanes: &Lanes, assumed: Assumed, was_made: bool) -> Self {
        let hits = |at: usize| {
            let Through {
                cost,
                duplicates,
                batch,
                cache,
            } = lanes.offpeak[at];
            Hits {
                hit_percent: assumed.hits[at],
                cost,
                saved: Saved {
                    batch,
                    cache,
                    duplicates,
                },
            }
        };
        Self {
            logged: was_made.then_some(lanes.logged),
            sync: lanes.sync,
            sync_cached: lanes.sync_cached,
            batch: lanes.batch,
            offpeak: [hits(0), hits(1), hits(2)],
        }
    }
}

/// How the lengths of answers came about.
fn founded(basis: Basis, calls: u64) -> Option<String> {
    let how = match basis {
        Basis::Logged => return None,
        Basis::Measured => "is the average of the last 30 days of their job type on your server",
        Basis::Said => "is what --output-tokens says",
        Basis::Schema => "follows from the schema that the answer has to fit",
        Basis::Words => "is 1.4 tokens for each word that the prompt allows",
        Basis::Nothing => {
            "is not known: 300 tokens, within max_tokens (--output-tokens N for another number)"
        }
    };
    Some(format!("Output of {} {how}.", requests(calls)))
}

/// `1 request`, `1,234 requests`.
pub(super) fn requests(number: u64) -> String {
    format!(
        "{} request{}",
        count(number),
        if number == 1 { "" } else { "s" }
    )
}

/// Tenths of a percent: `+1.2 %`.
fn signed(permille: i64) -> String {
    let sign = if permille < 0 { "-" } else { "+" };
    let value = permille.unsigned_abs();
    format!("{sign}{}.{} %", value / 10, value % 10)
}

/// A share in percent, with one digit: `36.4 %`.
pub(super) fn percent(part: Pico, whole: Pico) -> String {
    if whole.0 == 0 {
        return "-".to_owned();
    }
    let permille = (part.0 * 2_000 + whole.0) / (2 * whole.0);
    format!("{}.{} %", permille / 10, permille % 10)
}
