//! Chance that can be repeated: everything that looks random follows from the
//! seed and the names of the things it is about.

use sha2::{Digest, Sha256};

/// A small generator (`SplitMix64`), good enough to shuffle and to spread.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice for one purpose; the same parts give the same throws.
    pub(crate) fn new(seed: u64, parts: &[&str]) -> Self {
        let digest = digest(seed, parts);
        Self(
            digest
                .iter()
                .take(8)
                .fold(0, |acc, byte| (acc << 8) | u64::from(*byte)),
        )
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// Thousandths, 1 to 1000.
    pub(crate) fn mille(&mut self) -> u64 {
        self.below(1000) + 1
    }

    /// A share, 0 up to but not 1.
    pub(crate) fn share(&mut self) -> f64 {
        // 32 bits are exact in a float.
        f64::from(u32::try_from(self.next() >> 32).unwrap_or(0)) / 4_294_967_296.0
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let pick = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            items.swap(last, pick);
        }
    }
}

/// An opaque id: the prefix, `standin_` and 20 characters of base 62.
pub(crate) fn id(prefix: &str, seed: u64, parts: &[&str]) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body: String = digest(seed, parts)
        .iter()
        .take(20)
        .map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()]))
        .collect();
    format!("{prefix}standin_{body}")
}

/// A UUID-shaped id.
pub(crate) fn uuid(seed: u64, parts: &[&str]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(36);
    for (at, byte) in digest(seed, parts).iter().take(16).enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ok = write!(text, "{byte:02x}");
    }
    text
}

fn digest(seed: u64, parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_and_spread() {
        let mut order: Vec<u32> = (0..1000).collect();
        Dice::new(7, &["a"]).shuffle(&mut order);
        let mut again: Vec<u32> = (0..1000).collect();
        Dice::new(7, &["a"]).shuffle(&mut again);
        assert_eq!(order, again);
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
        assert_ne!(id("m_", 7, &["a", "b"]), id("m_", 7, &["ab"]));
        assert_ne!(id("m_", 7, &["a"]), id("m_", 8, &["a"]));
        assert_eq!(id("msg_", 7, &["a"]).len(), "msg_standin_".len() + 20);
        assert_eq!(uuid(7, &["a"]).len(), 36);
    }
}
