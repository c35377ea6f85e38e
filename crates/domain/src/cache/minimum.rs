//! How long a prefix has to be before a model caches it. Shorter ones are read
//! plainly, and no error is raised.

/// By the beginning of a model's name; the longest that fits counts.
const MINIMUMS: &[(&str, u32)] = &[
    ("claude-fable-5", 512),
    ("claude-mythos-5", 512),
    ("claude-opus-5", 512),
    ("claude-opus-4-8", 1_024),
    ("claude-opus-4-7", 2_048),
    ("claude-opus-4", 4_096),
    ("claude-sonnet-5-5", 512),
    ("claude-sonnet", 1_024),
    ("claude-haiku-5-5", 512),
    ("claude-haiku", 4_096),
];

/// The greatest of all, for a model that is not listed.
const UNKNOWN: u32 = 4_096;

/// The fewest tokens that this model caches.
pub fn minimum(model: &str) -> u32 {
    MINIMUMS
        .iter()
        .filter(|(name, _)| model.starts_with(name))
        .max_by_key(|(name, _)| name.len())
        .map_or(UNKNOWN, |(_, minimum)| *minimum)
}

#[cfg(test)]
mod tests {
    use super::minimum;
    use crate::price::Prices;

    /// Against the published figures.
    #[test]
    fn of_every_model_with_a_price() {
        let prices = Prices::shipped().unwrap();
        let table: Vec<String> = prices
            .models()
            .iter()
            .map(|model| format!("{:<18} {:>4}", model.id, minimum(&model.id)))
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        claude-fable-5-2    512
        claude-fable-5-1    512
        claude-mythos-5-1   512
        claude-fable-5      512
        claude-mythos-5     512
        claude-opus-5-5     512
        claude-opus-5       512
        claude-opus-4-8    1024
        claude-opus-4-7    2048
        claude-opus-4-6    4096
        claude-opus-4-5    4096
        claude-sonnet-5-5   512
        claude-sonnet-5    1024
        claude-sonnet-4-6  1024
        claude-sonnet-4-5  1024
        claude-haiku-5-5    512
        claude-haiku-4-5   4096
        ");
        assert_eq!(minimum("claude-haiku-4-5-20251001"), 4_096);
        assert_eq!(minimum("claude-next-7"), 4_096);
    }
}
