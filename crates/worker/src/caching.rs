//! What a decision about Anthropic's prompt cache goes by, gathered.

use offpeak_domain::cache::{Called, Facts, minimum};
use offpeak_domain::job::Lane;
use offpeak_domain::money::Pico;
use offpeak_domain::price::Rates;
use offpeak_store::cache::{self, Past};
use offpeak_store::call::Alike;
use offpeak_store::ready::Waiting;
use time::OffsetDateTime;

use crate::Result;
use crate::worker::Setting;

/// At these nothing pays, which is right for a model whose price is not known.
const UNKNOWN: Rates = Rates {
    input: Pico::ZERO,
    output: Pico::ZERO,
    cache_write_5m: Pico::ZERO,
    cache_write_1h: Pico::ZERO,
    cache_read: Pico::ZERO,
};

/// The facts for the next batch of a bucket; how many items it has is still to
/// be put in.
pub(crate) async fn facts(
    setting: &Setting,
    bucket: &Waiting,
    now: OffsetDateTime,
) -> Result<Facts> {
    let past = match &bucket.prefix_hash {
        None => Past::default(),
        Some(hash) => {
            let (tenant, upstream) = (bucket.tenant, bucket.upstream);
            cache::past(&setting.system, tenant, upstream, hash, now).await?
        }
    };
    Ok(Facts {
        tokens: bucket.prefix_tokens,
        minimum: minimum(&bucket.model),
        items: 0,
        batch: rates(setting, &bucket.model, now, Lane::Batch),
        direct: rates(setting, &bucket.model, now, Lane::Direct),
        turnaround: past.turnaround,
        last: past.last,
        flow: past.flow,
        own: past.own,
        all: past.all,
        lately: past.lately,
    })
}

/// The same for a direct call.
pub(crate) fn called(setting: &Setting, alike: &Alike, now: OffsetDateTime) -> Called {
    Called {
        tokens: alike.tokens,
        minimum: minimum(&alike.model),
        rates: rates(setting, &alike.model, now, Lane::Direct),
        lately: alike.lately,
        last: alike.last,
    }
}

fn rates(setting: &Setting, model: &str, now: OffsetDateTime, lane: Lane) -> Rates {
    let known = setting.prices.find(model, now.date(), lane);
    known.unwrap_or(UNKNOWN)
}
