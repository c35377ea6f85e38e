//! Whether a batch is marked for Anthropic's prompt cache, and why.
//!
//! Requests that begin alike may share what Anthropic has read of their
//! beginning, if it is marked: writing it to the cache costs more than reading
//! it plainly (1.25 times, or twice for an hour), finding it there costs a tenth
//! or less. In a batch nobody promises that it is found: Anthropic speaks of 30
//! to 98 %. So each way is priced with the hit rate that was measured lately,
//! or with the low end while nothing was, and the cheapest is taken.
//!
//! One request that goes ahead of the batch ([`Decision::prime`]) may raise the
//! hit rate, since an entry is found only once the first answer has begun; or
//! not. That is not believed but tried, where a vain try costs next to nothing.

use std::time::Duration;

use crate::label::labels;
use crate::money::Pico;
use crate::price::Rates;

mod call;
mod minimum;
mod opening;

pub use call::Called;
pub use minimum::minimum;
pub use opening::opening;

/// What the params of a job begin with and share with others: their opening up
/// to the end of the system prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// SHA-256 of it, and of what else has to be equal for a hit.
    pub hash: [u8; 32],
    /// Where in the params a mark is to be put in: before the brace that closes
    /// the last block.
    pub mark_at: u32,
    /// Its length in tokens, estimated.
    pub tokens: u32,
}

/// Tokens of a text, by the rule of thumb of four bytes each.
pub const fn estimate_tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

labels! {
    /// How the shared prefix of a batch is marked.
    pub enum Mark as "cache mark", as_str {
        /// Not at all.
        None = "none",
        /// To be kept for five minutes after each use.
        FiveMinutes = "5m",
        /// To be kept for an hour after each use.
        OneHour = "1h",
    }
}

impl Mark {
    /// What is put into the last block of the prefix.
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::FiveMinutes => r#","cache_control":{"type":"ephemeral"}"#,
            Self::OneHour => r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#,
        }
    }

    /// How long an entry is kept after its last use.
    pub const fn life(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::FiveMinutes => Duration::from_mins(5),
            Self::OneHour => Duration::from_hours(1),
        }
    }

    fn write(self, rates: &Rates) -> Pico {
        match self {
            Self::None => rates.input,
            Self::FiveMinutes => rates.cache_write_5m,
            Self::OneHour => rates.cache_write_1h,
        }
    }
}

labels! {
    /// Why a batch is marked as it is.
    pub enum Reason as "cache reason", as_str {
        /// What its jobs are known to share is shorter than the model caches.
        TooShort = "too_short",
        /// Too few share it in the time for which an entry is kept.
        TooFew = "too_few",
        /// At the hit rate that is to be expected it would cost more.
        WouldNotPay = "would_not_pay",
        /// Kept for five minutes it pays.
        PaysFiveMinutes = "pays_5m",
        /// Kept for an hour it pays.
        PaysOneHour = "pays_1h",
        /// One request goes ahead, since that has raised the hit rate enough.
        Primed = "primed",
        /// One request goes ahead, to learn what it does to the hit rate.
        Trial = "trial",
    }
}

/// What became of requests that could have found their prefix in the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Those that did.
    pub hits: u64,
    /// All of them.
    pub chances: u64,
}

/// The same by the way in which their batch was marked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// For five minutes, nothing ahead.
    pub short: Seen,
    /// For an hour, nothing ahead.
    pub long: Seen,
    /// For five minutes, primed.
    pub short_primed: Seen,
    /// For an hour, primed.
    pub long_primed: Seen,
}

impl Measured {
    fn of(&self, mark: Mark, prime: bool) -> Seen {
        match (mark, prime) {
            (Mark::None, _) => Seen::default(),
            (Mark::FiveMinutes, false) => self.short,
            (Mark::OneHour, false) => self.long,
            (Mark::FiveMinutes, true) => self.short_primed,
            (Mark::OneHour, true) => self.long_primed,
        }
    }
}

