//! Sums over any number of calls, in bounded memory.

use std::collections::{BTreeMap, HashMap};

use time::Date;

use super::lanes::{Assumed, Lanes};
use super::prompt::Prefix;
use crate::cache;
use crate::job::Lane;
use crate::money::Pico;
use crate::price::{Prices, UnknownModel, Usage};

/// Seconds within which equal requests are one: a batch mostly ends within the
/// hour, and as long as one is under way the others wait for its result.
pub const SAME_WITHIN: i64 = 3_600;
/// Seconds that a prompt cache lives from its last use.
const WARM: i64 = 300;
/// Requests that are remembered to know equal ones again: 40 MB.
const REMEMBERED: usize = 1_500_000;
/// Prefixes that are told apart for each model.
const PREFIXES: usize = 20_000;
/// Unknown models that are named; more are counted together.
const NAMED: usize = 50;

/// One call, made or planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// The model's name or alias.
    pub model: &'a str,
    /// The day of its price (UTC).
    pub day: Date,
    /// When it was made, in seconds since 1970; none if it is not known, or still to be made.
    pub at: Option<i64>,
    /// The same for requests that are equal to the byte; none if that is not known.
    pub identity: Option<u64>,
    /// What it may share with others.
    pub prefix: Option<Prefix>,
    /// What it uses, with its whole prompt as uncached input.
    pub usage: Usage,
    /// What it was billed for, if it was made.
    pub logged: Option<Logged>,
}

/// What a call that was made used, and at which price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged {
    /// As it was reported.
    pub usage: Usage,
    /// At half the price or not.
    pub lane: Lane,
}

/// The calls of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The model, by the name that the price list has.
    pub model: String,
    /// Calls.
    pub calls: u64,
    /// Those that repeat another to the byte, within an hour.
    pub repeated: u64,
    /// Calls whose prefix is long enough to be cached and not theirs alone.
    pub sharing: u64,
    /// Prompt tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// What it costs in each lane.
    pub lanes: Lanes,
}

/// Calls taken together.
#[derive(Debug, Default)]
pub struct Tally {
    models: BTreeMap<String, Model>,
    seen: HashMap<u64, Option<i64>>,
    unknown: BTreeMap<String, u64>,
    unnamed: u64,
    full: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    calls: u64,
    repeated: u64,
    input: u64,
    output: u64,
    pub(super) logged: Pico,
    /// Calls that can share nothing.
    pub(super) alone: Plain,
    pub(super) shared: HashMap<u64, Shared>,
}

/// Prices without a cache.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Plain {
    /// Of all calls, at once.
    pub(super) direct: Pico,
    /// Of all calls, in batches.
    pub(super) batch: Pico,
    /// Of each different call once, at once.
    pub(super) once_direct: Pico,
    /// Of each different call once, in batches.
    pub(super) once_batch: Pico,
}

/// Calls with one prefix that is long enough to be cached.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) calls: u64,
    /// Those that come within an hour of another, so that they may find its prefix.
    pub(super) near: u64,
    /// Different ones, and those of them that come within an hour of another.
    pub(super) distinct: u64,
    pub(super) distinct_near: u64,
    /// The latest use, whose cache may still be warm.
    last: Option<i64>,
    pub(super) plain: Plain,
    /// At once and cached, as the times of the calls have it.
    pub(super) timed: Pico,
    /// All calls at once: each writes the prefix, or each reads it.
    pub(super) direct: Cached,
    /// Each different call once, in batches, and the same at the price of at once.
    pub(super) batch: Cached,
    pub(super) once: Cached,
}

/// The price of calls if each writes its prefix, and if each reads it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cached {
    pub(super) write: Pico,
    pub(super) read: Pico,
}

