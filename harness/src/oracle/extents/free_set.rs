//! Free memory as extents of any length, with or without merging.

use std::collections::{BTreeMap, BTreeSet};

use abi::page::ORDERS;

/// A run of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// Page number of the first page.
    pub first: u64,
    /// The number of pages.
    pub pages: u64,
}

impl Extent {
    /// The page after the last.
    pub const fn end(self) -> u64 {
        self.first.saturating_add(self.pages)
    }

    /// Whether all pages of another one are pages of this one.
    pub const fn holds(self, other: Self) -> bool {
        self.first <= other.first && other.end() <= self.end()
    }

    /// Whether the other one, which it holds, begins or ends where it does, so that one rest is left at most.
    pub const fn shares_end_with(self, other: Self) -> bool {
        self.first == other.first || self.end() == other.end()
    }
}

/// What happens to an extent that is put beside a free neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merging {
    /// They become one, within their region.
    Eager,
    /// They stay apart: the pieces are kept as they were freed and split.
    Never,
}

/// Free extents that do not overlap.
#[derive(Debug, Clone)]
pub struct FreeSet {
    merging: Merging,
    /// Page numbers at which regions begin: no extent reaches across one.
    borders: BTreeSet<u64>,
    extents: BTreeMap<u64, u64>,
    by_length: BTreeSet<(u64, u64)>,
    pages: u64,
}

impl FreeSet {
    /// All of the regions is free, as one extent each.
    pub fn new(merging: Merging, regions: &[Extent]) -> Self {
        let mut set = Self {
            merging,
            borders: regions.iter().map(|region| region.first).collect(),
            extents: BTreeMap::new(),
            by_length: BTreeSet::new(),
            pages: 0,
        };
        regions.iter().for_each(|&region| set.insert(region));
        set
    }

    /// Free pages.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The longest extent.
    pub fn longest(&self) -> Option<Extent> {
        self.by_length.last().map(|&(pages, first)| Extent { first, pages })
    }

    /// The number of extents of each class of lengths: element k counts those of 2^k pages up to 2^(k+1), the last
    /// element all from there on.
    pub fn counts(&self) -> [u64; ORDERS] {
        let mut counts = [0; ORDERS];
        for (pages, _) in &self.by_length {
            counts[(pages.ilog2() as usize).min(ORDERS - 1)] += 1;
        }
        counts
    }

    /// The extent that holds a page.
    pub fn containing(&self, page: u64) -> Option<Extent> {
        let (&first, &pages) = self.extents.range(..=page).next_back()?;
        let extent = Extent { first, pages };
        (page < extent.end()).then_some(extent)
    }

    /// One of the shortest extents that have at least so many pages.
    pub fn best(&self, pages: u64) -> Option<Extent> {
        self.by_length.range((pages, 0)..).next().map(|&(pages, first)| Extent { first, pages })
    }

    /// The first extent that has at least so many pages.
    pub fn first_fit(&self, pages: u64) -> Option<Extent> {
        let mut extents = self.extents.iter().map(|(&first, &pages)| Extent { first, pages });
        extents.find(|extent| extent.pages >= pages)
    }

    /// The extents that overlap a run of pages, in order of address.
    pub fn overlapping(&self, run: Extent) -> impl Iterator<Item = Extent> + '_ {
        let from = self.containing(run.first).map_or(run.first, |extent| extent.first);
        self.extents.range(from..run.end().max(from)).map(|(&first, &pages)| Extent { first, pages })
    }

    /// Removes a run of pages; what is left of the extents that it cuts stays free.
    pub fn take(&mut self, run: Extent) {
        let cut: Vec<Extent> = self.overlapping(run).collect();
        for extent in cut {
            self.remove(extent);
            self.insert(Extent { pages: run.first.saturating_sub(extent.first), ..extent });
            let after = extent.end().saturating_sub(run.end());
            self.insert(Extent { first: extent.end() - after, pages: after });
        }
    }

    /// Adds a run of pages that are not free.
    pub fn give(&mut self, mut run: Extent) {
        if self.merging == Merging::Eager {
            if !self.borders.contains(&run.first)
                && let Some(before) = run.first.checked_sub(1).and_then(|page| self.containing(page))
            {
                self.remove(before);
                run = Extent { first: before.first, pages: before.pages + run.pages };
            }
            if !self.borders.contains(&run.end())
                && let Some(behind) = self.containing(run.end())
            {
                self.remove(behind);
                run.pages += behind.pages;
            }
        }
        self.insert(run);
    }

    fn insert(&mut self, extent: Extent) {
        if extent.pages > 0 {
            self.extents.insert(extent.first, extent.pages);
            self.by_length.insert((extent.pages, extent.first));
            self.pages += extent.pages;
        }
    }

    fn remove(&mut self, extent: Extent) {
        self.extents.remove(&extent.first);
        self.by_length.remove(&(extent.pages, extent.first));
        self.pages -= extent.pages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn run(first: u64, pages: u64) -> Extent {
        Extent { first, pages }
    }

    fn extents(set: &FreeSet) -> Vec<(u64, u64)> {
        set.extents.iter().map(|(&first, &pages)| (first, pages)).collect()
    }

    #[test]
    fn what_is_taken_and_given_back_merges_with_both_neighbours() {
        let mut set = FreeSet::new(Merging::Eager, &[run(16, 16)]);
        set.take(run(20, 3));
        set.take(run(25, 2));
        assert_eq!(extents(&set), [(16, 4), (23, 2), (27, 5)]);
        set.give(run(20, 3));
        assert_eq!(extents(&set), [(16, 9), (27, 5)]);
        set.give(run(25, 2));
        assert_eq!(extents(&set), [(16, 16)]);
        assert_eq!(set.pages(), 16);
    }

    #[test]
    fn without_merging_the_pieces_stay() {
        let mut set = FreeSet::new(Merging::Never, &[run(16, 4)]);
        set.take(run(16, 1));
        set.give(run(16, 1));
        assert_eq!(extents(&set), [(16, 1), (17, 3)]);
    }

    #[test]
    fn neighbours_in_two_regions_stay_apart() {
        let mut set = FreeSet::new(Merging::Eager, &[run(0, 4), run(4, 4)]);
        set.take(run(3, 1));
        set.take(run(4, 1));
        set.give(run(4, 1));
        set.give(run(3, 1));
        assert_eq!(extents(&set), [(0, 4), (4, 4)]);
    }

    #[test]
    fn the_best_is_the_shortest_that_is_long_enough_and_the_first_the_lowest() {
        let mut set = FreeSet::new(Merging::Eager, &[run(0, 30)]);
        set.take(run(10, 1));
        set.take(run(15, 1));
        assert_eq!(extents(&set), [(0, 10), (11, 4), (16, 14)]);
        assert_eq!(
            [4, 5, 11, 15].map(|pages| set.best(pages).map(|extent| extent.pages)),
            [Some(4), Some(10), Some(14), None]
        );
        assert_eq!(set.first_fit(4), Some(run(0, 10)));
        assert_eq!(set.counts(), [0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
}