/// What the decision goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Tokens of the shared prefix; 0 for none.
    pub tokens: u32,
    /// Shorter ones the model does not cache.
    pub minimum: u32,
    /// Requests in the batch.
    pub items: u32,
    /// What a token costs in a batch …
    pub batch: Rates,
    /// … and outside, where a request goes ahead of it.
    pub direct: Rates,
    /// How long batches have taken lately; none before some were measured.
    pub turnaround: Option<Duration>,
    /// The last batch with this prefix that was marked: how, and how long ago it
    /// ended.
    pub last: Option<(Mark, Duration)>,
    /// Requests with this prefix within [`Called::WINDOW`], in batches or by
    /// themselves: where many go by, one of them was there before this batch.
    pub flow: u32,
    /// What was measured lately with this very prefix.
    pub own: Measured,
    /// The same with any prefix of this tenant.
    pub all: Measured,
    /// What the prefixes of the measured batches would have cost without marks.
    pub lately: Pico,
}

/// How a batch is marked, and what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// How.
    pub mark: Mark,
    /// Whether one request with the prefix goes ahead, at the normal price.
    pub prime: bool,
    /// Why.
    pub reason: Reason,
    /// What is expected of the best way to mark it, taken or not.
    pub predicted: Predicted,
}

/// What is expected. Money is for the shared prefixes alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Predicted {
    /// Of a thousand requests so many find their prefix in the cache.
    pub hits_per_mille: u32,
    /// What the prefixes cost when marked, what goes ahead included.
    pub with: Pico,
    /// What they cost without.
    pub without: Pico,
}

/// The low end of what Anthropic documents for batches, in a thousand.
const LOW: u64 = 300;
/// What is believed beforehand counts like so many requests that were seen.
const BELIEF: u64 = 20;
/// So many make a figure of their own.
const ENOUGH: u64 = 50;
/// Before any batch was measured: most end within it, Anthropic says.
const ASSUMED_TURNAROUND: Duration = Duration::from_hours(1);
/// A vain try may cost one part in so many of what prefixes cost lately.
const TRIAL_SHARE: i128 = 50;

/// One way to mark, with what it is expected to come to.
#[derive(Clone, Copy)]
struct Way {
    mark: Mark,
    prime: bool,
    hits_per_mille: u32,
    cost: Pico,
}

/// Decides for one batch.
pub fn decide(facts: &Facts) -> Decision {
    let without = facts.without();
    let leave = |reason, best: Option<Way>| Decision {
        mark: Mark::None,
        prime: false,
        reason,
        predicted: Predicted {
            hits_per_mille: best.map_or(0, |way| way.hits_per_mille),
            with: best.map_or(without, |way| way.cost),
            without,
        },
    };
    if facts.tokens == 0 || facts.tokens < facts.minimum {
        return leave(Reason::TooShort, None);
    }
    let warm = facts.is_warm();
    let marks = [Mark::FiveMinutes, Mark::OneHour];
    let marks = marks.into_iter().filter(|mark| facts.lasts(*mark));
    let plain = marks.clone().map(|mark| facts.way(mark, false, None));
    let Some(plain) = plain
        .min_by_key(|way| way.cost)
        .filter(|_| warm || facts.items > 1 || facts.flow > 0)
    else {
        return leave(Reason::TooFew, None);
    };
    // What is warm already needs nothing ahead of it; and what would be cold
    // before the batch runs helps nobody.
    let primed = marks.filter(|mark| !warm && facts.turnaround() <= mark.life());
    let (known, unknown): (Vec<Mark>, Vec<Mark>) =
        primed.partition(|mark| facts.seen(*mark, true).chances >= ENOUGH);
    let best = known
        .into_iter()
        .map(|mark| facts.way(mark, true, None))
        .fold(
            plain,
            |best, way| if way.cost < best.cost { way } else { best },
        );
    let cheapest = best.cost.min(without);
    // In vain it is when no more is found than without.
    let vain = unknown
        .into_iter()
        .map(|mark| facts.way(mark, true, Some(facts.rate(mark, false))))
        .min_by_key(|way| way.cost)
        .filter(|way| (way.cost - cheapest).0 * TRIAL_SHARE <= (cheapest + facts.lately).0);
    let take = |way: Way, reason| Decision {
        mark: way.mark,
        prime: way.prime,
        reason,
        predicted: Predicted {
            hits_per_mille: way.hits_per_mille,
            with: way.cost,
            without,
        },
    };
    match (vain, best) {
        (Some(way), _) => take(way, Reason::Trial),
        (None, best) if best.cost >= without => leave(Reason::WouldNotPay, Some(best)),
        (None, best) if best.prime => take(best, Reason::Primed),
        (None, best) if best.mark == Mark::OneHour => take(best, Reason::PaysOneHour),
        (None, best) => take(best, Reason::PaysFiveMinutes),
    }
}