impl Tally {
    /// Takes one more call. One whose model has no price is counted by its name
    /// and never as free.
    pub fn add(&mut self, call: &Call<'_>, prices: &Prices) -> Result<(), UnknownModel> {
        let known = match prices.model(call.model) {
            Ok(known) => known,
            Err(unknown) => {
                self.count_unknown(call.model);
                return Err(unknown);
            }
        };
        let cost = |usage: &Usage, lane| prices.cost(usage, call.model, call.day, lane);
        let (direct, batch) = (
            cost(&call.usage, Lane::Direct)?,
            cost(&call.usage, Lane::Batch)?,
        );
        let logged = match &call.logged {
            Some(logged) => cost(&logged.usage, logged.lane)?,
            None => direct,
        };
        let once = !self.repeats(call);

        let model = self.models.entry(known.id.clone()).or_default();
        model.calls += 1;
        model.repeated += u64::from(!once);
        model.input = model.input.saturating_add(call.usage.prompt());
        model.output = model.output.saturating_add(call.usage.output);
        model.logged += logged;

        let prefix = call.prefix.filter(|prefix| {
            prefix.tokens >= u64::from(cache::minimum(&known.id))
                && (model.shared.contains_key(&prefix.key) || model.shared.len() < PREFIXES)
        });
        let Some(prefix) = prefix else {
            model.alone.add(direct, batch, once);
            return Ok(());
        };
        let shared = model.shared.entry(prefix.key).or_default();
        let tokens = prefix.tokens.min(call.usage.input);
        let rest = Usage {
            input: call.usage.input - tokens,
            ..call.usage
        };
        let write = Usage {
            cache_write_5m: tokens,
            ..rest
        };
        let read = Usage {
            cache_read: tokens,
            ..rest
        };
        let within = |seconds: i64| {
            shared.calls > 0
                && match (shared.last, call.at) {
                    (Some(last), Some(at)) => last.abs_diff(at) <= seconds.unsigned_abs(),
                    _ => true,
                }
        };
        let (warm, near) = (within(WARM), within(SAME_WITHIN));
        shared.last = shared.last.max(call.at);
        shared.calls += 1;
        shared.near += u64::from(near);
        shared.plain.add(direct, batch, once);
        let at_once = Cached {
            write: cost(&write, Lane::Direct)?,
            read: cost(&read, Lane::Direct)?,
        };
        shared.timed += if warm { at_once.read } else { at_once.write };
        shared.direct.add(at_once);
        if once {
            shared.distinct += 1;
            shared.distinct_near += u64::from(near);
            shared.once.add(at_once);
            shared.batch.add(Cached {
                write: cost(&write, Lane::Batch)?,
                read: cost(&read, Lane::Batch)?,
            });
        }
        Ok(())
    }

    /// One row for each model, by name.
    pub fn rows(&self, assumed: Assumed) -> Vec<Row> {
        let row = |(id, model): (&String, &Model)| Row {
            model: id.clone(),
            calls: model.calls,
            repeated: model.repeated,
            sharing: model.sharing().map(|shared| shared.calls).sum(),
            input: model.input,
            output: model.output,
            lanes: Lanes::of(model, assumed),
        };
        self.models.iter().map(row).collect()
    }

    /// Different prefixes that several calls share.
    pub fn prefixes(&self) -> u64 {
        let each = self
            .models
            .values()
            .map(|model| model.sharing().count() as u64);
        each.sum()
    }

    /// Models without a price, with their calls; those beyond the first fifty
    /// under the name "others".
    pub fn unknown(&self) -> Vec<(String, u64)> {
        let named = self
            .unknown
            .iter()
            .map(|(name, calls)| (name.clone(), *calls));
        let rest = (self.unnamed > 0).then(|| ("others".to_owned(), self.unnamed));
        named.chain(rest).collect()
    }

    /// Whether there were more different requests or prefixes than are told apart:
    /// then what repeats and what is shared is more than was counted.
    pub fn is_full(&self) -> bool {
        self.full
            || self
                .models
                .values()
                .any(|model| model.shared.len() >= PREFIXES)
    }

    fn count_unknown(&mut self, name: &str) {
        if let Some(calls) = self.unknown.get_mut(name) {
            *calls += 1;
        } else if self.unknown.len() < NAMED {
            self.unknown.insert(name.to_owned(), 1);
        } else {
            self.unnamed += 1;
        }
    }

    /// Whether the same request is under way, or would be.
    fn repeats(&mut self, call: &Call<'_>) -> bool {
        let Some(identity) = call.identity else {
            return false;
        };
        if let Some(first) = self.seen.get_mut(&identity) {
            return match (*first, call.at) {
                (Some(begun), Some(at)) if begun.abs_diff(at) > SAME_WITHIN.unsigned_abs() => {
                    *first = call.at;
                    false
                }
                _ => true,
            };
        }
        if self.seen.len() < REMEMBERED {
            self.seen.insert(identity, call.at);
        } else {
            self.full = true;
        }
        false
    }
}

impl Model {
    /// Prefixes of more than one call.
    fn sharing(&self) -> impl Iterator<Item = &Shared> {
        self.shared.values().filter(|shared| shared.calls > 1)
    }
}

impl Plain {
    fn add(&mut self, direct: Pico, batch: Pico, once: bool) {
        self.direct += direct;
        self.batch += batch;
        if once {
            self.once_direct += direct;
            self.once_batch += batch;
        }
    }
}

impl Cached {
    fn add(&mut self, other: Self) {
        self.write += other.write;
        self.read += other.read;
    }
}
