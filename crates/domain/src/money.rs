//! Money in whole pico-dollars (10⁻¹² USD). No float ever holds an amount.
//!
//! Nano-dollars are not enough: a five-minute cache write of Claude Haiku 5.5
//! in a batch costs 62.5 of them a token.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits after the point in one dollar.
const DIGITS: u32 = 12;
/// Pico-dollars in one dollar.
const DOLLAR: u128 = 1_000_000_000_000;

/// An amount in pico-dollars; negative for what is owed back.
///
/// Text and JSON: the exact decimal number of dollars, as a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pico(pub i128);

/// A text that is no decimal number of dollars that can be held exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not of the form `-12.345`: digits with at most one point.
    #[error("expected a plain decimal number of dollars, such as 12.5")]
    Malformed,
    /// More digits after the point than the unit can hold.
    #[error("at most {digits} digits after the point can be held exactly")]
    TooPrecise {
        /// Digits that can be held.
        digits: u32,
    },
    /// Beyond the range of the amount.
    #[error("the amount is too large")]
    TooLarge,
}

impl Pico {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// Reads a price in dollars per million tokens as pico-dollars per token,
    /// exactly: `"0.125"` is 125,000.
    pub fn from_usd_per_mtok_str(text: &str) -> Result<Self, ParseError> {
        // A millionth of 10¹² leaves six digits after the point.
        parse_scaled(text, 6).map(Self)
    }

    /// Reads an amount in cents with fractions, as Anthropic's reports write it:
    /// `"123.45"` is 1.2345 dollars. What is finer than a pico-dollar is cut off.
    pub fn from_cents_str(text: &str) -> Result<Self, ParseError> {
        const CENT_DIGITS: usize = 10;
        let kept = match text.split_once('.') {
            Some((whole, fraction)) if fraction.len() > CENT_DIGITS => {
                // A digit, as all that follow have to be.
                if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(ParseError::Malformed);
                }
                &text[..whole.len() + 1 + CENT_DIGITS]
            }
            _ => text,
        };
        parse_scaled(kept, 10).map(Self)
    }

    /// The exact amount in dollars, without needless zeros: `"0.0000000625"`.
    pub fn to_usd_string(self) -> String {
        let whole = self.0.unsigned_abs() / DOLLAR;
        let fraction = self.0.unsigned_abs() % DOLLAR;
        let sign = if self.0 < 0 { "-" } else { "" };
        if fraction == 0 {
            return format!("{sign}{whole}");
        }
        let fraction = format!("{fraction:012}");
        format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }

    /// The amount for a person: cents from one dollar on (`$12.35`), four
    /// digits below (`$0.0123`), `<$0.0001` for less than can be shown. Halves
    /// are rounded away from zero.
    pub fn to_rounded_string(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        if amount == 0 {
            return "$0.00".to_owned();
        }
        let round = |digits: u32| {
            let unit = 10_u128.pow(DIGITS - digits);
            (amount + unit / 2) / unit
        };
        // What rounds up to a dollar is written like one.
        let digits = if round(4) >= 10_000 { 2 } else { 4 };
        let rounded = round(digits);
        if rounded == 0 {
            return format!("{sign}<$0.0001");
        }
        let one = 10_u128.pow(digits);
        let width = digits as usize;
        format!("{sign}${}.{:0width$}", rounded / one, rounded % one)
    }

    /// The amount as a `bigint`, or `None` beyond 9.2 million dollars.
    pub fn as_i64(self) -> Option<i64> {
        i64::try_from(self.0).ok()
    }
}

impl fmt::Display for Pico {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_usd_string())
    }
}

impl FromStr for Pico {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_scaled(text, DIGITS).map(Self)
    }
}

