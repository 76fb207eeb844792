//! The rows of drey-bench (bench/jobs/rows.h): a pure function of the row's number.

use serde::{Deserialize, Serialize};

/// Rows a second of event time.
pub const ROWS_PER_SECOND: u64 = 1_000_000;

#[inline(always)]
pub fn mix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Division by a number that is known at the start: a multiplication and one correction, as drey-bench does it.
#[derive(Clone, Copy)]
struct Divisor {
    by: u64,
    inverse: u64,
}

impl Divisor {
    fn new(by: u64) -> Self {
        let inverse = if by == 1 { u64::MAX } else { ((1u128 << 64) / by as u128) as u64 };
        Divisor { by, inverse }
    }

    /// Quotient and remainder.
    #[inline(always)]
    fn divide(self, x: u64) -> (u64, u64) {
        let quotient = ((x as u128 * self.inverse as u128) >> 64) as u64;
        let rest = x - quotient * self.by;
        if rest >= self.by { (quotient + 1, rest - self.by) } else { (quotient, rest) }
    }
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    pub key: i64,
    pub value: i64,
    pub ts: i64,
    pub seq: i64,
}

/// The rows of one worker: a contiguous range of numbers, whose event times interleave with the others'.
#[derive(Clone, Copy)]
pub struct Range {
    pub rows: u64,
    first: u64,
    worker: u64,
    workers: u64,
    keys: Divisor,
    rows_per_second: Divisor,
}

impl Range {
    pub fn new(rows: u64, keys: u64, worker: u64, workers: u64) -> Self {
        let share = rows / workers;
        Range {
            rows: share,
            first: share * worker,
            worker,
            workers,
            keys: Divisor::new(keys),
            rows_per_second: Divisor::new(ROWS_PER_SECOND),
        }
    }

    /// The i-th row.
    #[inline(always)]
    pub fn row(&self, i: u64) -> Row {
        let seq = self.first + i;
        let h = mix(seq);
        let position = i * self.workers + self.worker;
        Row {
            key: self.keys.divide(h >> 1).1 as i64,
            value: (h >> 48) as i64,
            ts: self.rows_per_second.divide(position * 1000).0 as i64,
            seq: seq as i64,
        }
    }
}
