//! What reports show of the locks that were taken.

use super::table::{Column, Table};
use crate::list_trace::Lock;

/// The most locks that a table shows.
const SHOWN: usize = 6;

/// The locks, those first that harts wait for most often; nothing when none was taken.
pub(super) fn tables(locks: &[Lock], operations: usize) -> Vec<Table> {
    let mut locks: Vec<(usize, &Lock)> =
        locks.iter().enumerate().filter(|(_, lock)| lock.total().acquisitions > 0).collect();
    if locks.is_empty() {
        return Vec::new();
    }
    let wait = |lock: &Lock| (lock.total().contended, lock.shared(), lock.total().acquisitions);
    locks.sort_by_key(|(_, lock)| std::cmp::Reverse(wait(lock)));
    let mut columns = vec![
        Column::new("acquisitions", 0),
        Column::new("contended", 0),
        Column::new("by other harts", 0),
        Column::new("same per operation", 3),
    ];
    // Some kernels cannot count instructions.
    if locks.iter().any(|(_, lock)| lock.total().instructions > 0) {
        columns.push(Column::new("instructions held", 1));
    }
    let width = columns.len();
    let mut table = Table::new("Locks by contention", columns);
    for (number, lock) in locks.into_iter().take(SHOWN) {
        let total = lock.total();
        let (acquisitions, shared) = (total.acquisitions as f64, lock.shared() as f64);
        let held = total.instructions as f64 / acquisitions;
        let name = match lock.of.as_str() {
            "kernel" => format!("{} (kernel)", lock.name),
            _ => format!("{} (#{number})", lock.name),
        };
        let cells = [acquisitions, total.contended as f64, shared, shared / operations as f64, held];
        table.push(name, cells.into_iter().take(width));
    }
    vec![table]
}
