//! Samples, and the one line that a bench ends with.

use anyhow::Result;
use serde_json::{Map, Value, json};

/// Values of one measurement, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Adds all of others.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The value below which this part (0 to 1) of the samples lies; 0 without samples.
    pub fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among far fewer samples than a float can count"
        )]
        let place = (sorted.len() as f64 * part).ceil() as usize;
        sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    /// All of them together.
    pub fn sum(&self) -> f64 {
        self.0.iter().sum()
    }

    /// The middle one; of an even number, the mean of the middle two.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.get(middle) {
            None => 0.0,
            Some(upper) if sorted.len().is_multiple_of(2) => {
                f64::midpoint(sorted[middle - 1], *upper)
            }
            Some(one) => *one,
        }
    }

    /// The smallest and the largest.
    pub fn spread(&self) -> (f64, f64) {
        (self.quantile(0.0), self.quantile(1.0))
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// What a bench found.
#[derive(Debug)]
pub struct Figures {
    bench: &'static str,
    keys: Map<String, Value>,
    samples: Map<String, Value>,
    spread: Map<String, Value>,
}

impl Figures {
    /// Of the bench of this name, nothing yet.
    pub fn new(bench: &'static str) -> Self {
        Self {
            bench,
            keys: Map::new(),
            samples: Map::new(),
            spread: Map::new(),
        }
    }

    /// A figure: the median of its samples.
    pub fn add(&mut self, key: &str, samples: &Samples) {
        self.add_as(key, samples.median(), samples);
    }

    /// A figure that is something else of its samples than their median.
    pub fn add_as(&mut self, key: &str, value: f64, samples: &Samples) {
        self.keys.insert(key.to_owned(), rounded(value));
        self.samples.insert(key.to_owned(), json!(samples.count()));
        let (least, most) = samples.spread();
        self.spread
            .insert(key.to_owned(), json!([rounded(least), rounded(most)]));
    }

    /// A value that describes the run, such as an absolute rate.
    pub fn note(&mut self, key: &str, value: f64) {
        self.keys.insert(key.to_owned(), rounded(value));
    }

    /// Prints the line, last, and keeps it for the report.
    pub fn end(self) -> Result<()> {
        let mut line = Map::new();
        line.insert("bench".to_owned(), json!(self.bench));
        line.extend(self.keys);
        line.insert("samples".to_owned(), Value::Object(self.samples));
        line.insert("spread".to_owned(), Value::Object(self.spread));
        let line = Value::Object(line).to_string();
        let file = crate::cluster::folder()?.join(format!("{}.json", self.bench));
        // Whole or not at all.
        let next = file.with_extension("new");
        std::fs::write(&next, format!("{line}\n"))?;
        std::fs::rename(next, file)?;
        crate::print(line);
        Ok(())
    }
}

/// Three digits that mean something.
fn rounded(value: f64) -> Value {
    if value == 0.0 || !value.is_finite() {
        return json!(0);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a power of ten")]
    let places = 2 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(places);
    if places <= 0 {
        json!(value.round())
    } else {
        json!((value * scale).round() / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::{Samples, rounded};
    use serde_json::json;

    #[test]
    fn quantiles_and_medians() {
        let four: Samples = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(four.median(), 2.5);
        close(four.quantile(0.5), 2.0);
        close(four.quantile(0.99), 4.0);
        close(four.spread().0, 1.0);
        close(Samples::default().median(), 0.0);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(rounded(0.123_456), json!(0.123));
        assert_eq!(rounded(12.345), json!(12.3));
        assert_eq!(rounded(12_345.6), json!(12_346.0));
    }
}
