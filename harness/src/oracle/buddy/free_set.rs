//! The free memory of a buddy allocator as aligned blocks, with or without merging.

use std::collections::{BTreeMap, BTreeSet};

/// A block of 2^order pages that starts at a multiple of its size, counted from address zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// Page number of the first page.
    pub first: u64,
    /// Its order.
    pub order: u32,
}

impl Block {
    /// The number of pages.
    pub const fn pages(self) -> u64 {
        1 << self.order
    }

    /// The page after the last.
    pub const fn end(self) -> u64 {
        self.first + self.pages()
    }

    /// The block that this one is a half of.
    pub const fn parent(self) -> Self {
        Self { first: self.first & !(1 << self.order), order: self.order + 1 }
    }

    /// The other half of the parent (Knuth, TAOCP vol. 1, §2.5).
    pub const fn buddy(self) -> Self {
        Self { first: self.first ^ (1 << self.order), order: self.order }
    }
}

/// The order of the smallest block that holds so many pages.
pub const fn order_for(pages: u64) -> u32 {
    pages.next_power_of_two().trailing_zeros()
}

/// The fewest aligned blocks that make up a run of pages.
pub fn decompose(first: u64, pages: u64, max_order: u32) -> impl Iterator<Item = Block> {
    let end = first + pages;
    let mut at = first;
    std::iter::from_fn(move || {
        let left = (end - at).checked_ilog2()?;
        let block = Block { first: at, order: at.trailing_zeros().min(left).min(max_order) };
        at = block.end();
        Some(block)
    })
}

/// What happens to a block that is put beside its free buddy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merging {
    /// They become one, as long as the parent lies within one region.
    Eager,
    /// They stay apart: the pieces are kept as they were freed or split.
    Never,
}

/// Free blocks that do not overlap.
#[derive(Debug, Clone)]
pub struct FreeSet {
    merging: Merging,
    max_order: u32,
    /// Runs of pages (first, number) that blocks may not reach across.
    extents: Vec<(u64, u64)>,
    blocks: BTreeMap<u64, u32>,
    by_order: Vec<BTreeSet<u64>>,
    pages: u64,
}

impl FreeSet {
    /// Everything in the extents is free, in the largest blocks that fit.
    pub fn new(merging: Merging, max_order: u32, extents: &[(u64, u64)]) -> Self {
        let mut set = Self {
            merging,
            max_order,
            extents: extents.to_vec(),
            blocks: BTreeMap::new(),
            by_order: vec![BTreeSet::new(); max_order as usize + 1],
            pages: 0,
        };
        for &(first, pages) in extents {
            decompose(first, pages, max_order).for_each(|block| set.insert(block));
        }
        set
    }

    /// Free pages.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The number of free blocks of each order.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        self.by_order.iter().map(|blocks| blocks.len() as u64)
    }

    /// The free block that holds a page.
    pub fn containing(&self, page: u64) -> Option<Block> {
        let (&first, &order) = self.blocks.range(..=page).next_back()?;
        let block = Block { first, order };
        (page < block.end()).then_some(block)
    }

    /// A free block of the smallest order that is at least `order`.
    pub fn smallest(&self, order: u32) -> Option<Block> {
        (order..=self.max_order)
            .find_map(|order| self.by_order[order as usize].first().map(|&first| Block { first, order }))
    }

    /// The largest free block that overlaps a run of pages.
    pub fn largest_within(&self, first: u64, pages: u64) -> Option<Block> {
        self.overlapping(first, pages).max_by_key(|block| block.order)
    }

    /// The free blocks that overlap a run of pages, in order of address.
    pub fn overlapping(&self, first: u64, pages: u64) -> impl Iterator<Item = Block> + '_ {
        let end = first.saturating_add(pages);
        let from = self.containing(first).map_or(first, |block| block.first);
        self.blocks.range(from..end.max(from)).map(|(&first, &order)| Block { first, order })
    }

    /// Removes a run of pages; what is left of the blocks that it cuts stays free.
    pub fn take(&mut self, first: u64, pages: u64) {
        let end = first + pages;
        let cut: Vec<Block> = self.overlapping(first, pages).collect();
        for block in cut {
            self.remove(block);
            let before = first.saturating_sub(block.first);
            decompose(block.first, before, self.max_order).for_each(|rest| self.insert(rest));
            let after = block.end().saturating_sub(end);
            decompose(block.end() - after, after, self.max_order).for_each(|rest| self.insert(rest));
        }
    }

    /// Adds a run of pages that are not free.
    pub fn give(&mut self, first: u64, pages: u64) {
        for mut block in decompose(first, pages, self.max_order) {
            while self.merging == Merging::Eager && self.merges(block) {
                self.remove(block.buddy());
                block = block.parent();
            }
            self.insert(block);
        }
    }

    fn merges(&self, block: Block) -> bool {
        let parent = block.parent();
        parent.order <= self.max_order
            && self.by_order[block.order as usize].contains(&block.buddy().first)
            && self.extents.iter().any(|&(first, pages)| first <= parent.first && parent.end() <= first + pages)
    }

    fn insert(&mut self, block: Block) {
        self.blocks.insert(block.first, block.order);
        self.by_order[block.order as usize].insert(block.first);
        self.pages += block.pages();
    }

    fn remove(&mut self, block: Block) {
        self.blocks.remove(&block.first);
        self.by_order[block.order as usize].remove(&block.first);
        self.pages -= block.pages();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(set: &FreeSet) -> Vec<(u64, u32)> {
        set.blocks.iter().map(|(&first, &order)| (first, order)).collect()
    }

    #[test]
    fn an_odd_run_becomes_the_fewest_aligned_blocks() {
        let set = FreeSet::new(Merging::Eager, 10, &[(3, 11)]);
        assert_eq!(blocks(&set), [(3, 0), (4, 2), (8, 2), (12, 1)]);
    }

    #[test]
    fn what_is_taken_and_given_back_merges_into_what_was_there() {
        let mut set = FreeSet::new(Merging::Eager, 4, &[(16, 16)]);
        set.take(21, 1);
        assert_eq!(blocks(&set), [(16, 2), (20, 0), (22, 1), (24, 3)]);
        set.give(21, 1);
        assert_eq!(blocks(&set), [(16, 4)]);
    }

    #[test]
    fn without_merging_the_pieces_stay() {
        let mut set = FreeSet::new(Merging::Never, 4, &[(16, 4)]);
        set.take(16, 1);
        set.give(16, 1);
        assert_eq!(blocks(&set), [(16, 0), (17, 0), (18, 1)]);
    }

    #[test]
    fn buddies_in_two_regions_are_no_buddies() {
        let mut set = FreeSet::new(Merging::Eager, 4, &[(0, 1), (1, 1)]);
        set.take(0, 1);
        set.give(0, 1);
        assert_eq!(blocks(&set), [(0, 0), (1, 0)]);
    }
}
