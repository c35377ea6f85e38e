//! What a price is multiplied by, as a fraction: no amount is ever rounded.

use crate::money::Pico;

/// A fraction in its lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Factor {
    over: i128,
    under: i128,
}

impl Factor {
    /// Changes nothing.
    pub(super) const ONE: Self = Self { over: 1, under: 1 };

    /// So many millionths.
    pub(super) fn of_millionths(millionths: i128) -> Self {
        Self {
            over: millionths,
            under: 1_000_000,
        }
        .reduced()
    }

    /// Both, one after the other.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            over: self.over * other.over,
            under: self.under * other.under,
        }
        .reduced()
    }

    /// Whether so much of an amount is a whole amount again.
    pub(super) fn is_exact_for(self, amount: Pico) -> bool {
        amount.0 % self.under == 0
    }

    /// So much of an amount, for which it is exact.
    pub(super) fn of(self, amount: Pico) -> Pico {
        Pico(amount.0 * self.over / self.under)
    }

    fn reduced(self) -> Self {
        let (mut a, mut b) = (self.over.abs(), self.under);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let common = a.max(1);
        Self {
            over: self.over / common,
            under: self.under / common,
        }
    }
}
