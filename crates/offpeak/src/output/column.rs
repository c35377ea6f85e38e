//! Amounts of one column: rounded alike, so that they can be compared and add up.

use offpeak_domain::money::Pico;

use super::amount::fixed;

/// One dollar.
const DOLLAR: Pico = Pico(1_000_000_000_000);

/// All with as many digits as the greatest of them needs.
pub fn amounts(exact: &[Pico]) -> Vec<String> {
    let digits = digits(exact);
    let shown = |amount: &Pico| fixed(rounded(*amount, digits), digits);
    exact.iter().map(shown).collect()
}

/// The steps from each amount to the next, so rounded that together they make
/// the way from the first to the last as [`amounts`] shows it.
pub fn steps(upto: &[Pico]) -> Vec<String> {
    let digits = digits(upto);
    let step = |pair: &[Pico]| rounded(pair[1], digits) - rounded(pair[0], digits);
    upto.windows(2)
        .map(|pair| fixed(step(pair), digits))
        .collect()
}

/// Cents for dollars, more for less.
fn digits(exact: &[Pico]) -> usize {
    match exact.iter().map(|amount| amount.0.abs()).max() {
        Some(most) if most >= DOLLAR.0 => 2,
        Some(most) if most >= DOLLAR.0 / 100 || most == 0 => 4,
        Some(most) if most >= DOLLAR.0 / 100_000 => 6,
        _ => 8,
    }
}

fn rounded(amount: Pico, digits: usize) -> Pico {
    let unit = (0..digits).fold(DOLLAR.0, |unit, _| unit / 10);
    Pico((amount.0 + amount.0.signum() * unit / 2) / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::{Pico, amounts, steps};

    #[test]
    fn a_column_has_one_precision_and_its_steps_add_up() {
        let of = |exact: &[&str]| -> Vec<Pico> {
            exact.iter().map(|one| one.parse().unwrap()).collect()
        };
        let column = of(&["1234.567", "0.005", "12.3"]);
        assert_eq!(amounts(&column), ["$1234.57", "$0.01", "$12.30"]);
        assert_eq!(amounts(&of(&["0.07561234", "0"])), ["$0.0756", "$0.00"]);
        assert_eq!(
            amounts(&of(&["0.000042", "0.0000001"])),
            ["$0.000042", "$0.00"]
        );
        let upto = of(&["10.004", "10.008", "10.013", "20"]);
        assert_eq!(steps(&upto), ["$0.01", "$0.00", "$9.99"]);
    }
}
