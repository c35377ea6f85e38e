//! Takes in what is to be priced, one job or call at a time: nothing of a line
//! is kept but sums and hashes.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use offpeak_domain::FieldError;
use offpeak_domain::estimate::{Basis, Calibration, Call, Drift, Logged, Prefix, Prompt, Tally};
use offpeak_domain::price::{Prices, Usage};
use serde_json::Value;
use time::Date;

use super::line::{self, Ask, Line};
use super::moment;
use super::types::Types;
use crate::output::visible;

/// Longest line, as the server has it.
const LONGEST: u64 = 32_000_000;
/// Faults that are told one by one.
const TOLD: usize = 10;
/// The key of prefixes that are known from their usage alone.
const CACHED: u64 = 0;

/// What was taken in so far.
#[derive(Debug)]
pub(crate) struct Reading {
    prices: Prices,
    types: Types,
    today: Date,
    /// The length of every answer that is not known, as it was said.
    said: Option<u64>,
    pub(super) tally: Tally,
    pub(super) calls: u64,
    /// Calls that were made, with their usage.
    pub(super) logged: u64,
    /// Calls that ended in an error.
    pub(super) unbilled: u64,
    /// Calls that were logged without their request.
    pub(super) bare: u64,
    /// On what the lengths of answers are founded.
    pub(super) bases: BTreeMap<Basis, u64>,
    /// First and last day of the calls that say when they were made.
    pub(super) days: Option<(Date, Date)>,
    pub(super) drift: Drift,
    /// Faults, the first of them in words.
    pub(super) faults: Vec<String>,
    pub(super) left_out: u64,
}

impl Reading {
    pub(crate) fn new(prices: Prices, types: Types, today: Date, said: Option<u64>) -> Self {
        Self {
            prices,
            types,
            today,
            said,
            tally: Tally::default(),
            calls: 0,
            logged: 0,
            unbilled: 0,
            bare: 0,
            bases: BTreeMap::new(),
            days: None,
            drift: Drift::default(),
            faults: Vec::new(),
            left_out: 0,
        }
    }

    /// One job of a type, as it would be submitted.
    pub(crate) fn job(&mut self, job_type: &str, input: &Value) -> Result<(), String> {
        let length = self.types.length(job_type);
        let compiled = self.types.get(job_type)?;
        compiled
            .check_input(input)
            .map_err(|faults| in_words("/input", &faults))?;
        let body = compiled.render(input).map_err(|error| error.to_string())?;
        let body = String::from_utf8(body).map_err(|error| error.to_string())?;
        let prompt = Prompt::read(&body, None, &Calibration::SHIPPED)
            .map_err(|fault| in_words("", &[fault]))?;
        self.planned(&prompt, length, None);
        Ok(())
    }

    /// One file's fault.
    pub(super) fn fault(&mut self, file: &Path, line: Option<u64>, what: &str) {
        self.left_out += 1;
        if self.faults.len() < TOLD {
            let line = line.map_or(String::new(), |line| format!(", line {line}"));
            self.faults
                .push(format!("{}{line}: {what}", visible::path(file)));
        }
    }

    /// Whether a job type can be used at all.
    pub(super) fn check_type(&mut self, name: &str) -> Result<(), String> {
        self.types.get(name).map(drop)
    }

