//! From the usage that Anthropic reports to money.

use offpeak_anthropic::shape;
use offpeak_domain::job::Lane;
use offpeak_domain::money::Pico;
use offpeak_domain::price::{Prices, UnknownModel, Usage};
use offpeak_store::settle::Measured;
use time::Date;

/// The usage that Anthropic reports, as the price list reads it.
pub fn usage(reported: &shape::Usage) -> Usage {
    let (five_minutes, one_hour) = reported.cache_writes();
    Usage {
        input: reported.input_tokens,
        output: reported.output_tokens,
        cache_write_5m: five_minutes,
        cache_write_1h: one_hour,
        cache_read: reported.cache_read_input_tokens.unwrap_or(0),
        web_searches: reported
            .server_tool_use
            .map_or(0, |tools| tools.web_search_requests),
        geo_us: reported.inference_geo.as_deref() == Some("us"),
    }
}

/// What was used, at a price that is not known.
pub(crate) fn without_price(usage: &Usage) -> Measured {
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Measured {
        input_tokens: int(usage.input),
        output_tokens: int(usage.output),
        cache_write_5m: int(usage.cache_write_5m),
        cache_write_1h: int(usage.cache_write_1h),
        cache_read: int(usage.cache_read),
        web_searches: int(usage.web_searches),
        unpriced: true,
        ..Measured::default()
    }
}

/// Why there is no price.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unpriced {
    /// The list does not name the model.
    #[error(transparent)]
    Unknown(#[from] UnknownModel),
    /// Nobody can have used so much: the line says something else than usage.
    #[error("the usage that is reported would cost more than can be booked")]
    Absurd,
}

/// What was used, what it cost in this lane, and what it would have cost.
pub(crate) fn measured(
    prices: &Prices,
    usage: &Usage,
    model: &str,
    day: Date,
    lane: Lane,
) -> Result<Measured, Unpriced> {
    let bill = prices.bill(usage, model, day, lane)?;
    let int = |amount: Pico| amount.as_i64().ok_or(Unpriced::Absurd);
    Ok(Measured {
        cost_pico: int(bill.cost)?,
        sync_pico: int(bill.sync)?,
        saved_batch_pico: int(bill.saved_batch)?,
        saved_cache_pico: int(bill.saved_cache)?,
        saved_reuse_pico: int(bill.saved_reuse)?,
        unpriced: false,
        ..without_price(usage)
    })
}
