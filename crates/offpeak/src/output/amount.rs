//! Exact amounts of the wire, rounded for a person so that they still add up.

use offpeak_domain::money::Pico;

/// Below it the cents say nothing.
const CENT: Pico = Pico(10_000_000_000);
/// Digits after the point of an exact amount, at least.
const EXACT: usize = 6;
/// Digits of a [`Pico`].
const DIGITS: u32 = 12;

/// One amount: to the cent or so, and exactly below a cent.
pub fn money(exact: &str) -> String {
    match exact.parse::<Pico>() {
        Ok(amount) if is_small(amount) => whole(amount),
        Ok(amount) => amount.to_rounded_string(),
        Err(_) => exact.to_owned(),
    }
}

/// Cost, synchronous and saved as they stand side by side: the first and the
/// last make the second, to the last digit shown.
pub fn sums(cost: &str, sync: &str, saved: &str) -> [String; 3] {
    let (Ok(billed), Ok(full), Ok(_)) = (
        cost.parse::<Pico>(),
        sync.parse::<Pico>(),
        saved.parse::<Pico>(),
    ) else {
        return [cost, sync, saved].map(str::to_owned);
    };
    let Some(digits) = digits(billed, full) else {
        return [billed, full, full - billed].map(whole);
    };
    let (billed, full) = (round(billed, digits), round(full, digits));
    [billed, full, full - billed].map(|amount| fixed(amount, digits as usize))
}

/// What the saving of [`sums`] consists of: together the amount that is shown
/// there. What rounding leaves over goes to the largest.
pub fn shares<const N: usize>(cost: &str, sync: &str, parts: [&str; N]) -> [String; N] {
    let exact = parts.map(|part| part.parse::<Pico>().unwrap_or_default());
    let (Ok(billed), Ok(full)) = (cost.parse::<Pico>(), sync.parse::<Pico>()) else {
        return parts.map(str::to_owned);
    };
    let Some(digits) = digits(billed, full) else {
        return exact.map(whole);
    };
    let mut shown = exact.map(|part| round(part, digits));
    let over = round(full, digits) - round(billed, digits) - shown.iter().sum::<Pico>();
    if let Some(largest) = shown.iter_mut().max_by_key(|part| part.0.abs()) {
        *largest += over;
    }
    shown.map(|part| fixed(part, digits as usize))
}

/// Digits after the point at which these are shown; none if one of them is so
/// small that all of it is.
fn digits(billed: Pico, full: Pico) -> Option<u32> {
    if [billed, full, full - billed].into_iter().any(is_small) {
        return None;
    }
    let dollars = |amount: Pico| amount.0 == 0 || amount.0.abs() >= 100 * CENT.0;
    Some(if dollars(billed) && dollars(full) {
        2
    } else {
        4
    })
}

fn round(amount: Pico, digits: u32) -> Pico {
    let unit = 10_i128.pow(DIGITS - digits);
    Pico((amount.0 + amount.0.signum() * unit / 2) / unit * unit)
}

fn is_small(amount: Pico) -> bool {
    amount.0 != 0 && amount.0.abs() < CENT.0
}

fn whole(amount: Pico) -> String {
    let (_, fraction) = split(amount);
    fixed(amount, fraction.trim_end_matches('0').len().max(EXACT))
}

pub(super) fn fixed(amount: Pico, digits: usize) -> String {
    if amount.0 == 0 {
        return "$0.00".to_owned();
    }
    let sign = if amount.0 < 0 { "-" } else { "" };
    let (dollars, fraction) = split(amount);
    format!("{sign}${dollars}.{}", &fraction[..digits])
}

/// Dollars, and all digits after the point.
fn split(amount: Pico) -> (u128, String) {
    let one = 10_u128.pow(DIGITS);
    let value = amount.0.unsigned_abs();
    (value / one, format!("{:012}", value % one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_for_people_but_not_below_a_cent() {
        assert_eq!(money("12.345"), "$12.35");
        assert_eq!(money("0.05"), "$0.0500");
        assert_eq!(money("0.0042"), "$0.004200");
        assert_eq!(money("0.0000000625"), "$0.0000000625");
        assert_eq!(money("0"), "$0.00");
        assert_eq!(money("odd"), "odd");
    }

    #[test]
    fn what_stands_side_by_side_adds_up() {
        let of = |cost, sync, saved| sums(cost, sync, saved).join(" ");
        insta::assert_snapshot!(of("0", "0", "0"), @"$0.00 $0.00 $0.00");
        insta::assert_snapshot!(of("0.0000425", "0.000085", "0.0000425"), @"$0.0000425 $0.000085 $0.0000425");
        insta::assert_snapshot!(of("0.0061725", "0.012345", "0.0061725"), @"$0.0061725 $0.012345 $0.0061725");
        insta::assert_snapshot!(of("0.01234", "0.02468", "0.01234"), @"$0.0123 $0.0247 $0.0124");
        insta::assert_snapshot!(of("0.75", "1.5", "0.75"), @"$0.7500 $1.5000 $0.7500");
        insta::assert_snapshot!(of("12.345", "24.69", "12.345"), @"$12.35 $24.69 $12.34");
        insta::assert_snapshot!(of("odd", "1", "2"), @"odd 1 2");
    }

    #[test]
    fn what_a_saving_consists_of_adds_up_to_it() {
        let of = |cost, sync, parts| shares(cost, sync, parts).join(" ");
        insta::assert_snapshot!(of("12.345", "24.69", ["10.005", "2.335", "0.005"]), @"$9.99 $2.34 $0.01");
        insta::assert_snapshot!(of("2", "3", ["1.255", "-0.255", "0"]), @"$1.26 -$0.26 $0.00");
        insta::assert_snapshot!(of("0.0000425", "0.000085", ["0.0000425", "0", "0"]), @"$0.0000425 $0.00 $0.00");
        insta::assert_snapshot!(of("odd", "1", ["2", "", ""]), @"2  ");
    }
}
