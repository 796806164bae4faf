//! Figures that a trace yields: guest instructions per operation, by phase.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trace::{Operation, What};

/// Guest instructions per operation (allocate or free) of one phase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Instructions {
    /// Operations counted.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Half of the operations took no more.
    pub median: u64,
    /// 99 of 100 operations took no more.
    pub p99: u64,
    /// The longest.
    pub worst: u64,
}

/// The statistics that a check can name after the phase.
pub const STATISTICS: [&str; 4] = ["mean", "median", "p99", "worst"];

impl Instructions {
    /// Of so many for each operation; none where there is none.
    pub fn of(mut each: Vec<u64>) -> Option<Self> {
        each.sort_unstable();
        let worst = *each.last()?;
        let count = each.len();
        // The nearest-rank definition: the smallest value that at least that share does not exceed.
        let rank = |share: usize| each[(count * share).div_ceil(100).max(1) - 1];
        let mean = each.iter().sum::<u64>() as f64 / count as f64;
        Some(Self { count: count as u64, mean, median: rank(50), p99: rank(99), worst })
    }

    /// One of [`STATISTICS`].
    pub fn get(&self, statistic: &str) -> Option<f64> {
        match statistic {
            "mean" => Some(self.mean),
            "median" => Some(self.median as f64),
            "p99" => Some(self.p99 as f64),
            "worst" => Some(self.worst as f64),
            _ => None,
        }
    }
}

/// The figures of every phase, over the clients' operations; the kernel's own have no phase and do not count.
pub fn by_phase(operations: &[Operation], phases: &[&'static str]) -> BTreeMap<&'static str, Instructions> {
    let mut each: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    for (operation, phase) in operations.iter().zip(phases) {
        if !phase.is_empty() && !matches!(operation.what, What::Statistics(_)) {
            each.entry(phase).or_default().push(operation.instructions);
        }
    }
    each.into_iter().filter_map(|(phase, each)| Some((phase, Instructions::of(each)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let figures = Instructions::of((1..=200).collect()).unwrap();
        assert_eq!((figures.median, figures.p99, figures.worst), (100, 198, 200));
        assert_eq!(figures.mean, 100.5);
        assert_eq!(Instructions::of(vec![7]).map(|one| (one.median, one.p99)), Some((7, 7)));
    }
}
