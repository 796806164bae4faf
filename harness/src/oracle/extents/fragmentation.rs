//! What best fit buys: how broken up the free memory is, beside that of first fit on the same requests.

use std::collections::HashMap;

use super::free_set::{Extent, FreeSet, Merging};
use super::replay::managed;
use crate::oracle::Case;
use crate::subject::table::{Column, Table};
use crate::trace::What;

/// Averages over the operations of one phase.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    operations: u64,
    requests: u64,
    /// External fragmentation, of the allocator and of first fit, added up.
    own: f64,
    first_fit: f64,
    /// Requests that could not be met.
    refused: u64,
    first_fit_refused: u64,
}

impl Sums {
    fn figures(&self) -> [f64; 4] {
        let percent = |sum: f64| 100.0 * sum / self.operations as f64;
        [percent(self.own), percent(self.first_fit), self.refused as f64, self.first_fit_refused as f64]
    }
}

/// External fragmentation by phase, in percent: 1 - longest free extent / free pages, averaged over the operations.
///
/// First fit takes the low end of the lowest extent that is long enough and merges as the rules demand. It gets the
/// requests of the trace, whose addresses it translates; a request that it alone cannot meet is refused, and the free
/// that belongs to it left out.
pub fn table(case: &Case<'_>) -> Table {
    let columns = [
        Column::new("fragmentation %", 1).compared(),
        Column::new("of first fit", 1),
        Column::new("refused", 0).compared(),
        Column::new("by first fit", 0),
    ];
    let mut table = Table::new("external fragmentation", columns);
    let mut phases: Vec<(&'static str, Sums)> = Vec::new();
    let mut all = Sums::default();
    let mut replay = Replay::new(case);
    for (operation, &phase) in case.operations.iter().zip(case.phases) {
        let Some(refused) = replay.make(&operation.what) else { continue };
        if !phases.iter().any(|(known, _)| *known == phase) {
            phases.push((phase, Sums::default()));
        }
        let of_phase = phases.iter_mut().find(|(known, _)| *known == phase).map(|(_, sums)| sums);
        for sums in of_phase.into_iter().chain([&mut all]) {
            sums.operations += 1;
            sums.requests += u64::from(matches!(operation.what, What::Allocate { .. }));
            sums.own += external_fragmentation(&replay.own);
            sums.first_fit += external_fragmentation(&replay.first_fit);
            sums.refused += u64::from(refused.own);
            sums.first_fit_refused += u64::from(refused.first_fit);
        }
    }
    // Nothing is chosen where everything is given back, and nothing is lost where all that is free is one extent.
    let tells =
        |(phase, sums): &&(&str, Sums)| !phase.is_empty() && sums.requests > 0 && sums.own + sums.first_fit > 0.0;
    phases.iter().filter(tells).for_each(|(phase, sums)| table.push(*phase, sums.figures()));
    table.push("all of it", all.figures());
    table
}

/// The share of the free pages that the longest extent does not hold; nothing where there are none.
fn external_fragmentation(free: &FreeSet) -> f64 {
    free.longest().map_or(0.0, |longest| 1.0 - longest.pages as f64 / free.pages() as f64)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refused {
    own: bool,
    first_fit: bool,
}

/// The allocator's memory as its trace tells it, and first fit's.
struct Replay {
    own: FreeSet,
    first_fit: FreeSet,
    /// By the address that the allocator handed out: its block, and first fit's.
    live: HashMap<u64, (Extent, Option<Extent>)>,
}

impl Replay {
    fn new(case: &Case<'_>) -> Self {
        let free = FreeSet::new(Merging::Eager, &managed(case.pool));
        Self { own: free.clone(), first_fit: free, live: HashMap::new() }
    }

    /// Follows an operation; none where it neither hands out nor takes back, since nothing was right to ask.
    fn make(&mut self, what: &What) -> Option<Refused> {
        match *what {
            What::Allocate { pages, answer: Ok(address) } => {
                let own = Extent { first: address / abi::page::PAGE_SIZE, pages };
                // Blocks that overlap are another rule's business; here they would only be counted twice.
                if self.live.contains_key(&address) || !self.own.containing(own.first)?.holds(own) {
                    return None;
                }
                let found = self.first_fit.first_fit(pages).map(|extent| Extent { pages, ..extent });
                self.own.take(own);
                found.into_iter().for_each(|block| self.first_fit.take(block));
                self.live.insert(address, (own, found));
                Some(Refused { own: false, first_fit: found.is_none() })
            }
            What::Allocate { pages, answer: Err(abi::page::PageError::Exhausted) } => {
                Some(Refused { own: true, first_fit: self.first_fit.first_fit(pages).is_none() })
            }
            What::Free { address, pages, answer: Ok(()) } => {
                let (own, first_fit) = self.live.remove(&address).filter(|(own, _)| own.pages == pages)?;
                self.own.give(own);
                first_fit.into_iter().for_each(|block| self.first_fit.give(block));
                Some(Refused { own: false, first_fit: false })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::extents::tests::{case, freed, operation, refused, taken};

    #[test]
    fn a_hole_that_fits_keeps_the_long_extent_whole_and_first_fit_does_not() {
        // Holes of 8 and 2 pages, and 20 behind them: two pages go into the hole that fits, or into the first one.
        let made = [taken(8, 0), taken(1, 8), taken(2, 9), taken(1, 11), freed(8, 0, Ok(())), freed(2, 9, Ok(()))];
        let requests = [taken(2, 9), taken(8, 0), refused(21, abi::page::PageError::Exhausted)];
        let operations: Vec<_> = made.iter().chain(&requests).map(|what| operation(*what)).collect();
        let phases: Vec<_> = (0..operations.len()).map(|at| if at < made.len() { "made" } else { "asked" }).collect();
        let case = case(32, &operations, &phases);
        let table = table(&case.as_case());
        let asked = table.row("asked").expect("a row").values.clone();
        // Of 28 and then 20 free pages in the best fit, the longest extent has 20; first fit cuts 8 pages off it.
        assert_eq!(asked[2..], [Some(1.0), Some(1.0)]);
        let own = 100.0 * ((1.0 - 20.0 / 28.0) + 0.0 + 0.0) / 3.0;
        let other = 100.0 * ((1.0 - 20.0 / 28.0) + 2.0 * (1.0 - 12.0 / 20.0)) / 3.0;
        assert!((asked[0].unwrap_or(0.0) - own).abs() < 1e-9, "{asked:?}");
        assert!((asked[1].unwrap_or(0.0) - other).abs() < 1e-9, "{asked:?}");
    }

    #[test]
    fn a_request_that_only_first_fit_cannot_meet_is_counted_and_its_free_left_out() {
        let made = [taken(8, 0), taken(1, 8), taken(2, 9), taken(1, 11), freed(8, 0, Ok(())), freed(2, 9, Ok(()))];
        let requests = [taken(20, 12), taken(2, 9), taken(8, 0), freed(8, 0, Ok(())), taken(8, 0)];
        let operations: Vec<_> = made.iter().chain(&requests).map(|what| operation(*what)).collect();
        let phases = vec!["all"; operations.len()];
        let case = case(32, &operations, &phases);
        assert_eq!(table(&case.as_case()).row("all").expect("a row").values[2..], [Some(0.0), Some(2.0)]);
    }
}