/// Reads `-12.345` as an integer of 10^-`digits` units. No exponent, no sign
/// but a minus, no separators: what we write is what we read.
fn parse_scaled(text: &str, digits: u32) -> Result<i128, ParseError> {
    let (negative, number) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(ParseError::Malformed),
        None => (number, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(ParseError::Malformed);
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = u32::try_from(fraction.len())
        .ok()
        .and_then(|length| digits.checked_sub(length))
        .ok_or(ParseError::TooPrecise { digits })?;
    let units = format!("{whole}{fraction}")
        .parse::<i128>()
        .ok()
        .and_then(|n| n.checked_mul(10_i128.pow(missing)))
        .ok_or(ParseError::TooLarge)?;
    Ok(if negative { -units } else { units })
}

impl Serialize for Pico {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pico {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Add for Pico {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Pico {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Pico {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl SubAssign for Pico {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for Pico {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

/// So many tokens at this price each.
impl Mul<u64> for Pico {
    type Output = Self;

    fn mul(self, count: u64) -> Self {
        Self(self.0 * i128::from(count))
    }
}

impl Sum for Pico {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl<'a> Sum<&'a Self> for Pico {
    fn sum<I: Iterator<Item = &'a Self>>(amounts: I) -> Self {
        amounts.copied().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{ParseError, Pico};
    use proptest::prelude::*;

    #[test]
    fn prices_per_million_are_exact_per_token() {
        assert_eq!(Pico::from_usd_per_mtok_str("0.125"), Ok(Pico(125_000)));
        assert_eq!(Pico::from_usd_per_mtok_str("50"), Ok(Pico(50_000_000)));
        assert_eq!(Pico::from_usd_per_mtok_str("0.000001"), Ok(Pico(1)));
        assert_eq!(
            Pico::from_usd_per_mtok_str("0.0000001"),
            Err(ParseError::TooPrecise { digits: 6 })
        );
    }

    #[test]
    fn cents_of_a_report() {
        let of = Pico::from_cents_str;
        assert_eq!(of("123.45"), Ok(Pico(1_234_500_000_000)));
        assert_eq!(of("0.0000000001"), Ok(Pico(1)));
        assert_eq!(of("0.00000000019"), Ok(Pico(1)));
        assert_eq!(of("-1"), Ok(Pico(-10_000_000_000)));
        for text in ["", "1e2", "0.0000000001x", "1.00000000001.", "½"] {
            assert_eq!(of(text), Err(ParseError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "", "-", ".", "1.", ".5", "+1", "1e3", "1,000", " 1", "1_000", "--1", "½",
        ] {
            assert_eq!(text.parse::<Pico>(), Err(ParseError::Malformed), "{text:?}");
        }
        assert_eq!("9".repeat(40).parse::<Pico>(), Err(ParseError::TooLarge));
        assert_eq!(
            "1.0000000000001".parse::<Pico>(),
            Err(ParseError::TooPrecise { digits: 12 })
        );
        assert_eq!("1.0000000000000".parse(), Ok(Pico(1_000_000_000_000)));
    }

    #[test]
    fn exact_and_rounded_text() {
        let table: Vec<String> = [
            0,
            62_500,
            -62_500,
            50_000_000,
            12_345_600_000,
            999_960_000_000,
            1_000_000_000_000,
            12_345_000_000_000,
            -1_234_567_890_000_000_000,
        ]
        .map(|n| format!("{} {}", Pico(n), Pico(n).to_rounded_string()))
        .into();
        insta::assert_snapshot!(table.join("\n"), @r"
        0 $0.00
        0.0000000625 <$0.0001
        -0.0000000625 -<$0.0001
        0.00005 $0.0001
        0.0123456 $0.0123
        0.99996 $1.00
        1 $1.00
        12.345 $12.35
        -1234567.89 -$1234567.89
        ");
    }

    #[test]
    fn json_is_a_string_of_dollars() {
        assert_eq!(
            serde_json::to_string(&Pico(62_500)).unwrap(),
            "\"0.0000000625\""
        );
        assert_eq!(
            serde_json::from_str::<Pico>("\"-1.5\"").unwrap(),
            Pico(-1_500_000_000_000)
        );
        assert!(
            serde_json::from_str::<Pico>("1.5").is_err(),
            "a JSON number is a float elsewhere"
        );
    }

    #[test]
    fn amounts_add_up() {
        let amounts = [Pico(3), Pico(-1), Pico(40)];
        assert_eq!(amounts.iter().sum::<Pico>(), Pico(42));
        assert_eq!(Pico(50) - Pico(8), Pico(42));
        assert_eq!(Pico(21) * 2, -Pico(-42));
        assert_eq!(Pico(i128::from(i64::MAX)).as_i64(), Some(i64::MAX));
        assert_eq!(Pico(i128::from(i64::MAX) + 1).as_i64(), None);
    }

    proptest! {
        #[test]
        fn text_reads_back(n in any::<i64>()) {
            let amount = Pico(i128::from(n) * 1_000);
            prop_assert_eq!(amount.to_usd_string().parse::<Pico>(), Ok(amount));
        }
    }
}
