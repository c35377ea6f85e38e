//! What the models cost, as far as cost reports need it. Money is counted in
//! pico-dollars, in which every price of a token is whole.

use offpeak_anthropic::shape::{ServiceTier, Usage};
use time::OffsetDateTime;
use time::macros::datetime;

/// The five kinds of tokens that are charged.
pub(crate) const KINDS: [&str; 5] = [
    "uncached_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
];

/// Dollars per million tokens times a million: the price of one token in pico-dollars.
struct Price {
    input: u64,
    output: u64,
    read: u64,
}

/// Tokens of each kind.
pub(crate) fn tokens(usage: &Usage) -> [u64; 5] {
    let split = usage.cache_creation.unwrap_or_default();
    let long = split.ephemeral_1h_input_tokens;
    let written = usage.cache_creation_input_tokens.unwrap_or(0);
    [
        usage.input_tokens,
        written
            .saturating_sub(long)
            .max(split.ephemeral_5m_input_tokens),
        long,
        usage.cache_read_input_tokens.unwrap_or(0),
        usage.output_tokens,
    ]
}

/// Cost of each kind of tokens, in pico-dollars.
pub(crate) fn cost(model: &str, usage: &Usage, at: OffsetDateTime) -> [u128; 5] {
    let tokens = tokens(usage);
    let prompt: u64 = tokens[..4].iter().sum();
    let price = price(model, prompt, at);
    let each = [
        price.input,
        price.input * 5 / 4,
        price.input * 2,
        price.read,
        price.output,
    ];
    let mut cost = [0; 5];
    for (cost, (tokens, each)) in cost.iter_mut().zip(tokens.into_iter().zip(each)) {
        *cost = u128::from(tokens) * u128::from(each);
        if usage.service_tier == Some(ServiceTier::Batch) {
            *cost /= 2;
        }
        if usage.inference_geo.as_deref() == Some("us") && has_places(model) {
            *cost = *cost * 11 / 10;
        }
    }
    cost
}

/// Cents with fractions, as the reports write them.
pub(crate) fn cents(pico: u128) -> String {
    const CENT: u128 = 10_000_000_000;
    let text = format!("{}.{:010}", pico / CENT, pico % CENT);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Whether the model has another price in the United States only.
fn has_places(model: &str) -> bool {
    let before = ["claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"];
    !before.iter().any(|name| model.starts_with(name))
}

fn price(model: &str, prompt: u64, at: OffsetDateTime) -> Price {
    // Thousandths of a dollar per million tokens: input, output, cache read.
    let (input, output, read) = match model {
        "claude-fable-5-2" | "claude-mythos-5-2" => (8_000, 40_000, 200),
        "claude-fable-5-1" | "claude-mythos-5-1" => (10_000, 50_000, 250),
        "claude-fable-5" | "claude-mythos-5" => (10_000, 50_000, 1_000),
        "claude-opus-5-5" => (4_000, 20_000, 200),
        "claude-sonnet-5-5" if at < datetime!(2026-10-07 0:00 UTC) => (2_000, 10_000, 200),
        "claude-sonnet-5-5" => (2_000, 10_000, 100),
        "claude-sonnet-5" => (2_000, 10_000, 200),
        "claude-haiku-5-5" if prompt > 100_000 => (500, 2_500, 50),
        "claude-haiku-5-5" => (100, 500, 10),
        _ if model.starts_with("claude-haiku") => (1_000, 5_000, 100),
        _ if model.starts_with("claude-sonnet") => (3_000, 15_000, 300),
        _ => (5_000, 25_000, 500),
    };
    Price {
        input: input * 1_000,
        output: output * 1_000,
        read: read * 1_000,
    }
}

#[cfg(test)]
mod tests {
    use offpeak_anthropic::shape::CacheCreation;

    use super::*;

    #[test]
    fn half_in_a_batch_and_a_step_for_long_prompts() {
        let now = datetime!(2026-11-22 0:00 UTC);
        let mut usage = Usage {
            input_tokens: 1_000_000,
            output_tokens: 1_000_000,
            ..Usage::default()
        };
        let total = |usage: &Usage| cents(cost("claude-sonnet-5-5", usage, now).iter().sum());
        assert_eq!(total(&usage), "1200");
        usage.service_tier = Some(ServiceTier::Batch);
        assert_eq!(total(&usage), "600");
        usage.inference_geo = Some("us".to_owned());
        assert_eq!(total(&usage), "660");
        let older = |model| cents(cost(model, &usage, now)[0]);
        assert_eq!(
            (older("claude-haiku-4-5"), older("claude-opus-4-6")),
            ("50".into(), "275".into())
        );
        let haiku = |input_tokens| {
            let usage = Usage {
                input_tokens,
                ..Usage::default()
            };
            cents(cost("claude-haiku-5-5", &usage, now)[0])
        };
        assert_eq!((haiku(100_000), haiku(200_000)), ("1".into(), "10".into()));
    }

    #[test]
    fn cache_kinds_are_told_apart() {
        let usage = Usage {
            cache_creation_input_tokens: Some(300),
            cache_creation: Some(CacheCreation {
                ephemeral_5m_input_tokens: 100,
                ephemeral_1h_input_tokens: 200,
            }),
            cache_read_input_tokens: Some(1),
            service_tier: Some(ServiceTier::Batch),
            ..Usage::default()
        };
        assert_eq!(tokens(&usage), [0, 100, 200, 1, 0]);
        let now = datetime!(2026-11-22 0:00 UTC);
        let cost = cost("claude-haiku-5-5", &usage, now);
        assert_eq!(
            cost.map(cents),
            ["0", "0.000625", "0.002", "0.0000005", "0"].map(str::to_owned)
        );
    }
}