impl Facts {
    fn turnaround(&self) -> Duration {
        self.turnaround.unwrap_or(ASSUMED_TURNAROUND)
    }

    /// Whether what an earlier batch left in the cache is still there when this
    /// one runs.
    fn is_warm(&self) -> bool {
        self.last
            .is_some_and(|(mark, ago)| ago + self.turnaround() < mark.life())
    }

    /// Whether an entry is kept from one request to the next.
    fn lasts(&self, mark: Mark) -> bool {
        let here = self.turnaround() / self.items.max(1);
        let others = Called::WINDOW.checked_div(self.flow);
        others.map_or(here, |others| others.min(here)) <= mark.life()
    }

    /// The chance that the batch finds an entry, in a thousand, as far as that is a
    /// matter of time.
    fn warmth(&self, mark: Mark) -> u64 {
        if self.is_warm() {
            1000
        } else {
            chance(self.flow, mark)
        }
    }

    /// What was seen of this way: with this prefix, or with any while that is little.
    fn seen(&self, mark: Mark, prime: bool) -> Seen {
        let own = self.own.of(mark, prime);
        if own.chances >= ENOUGH {
            own
        } else {
            self.all.of(mark, prime)
        }
    }

    /// The hit rate to be expected, in a thousand. What was seen of other ways is
    /// believed beforehand: what is kept longer, or was primed, is found no less.
    fn rate(&self, mark: Mark, prime: bool) -> u64 {
        let belief = match (mark, prime) {
            (_, true) => self.rate(mark, false),
            (Mark::OneHour, false) => self.rate(Mark::FiveMinutes, false).max(LOW),
            (Mark::FiveMinutes | Mark::None, false) => LOW,
        };
        let seen = self.seen(mark, prime);
        let hits = seen.hits.min(seen.chances);
        (hits * 1000 + belief * BELIEF) / (seen.chances + BELIEF)
    }

    fn without(&self) -> Pico {
        let tokens = u64::from(self.tokens) * u64::from(self.items);
        self.batch.input * tokens
    }

    /// What a way comes to, at the expected hit rate or at another one.
    fn way(&self, mark: Mark, prime: bool, rate: Option<u64>) -> Way {
        let rate = rate.unwrap_or_else(|| self.rate(mark, prime)).min(1000);
        let items = u64::from(self.items);
        // The first one writes, unless somebody did before.
        let first = if prime { 0 } else { 1000 - self.warmth(mark) };
        let hits = (items * 1000).saturating_sub(first) * rate / 1000;
        let misses = items * 1000 - hits;
        let tokens = u64::from(self.tokens);
        let thousandfold = self.batch.cache_read * hits + mark.write(&self.batch) * misses;
        let in_batch = Pico((thousandfold * tokens).0 / 1000);
        let ahead = if prime {
            mark.write(&self.direct) * tokens
        } else {
            Pico::ZERO
        };
        Way {
            mark,
            prime,
            hits_per_mille: u32::try_from(hits / items.max(1)).unwrap_or(1000),
            cost: in_batch + ahead,
        }
    }
}

/// The chance, in a thousand, that a request finds what so many others in
/// [`Called::WINDOW`] leave there for so long. If they come at random, x of them in
/// that time, it is 1 − e⁻ˣ, which is at least x / (1 + x).
fn chance(flow: u32, mark: Mark) -> u64 {
    let x = u64::from(flow) * mark.life().as_secs();
    1000 * x / (x + Called::WINDOW.as_secs())
}

#[cfg(test)]
mod tests;
