//! How fast a peer may send: pure arithmetic on times and sizes. A pause means "do not read".
//!
//! Two algorithms: a token bucket (the default), and the `maxrate` formula of ejabberd 14.07
//! (`docs/decisions/0003-shaper.md`). Time is microseconds since any fixed moment.

use std::{fmt, time::Duration};

/// The state of one connection's shaper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shaper {
    /// No limit.
    None,
    /// A token bucket.
    Bucket(Bucket),
    /// ejabberd's formula.
    MaxRate(MaxRate),
}

/// Tokens are bytes; credit grows with time up to the burst, and may be overdrawn by one chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    bytes_per_s: u64,
    burst_bytes: u64,
    credit_bytes: i64,
    at_us: u64,
}

/// A rate that is averaged with that of the chunk before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxRate {
    max_rate: f64,
    last_rate: f64,
    at_us: u64,
}

impl Shaper {
    /// A full token bucket.
    pub fn bucket(bytes_per_s: u64, burst_bytes: u64, now_us: u64) -> Shaper {
        Shaper::Bucket(Bucket {
            bytes_per_s: bytes_per_s.max(1),
            burst_bytes,
            credit_bytes: clamp(burst_bytes),
            at_us: now_us,
        })
    }

    /// ejabberd's formula, at rest.
    pub fn max_rate(bytes_per_s: u64, now_us: u64) -> Shaper {
        Shaper::MaxRate(MaxRate { max_rate: bytes_per_s.max(1) as f64, last_rate: 0.0, at_us: now_us })
    }

    /// Charges `size` bytes that were read at `now_us`; nothing may be read for as long as it says.
    pub fn charge(&mut self, size: usize, now_us: u64) -> Duration {
        match self {
            Shaper::None => Duration::ZERO,
            Shaper::Bucket(bucket) => bucket.charge(size as u64, now_us),
            Shaper::MaxRate(rate) => rate.charge(size as f64, now_us),
        }
    }
}

fn clamp(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Bucket {
    fn charge(&mut self, size: u64, now_us: u64) -> Duration {
        let elapsed_us = u128::from(now_us.saturating_sub(self.at_us));
        let earned = u128::from(self.bytes_per_s) * elapsed_us / 1_000_000;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.credit_bytes =
            self.credit_bytes.saturating_add(earned).min(clamp(self.burst_bytes)).saturating_sub(clamp(size));
        self.at_us = self.at_us.max(now_us);
        if self.credit_bytes >= 0 {
            return Duration::ZERO;
        }
        let pause_us =
            u128::from(self.credit_bytes.unsigned_abs()) * 1_000_000 / u128::from(self.bytes_per_s);
        Duration::from_micros(u64::try_from(pause_us).unwrap_or(u64::MAX))
    }
}

impl MaxRate {
    fn charge(&mut self, size: f64, now_us: u64) -> Duration {
        let now_us = now_us.max(self.at_us);
        let least_ms = 1000.0 * size / (2.0 * self.max_rate - self.last_rate);
        let interval_ms = (now_us - self.at_us) as f64 / 1000.0;
        let pause_ms = if least_ms > interval_ms { 1 + (least_ms - interval_ms) as u64 } else { 0 };
        let next_us = now_us.saturating_add(pause_ms.saturating_mul(1000));
        // A chunk of no bytes at no distance has no rate.
        let passed_us = next_us.saturating_sub(self.at_us).max(1) as f64;
        self.last_rate = (self.last_rate + 1_000_000.0 * size / passed_us) / 2.0;
        self.at_us = next_us;
        Duration::from_millis(pause_ms)
    }
}

impl fmt::Display for Shaper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shaper::None => write!(out, "none"),
            Shaper::Bucket(bucket) => {
                let Bucket { bytes_per_s, burst_bytes, credit_bytes, .. } = bucket;
                write!(out, "{{bucket,{bytes_per_s},{burst_bytes},{credit_bytes}}}")
            }
            Shaper::MaxRate(MaxRate { max_rate, last_rate, at_us }) => {
                write!(out, "{{maxrate,{max_rate},{last_rate:.1},{at_us}}}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Chunks as (bytes, microseconds after the pause before).
    fn chunks() -> impl Strategy<Value = Vec<(usize, u64)>> {
        prop::collection::vec((1usize..20_000, 0u64..2_000_000), 1..200)
    }

    proptest! {
        #[test]
        fn the_rate_of_maxrate_stays_between_zero_and_the_maximum(max in 1u64..1_000_000, chunks in chunks()) {
            let mut now = 0;
            let mut shaper = Shaper::max_rate(max, now);
            for (size, gap) in chunks {
                now += gap;
                let pause = shaper.charge(size, now);
                prop_assert!(pause.as_secs_f64() * 1000.0 <= 1.0 + 1000.0 * size as f64 / max as f64 + 1e-6);
                now += pause.as_micros() as u64;
                let Shaper::MaxRate(MaxRate { last_rate, .. }) = shaper else { unreachable!() };
                prop_assert!((0.0..=max as f64 + 1e-6).contains(&last_rate), "{last_rate} of {max}");
            }
        }

        #[test]
        fn a_bucket_never_lets_more_through_than_rate_and_burst(
            rate in 1u64..1_000_000, burst in 0u64..1_000_000, chunks in chunks()
        ) {
            let mut now = 0;
            let mut shaper = Shaper::bucket(rate, burst, now);
            let mut sent = 0u128;
            for (size, gap) in chunks {
                now += gap;
                // What was let through up to here, before this chunk, is within what time and burst allow.
                let allowed = u128::from(burst) + u128::from(rate) * u128::from(now) / 1_000_000;
                prop_assert!(sent <= allowed + 1, "{sent} of {allowed}");
                sent += size as u128;
                now += shaper.charge(size, now).as_micros() as u64 + 1;
            }
        }

        #[test]
        fn no_limit_never_pauses(size in 0usize..usize::MAX, now: u64) {
            prop_assert_eq!(Shaper::None.charge(size, now), Duration::ZERO);
        }
    }

    #[test]
    fn constant_traffic_under_maxrate_comes_to_the_maximum() {
        let mut shaper = Shaper::max_rate(1000, 0);
        let (mut now, mut sent, mut measured_from) = (0, 0, 0);
        for round in 0..200 {
            if round == 100 {
                (measured_from, sent) = (now, 0);
            }
            now += shaper.charge(100, now).as_micros() as u64;
            sent += 100;
        }
        let rate = sent as f64 * 1e6 / (now - measured_from) as f64;
        assert!((950.0..=1000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn after_silence_maxrate_lets_a_chunk_of_twice_the_rate_pass() {
        let mut shaper = Shaper::max_rate(1000, 0);
        assert_eq!(shaper.charge(20_000, 10_000_000), Duration::ZERO);
    }

    #[test]
    fn a_burst_passes_and_what_is_over_it_waits() {
        let mut shaper = Shaper::bucket(1000, 5000, 0);
        assert_eq!(shaper.charge(5000, 0), Duration::ZERO);
        assert_eq!(shaper.charge(500, 0), Duration::from_millis(500));
    }

    #[test]
    fn a_clock_that_steps_back_costs_nothing() {
        let mut shaper = Shaper::bucket(1000, 0, 5_000_000);
        assert_eq!(shaper.charge(1000, 1_000_000), Duration::from_secs(1));
        assert_eq!(shaper.charge(0, 5_500_000), Duration::from_millis(500));
    }
}
