//! From the usage that Anthropic reports to money.

use offpeak_anthropic::shape;
use offpeak_domain::job::Lane;
use offpeak_domain::price::{Prices, UnknownModel, Usage};
use offpeak_store::settle::Measured;
use time::Date;

/// The usage as the price table reads it.
pub(crate) fn usage(reported: &shape::Usage) -> Usage {
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

/// What was used, at no price.
pub(crate) fn without_price(usage: &Usage) -> Measured {
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Measured {
        input_tokens: int(usage.input),
        output_tokens: int(usage.output),
        cache_write_5m: int(usage.cache_write_5m),
        cache_write_1h: int(usage.cache_write_1h),
        cache_read: int(usage.cache_read),
        web_searches: int(usage.web_searches),
        cost_pico: 0,
        sync_pico: 0,
    }
}

/// What was used, what it cost in a batch, and what it would have cost at once.
pub(crate) fn measured(
    prices: &Prices,
    usage: &Usage,
    model: &str,
    day: Date,
) -> Result<Measured, UnknownModel> {
    let pico = |lane| -> Result<i64, UnknownModel> {
        Ok(prices
            .cost(usage, model, day, lane)?
            .as_i64()
            .unwrap_or(i64::MAX))
    };
    Ok(Measured {
        cost_pico: pico(Lane::Batch)?,
        sync_pico: pico(Lane::Direct)?,
        ..without_price(usage)
    })
}