    /// All lines of a stream. `told` hears of each with its length in bytes.
    pub(super) fn lines(
        &mut self,
        from: &mut dyn BufRead,
        file: &Path,
        told: &mut dyn FnMut(&Self, u64),
    ) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let mut number = 0;
        loop {
            bytes.clear();
            let length = read_line(from, &mut bytes)?;
            if length == 0 {
                return Ok(());
            }
            number += 1;
            let done = match std::str::from_utf8(&bytes) {
                _ if length > LONGEST => Err(format!("is longer than {LONGEST} bytes")),
                Err(_) => Err("is not UTF-8 text".to_owned()),
                Ok(text) => self.line(text.trim_start_matches('\u{feff}').trim()),
            };
            if let Err(what) = done {
                self.fault(file, Some(number), &what);
            }
            told(self, length);
        }
    }

    fn line(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let line = line::read(text).map_err(|fault| in_words("", &[fault]))?;
        match &line.ask {
            Ask::Unbilled => self.unbilled += 1,
            Ask::Job { job_type, input } => {
                let input: Value =
                    serde_json::from_str(input).map_err(|_| "/input: is not JSON".to_owned())?;
                self.job(job_type, &input)?;
            }
            Ask::Unknown => {
                let (Some(model), Some(logged)) = (&line.model, line.logged) else {
                    return Err("/model: must be the name of a model".to_owned());
                };
                self.made(model, None, logged, line.at);
            }
            Ask::Request { place, body } => {
                let own = place.is_empty().then_some(&line::OWN[..]);
                let at = if place.is_empty() {
                    String::new()
                } else {
                    format!("/{place}")
                };
                let prompt = Prompt::read(body, own, &Calibration::SHIPPED)
                    .map_err(|fault| in_words(&at, &[fault]))?;
                self.request(&line, &prompt);
            }
        }
        Ok(())
    }

    fn request(&mut self, line: &Line<'_>, prompt: &Prompt<'_>) {
        match line.logged {
            Some(logged) => {
                let model = line.model.as_deref().unwrap_or(&prompt.model);
                if self.made(model, Some(prompt), logged, line.at) {
                    self.drift.add(prompt.tokens, logged.usage.prompt());
                }
            }
            None => self.planned(prompt, None, line.at),
        }
    }

    /// A call that was made: what it used is known. Whether it has a price.
    fn made(
        &mut self,
        model: &str,
        prompt: Option<&Prompt<'_>>,
        logged: Logged,
        at: Option<i64>,
    ) -> bool {
        let used = logged.usage;
        let whole = used.prompt();
        // The estimate says which part of the prompt is shared, the usage how long that is.
        let shared = prompt.and_then(|prompt| {
            let part = u128::from(prompt.prefix?.tokens) * u128::from(whole);
            let tokens = u64::try_from(part / u128::from(prompt.tokens)).unwrap_or(whole);
            Some(Prefix {
                tokens,
                ..prompt.prefix?
            })
        });
        // What was cached can be cached again.
        let cached = whole - used.input;
        let prefix = match shared {
            Some(shared) => Some(Prefix {
                tokens: shared.tokens.max(cached),
                ..shared
            }),
            None => (cached > 0).then_some(Prefix {
                key: CACHED,
                tokens: cached,
            }),
        };
        let priced = self.add(
            &Call {
                model,
                day: self.today,
                at,
                identity: prompt.map(|prompt| prompt.identity),
                prefix,
                usage: Usage {
                    input: whole,
                    output: used.output,
                    web_searches: used.web_searches,
                    geo_us: used.geo_us,
                    ..Usage::default()
                },
                logged: Some(logged),
            },
            Basis::Logged,
        );
        self.logged += u64::from(priced);
        self.bare += u64::from(priced && prompt.is_none());
        priced
    }

    /// One that is still to be made, or was logged without its usage.
    fn planned(&mut self, prompt: &Prompt<'_>, measured: Option<u64>, at: Option<i64>) {
        let (output, basis) = match (self.said, measured) {
            (Some(said), _) => (said, Basis::Said),
            (None, Some(measured)) => (measured, Basis::Measured),
            (None, None) => (prompt.answer, prompt.basis),
        };
        self.add(
            &Call {
                model: &prompt.model,
                day: self.today,
                at,
                identity: Some(prompt.identity),
                prefix: prompt.prefix,
                usage: Usage {
                    input: prompt.tokens,
                    output,
                    geo_us: prompt.geo_us,
                    ..Usage::default()
                },
                logged: None,
            },
            basis,
        );
    }

    /// Whether it has a price: a model without one is counted under its name.
    fn add(&mut self, call: &Call<'_>, basis: Basis) -> bool {
        let day = call.at.and_then(moment::day);
        let call = Call {
            day: day.unwrap_or(self.today),
            ..*call
        };
        if self.tally.add(&call, &self.prices).is_err() {
            return false;
        }
        if let Some(day) = day {
            let (first, last) = self.days.unwrap_or((day, day));
            self.days = Some((first.min(day), last.max(day)));
        }
        self.calls += 1;
        *self.bases.entry(basis).or_default() += 1;
        true
    }
}

/// One line with its end; of one that is too long only so much that this can be told.
fn read_line(from: &mut dyn BufRead, line: &mut Vec<u8>) -> std::io::Result<u64> {
    let mut length = 0;
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Ok(length);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        if length <= LONGEST {
            line.extend_from_slice(&buffer[..taken]);
        }
        from.consume(taken);
        length += taken as u64;
        if end.is_some() {
            return Ok(length);
        }
    }
}

/// Faults of a part of the line that stands at `place`.
fn in_words(place: &str, faults: &[FieldError]) -> String {
    let each = faults
        .iter()
        .map(|fault| match format!("{place}{}", fault.pointer) {
            at if at.is_empty() => fault.message.clone(),
            at => format!("{at}: {}", fault.message),
        });
    each.collect::<Vec<_>>().join("; ")
}
