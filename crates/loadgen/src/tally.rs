//! What is counted while a phase runs: errors by kind, and latencies.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Kinds that are told apart; further ones are counted together.
const KINDS_MAX: usize = 20;
/// The longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Errors by their text.
#[derive(Clone, Debug, Default)]
pub struct Errors(BTreeMap<String, u64>);

impl Errors {
    /// Counts one.
    pub fn count(&mut self, kind: String) {
        let kind =
            if self.0.len() >= KINDS_MAX && !self.0.contains_key(&kind) { "other".to_owned() } else { kind };
        *self.0.entry(kind).or_default() += 1;
    }

    /// Counts those of another tally too.
    pub fn add(&mut self, others: Errors) {
        for (kind, count) in others.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The most frequent one.
    pub fn worst(&self) -> Option<&str> {
        self.0.iter().max_by_key(|(_, count)| **count).map(|(kind, _)| kind.as_str())
    }

    /// As an object: kind to count.
    pub fn json(&self) -> Value {
        json!(self.0)
    }
}

/// Latencies, to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u32>);

impl Default for Latencies {
    fn default() -> Self {
        Latencies(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are in order"))
    }
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// Counts those of another tally too.
    pub fn add(&mut self, others: &Latencies) {
        self.0.add(&others.0).expect("the bounds are the same");
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency in microseconds that this share, in percent, did not pass.
    pub fn percentile_us(&self, percent: f64) -> u64 {
        self.0.value_at_percentile(percent)
    }

    /// As an object of microseconds.
    pub fn json(&self) -> Value {
        json!({
            "p50": self.percentile_us(50.0),
            "p90": self.percentile_us(90.0),
            "p99": self.percentile_us(99.0),
            "p999": self.percentile_us(99.9),
            "max": self.0.max(),
            "mean": round(self.0.mean()),
        })
    }

    /// Points of the distribution's curve: share in percent, microseconds.
    pub fn curve(&self) -> Vec<(f64, u64)> {
        let values = self.0.iter_quantiles(2);
        values.map(|value| (value.quantile_iterated_to() * 100.0, value.value_iterated_to())).collect()
    }
}

/// To two decimals, so that figures read well.
pub fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut errors = Errors::default();
        (0..100).for_each(|number| errors.count(format!("{number}")));
        errors.count("7".to_owned());
        assert_eq!(errors.total(), 101);
        assert_eq!(errors.0.len(), KINDS_MAX + 1);
        assert_eq!(errors.worst(), Some("other"));
    }

    #[test]
    fn latencies_keep_three_digits_and_take_the_endless() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        assert!(latencies.percentile_us(50.0).abs_diff(500_000) <= 500);
        latencies.record(Duration::from_secs(100_000));
        latencies.record(Duration::ZERO);
        assert_eq!(latencies.count(), 1002);
    }
}
