//! Requests for any number of pages, for allocators that do not round them up.

use super::{Held, Pages, Run};
use crate::page::PAGE_SIZE;

/// What pins are made of: blocks that keep the free extents on either side of them apart.
const PIN: u64 = 1;

/// The longest hole in a wall.
const LONGEST_HOLE: u64 = 40;

/// Holes of a wall, which has a pin behind each.
const HOLES: u64 = 120;

/// Regions that the largest extents are looked for in; one more than any allocator has.
const MOST_REGIONS: usize = 9;

/// No machine of ours has extents of so many pages or more: 2^22, which are 16 GiB.
const BITS_OF_LENGTH: u32 = 22;

impl<P: Pages> Run<'_, P> {
    /// A number of pages up to 2^(`largest` + 1), any of them, small ones far more often.
    fn draw_length(&mut self, largest: u32) -> u64 {
        let order = self.draw_order(largest);
        1 + self.draw.below(2 << order)
    }

    pub(super) fn sizes(&mut self, operations: u64, hold: u64, keep: u64) -> Result<(), P::Stop> {
        const BETWEEN_STATISTICS: u64 = 64;
        self.pages.phase("sizes")?;
        for operation in 0..operations {
            if operation % BETWEEN_STATISTICS == BETWEEN_STATISTICS - 1 {
                self.pages.statistics()?;
            }
            // Slow swings between filling up and emptying reach full, empty and all that is between.
            let filling = (operation / 256) % 2 == 0;
            let take = self.draw.below(8) < if filling { 6 } else { 2 };
            if self.holding.len() == 0 || (take && !self.holding.is_full()) {
                let pages = self.draw_length(8);
                if self.held_pages + pages <= hold {
                    self.take(pages)?;
                    continue;
                }
            }
            if self.holding.len() > 0 {
                self.give_any()?;
            }
        }
        self.pages.phase("give back")?;
        self.give_all_but(keep)?;
        self.pages.statistics()
    }

    pub(super) fn holes(&mut self) -> Result<(), P::Stop> {
        self.pages.phase("a wall of blocks and pins")?;
        for _ in 0..HOLES {
            let pages = PIN + 1 + self.draw.below(LONGEST_HOLE - PIN);
            if !self.take(pages)? || !self.take(PIN)? {
                break;
            }
        }
        self.shuffle();
        self.pages.phase("holes of many lengths")?;
        self.give_where(|held| held.pages > PIN)?;
        self.pages.statistics()?;
        for _ in 0..3 {
            self.pages.phase("requests between the holes' lengths")?;
            for _ in 0..HOLES {
                let pages = PIN + 1 + self.draw.below(LONGEST_HOLE - PIN);
                self.take(pages)?;
                if self.draw.below(3) == 0 && self.holding.len() > 0 {
                    self.give_any()?;
                }
            }
            self.pages.statistics()?;
            self.pages.phase("holes again")?;
            self.shuffle();
            self.give_where(|held| held.pages > PIN)?;
        }
        self.pages.phase("give back")?;
        self.give_all()?;
        self.pages.statistics()
    }

    pub(super) fn refill(&mut self) -> Result<(), P::Stop> {
        self.pages.statistics()?;
        for _ in 0..2 {
            self.pages.phase("any sizes until nothing is left")?;
            let mut most = 64;
            while most > 0 && !self.holding.is_full() {
                let pages = 1 + self.draw.below(most);
                if !self.take(pages)? {
                    most /= 2;
                }
            }
            self.pages.statistics()?;
            self.pages.phase("everything back, in random order")?;
            self.give_all()?;
            self.pages.statistics()?;
            self.pages.phase("whole regions")?;
            for _ in 0..MOST_REGIONS {
                let longest = self.longest()?;
                if longest == 0 || self.holding.is_full() {
                    break;
                }
                self.take(longest)?;
            }
            self.pages.statistics()?;
            self.give_all()?;
        }
        self.pages.statistics()
    }

    pub(super) fn limits(&mut self) -> Result<(), P::Stop> {
        self.pages.phase("zero pages")?;
        self.pages.allocate(0)?.ok();
        self.pages.phase("more than there can ever be")?;
        // The last ones are the bytes of nothing at all, and of one page, to who multiplies without a thought.
        for pages in [1 << BITS_OF_LENGTH, u64::from(u32::MAX), 1 << 52, (1 << 52) + 1, u64::MAX] {
            self.take(pages)?;
        }
        self.pages.phase("the longest extent")?;
        let longest = self.longest()?;
        self.take(longest + 1)?;
        if longest > 0 && self.take(longest)? {
            self.give_last()?;
        }
        self.pages.phase("every length from one page up")?;
        for pages in 1..=64 {
            self.take(pages)?;
        }
        self.pages.statistics()?;
        self.give_all()?;
        self.pages.phase("a hole's length, one page less and one more")?;
        for _ in 0..16 {
            let length = 2 + self.draw.below(LONGEST_HOLE);
            if !self.take(length)? {
                break;
            }
            let hole = self.holding.pop();
            self.take(PIN)?;
            hole.map_or(Ok(()), |hole| self.give(hole))?;
            for pages in [length, length - 1, length + 1] {
                if self.take(pages)? {
                    self.give_last()?;
                }
            }
        }
        self.pages.statistics()?;
        self.give_all()?;
        self.pages.statistics()
    }

    pub(super) fn mistakes(&mut self) -> Result<(), P::Stop> {
        // All is one extent now, so these lie side by side, and whichever is freed last merges with both others.
        for _ in 0..6 {
            self.pages.phase("three neighbours")?;
            for _ in 0..3 {
                let pages = self.draw_length(3);
                self.take(pages)?;
            }
            self.shuffle();
            let mut gone = [Held::default(); 3];
            for gone in &mut gone {
                let Some(held) = self.holding.pop() else { return Ok(()) };
                self.give(held)?;
                *gone = held;
            }
            self.pages.phase("a block freed twice, after it has merged")?;
            for held in gone {
                self.pages.free(held.address, held.pages)?.ok();
            }
            self.pages.statistics()?;
        }
        self.pages.phase("blocks of many sizes")?;
        for _ in 0..64 {
            let pages = self.draw_length(5);
            self.take(pages)?;
        }
        for round in 0..16 {
            let index = self.draw.below(self.holding.len().max(1));
            let Some(held) = self.holding.blocks[..self.holding.count].get(index as usize).copied() else {
                return Ok(()); // nothing was ever handed out, so there is nothing to free wrongly
            };
            self.pages.phase("an address within a page")?;
            let within = 8 * (1 + self.draw.below(PAGE_SIZE / 8 - 1));
            self.pages.free(held.address + within, held.pages)?.ok();
            self.pages.phase("a page within a block")?;
            if held.pages > 1 {
                let before = 1 + self.draw.below(held.pages - 1);
                self.pages.free(held.address + PAGE_SIZE * before, held.pages - before)?.ok();
                self.pages.free(held.address + PAGE_SIZE * before, 1)?.ok();
            }
            self.pages.phase("another size than was allocated")?;
            for pages in [held.pages + 1, held.pages * 2, held.pages + (1 << 32)] {
                self.pages.free(held.address, pages)?.ok();
            }
            if held.pages > 1 {
                self.pages.free(held.address, held.pages - 1)?.ok();
            }
            self.pages.phase("no pages at all")?;
            self.pages.free(held.address, 0)?.ok();
            self.pages.phase("an address outside of the pool")?;
            let outside = [PAGE_SIZE, 64 * PAGE_SIZE, 1 << 30, 1 << 38][round % 4];
            self.pages.free(outside, held.pages)?.ok();
            self.pages.phase("a block freed twice")?;
            let held = self.holding.swap_remove(index);
            self.give(held)?;
            self.pages.free(held.address, held.pages)?.ok();
            if held.pages > 1 {
                self.pages.free(held.address + PAGE_SIZE, held.pages - 1)?.ok();
            }
            self.pages.phase("nothing was harmed by the wrong frees")?;
            self.pages.statistics()?;
            let again = self.draw_length(5);
            self.take(again)?;
        }
        self.give_all()?;
        self.pages.statistics()
    }

    pub(super) fn size_bench(&mut self, operations: u64) -> Result<(), P::Stop> {
        self.pages.phase("warm-pair")?;
        for _ in 0..operations / 8 {
            self.pair(3)?;
        }
        self.pages.phase("mixed")?;
        for _ in 0..operations / 3 {
            if self.holding.len() < 16 || (self.draw.below(2) == 0 && self.holding.len() < 256) {
                let pages = self.draw_length(7);
                if self.take(pages)? {
                    continue;
                }
            }
            if self.holding.len() > 0 {
                self.give_any()?;
            }
        }
        self.pages.phase("give back")?;
        self.give_all()?;
        self.pages.phase("fragment")?;
        for _ in 0..2000 {
            let pages = 1 + self.draw.below(3);
            self.take(pages)?;
        }
        self.shuffle();
        for _ in 0..self.holding.len() / 2 {
            let held = self.holding.pop();
            held.map_or(Ok(()), |held| self.give(held))?;
        }
        self.pages.phase("fragmented")?;
        for _ in 0..operations / 3 {
            if self.holding.len() == 0 || self.draw.below(2) == 0 {
                let pages = 1 + self.draw.below(4);
                if self.take(pages)? {
                    continue;
                }
            }
            if self.holding.len() > 0 {
                self.give_any()?;
            }
        }
        self.pages.phase("give back")?;
        self.give_all()?;
        self.nearly_full(operations / 3)
    }

    /// Blocks of any of the lengths up to [`LONGEST_HOLE`] come and go, with nine pages in use for each free one: where
    /// an allocator's choices decide whether the next request can be met.
    fn nearly_full(&mut self, operations: u64) -> Result<(), P::Stop> {
        self.pages.phase("longest")?;
        let most = self.longest()? / 10 * 9;
        self.pages.phase("nearly-full")?;
        for _ in 0..operations {
            let pages = 1 + self.draw.below(LONGEST_HOLE);
            let is_taken = self.held_pages + pages <= most && !self.holding.is_full() && self.take(pages)?;
            if !is_taken && self.holding.len() > 0 {
                self.give_any()?;
            }
        }
        self.pages.phase("give back")?;
        self.give_all()
    }

    /// The most pages that can be had in one piece now.
    fn longest(&mut self) -> Result<u64, P::Stop> {
        let mut longest = 0;
        for bit in (0..BITS_OF_LENGTH).rev() {
            let pages = longest | 1 << bit;
            if let Ok(address) = self.pages.allocate(pages)? {
                self.pages.free(address, pages)?.ok();
                longest = pages;
            }
        }
        Ok(longest)
    }

    fn give_last(&mut self) -> Result<(), P::Stop> {
        self.holding.pop().map_or(Ok(()), |held| self.give(held))
    }

    fn give_where(&mut self, mut which: impl FnMut(&Held) -> bool) -> Result<(), P::Stop> {
        let mut index = 0;
        while index < self.holding.len() {
            if which(&self.holding.blocks[index as usize]) {
                let held = self.holding.swap_remove(index);
                self.give(held)?;
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    /// Puts what is held into any order (Knuth, vol. 2, §3.4.2, algorithm P).
    fn shuffle(&mut self) {
        for last in (1..self.holding.count).rev() {
            let other = self.draw.below(last as u64 + 1) as usize;
            self.holding.blocks.swap(last, other);
        }
    }
}
