//! What the test programs ask of a page allocator, drawn from a seed.
//!
//! The guest runs a workload against a pool; the host runs the very same code against the trace that came
//! back, and so knows what must have been asked, in which order, and that nothing was left out. A workload
//! may depend on the answers that it gets: both sides see the same ones.

mod arguments;
mod extents;

use crate::draw::Draw;
use crate::page::{MAX_ORDER, PAGE_SIZE, PageError};

pub use arguments::{BadArgument, MOST_CLIENTS, Scenario, Workload};

/// What a workload drives: a pool of the kernel in the guest, a trace on the host.
pub trait Pages {
    /// Why the workload cannot go on: never in the guest; on the host, the trace ends or departs from it.
    type Stop;

    /// The operations from here on belong to the phase of that name.
    ///
    /// # Errors
    /// When the workload must stop.
    fn phase(&mut self, name: &'static str) -> Result<(), Self::Stop>;

    /// Asks for so many contiguous pages; the answer is their byte address.
    ///
    /// # Errors
    /// When the workload must stop.
    fn allocate(&mut self, pages: u64) -> Result<Result<u64, PageError>, Self::Stop>;

    /// Gives pages back.
    ///
    /// # Errors
    /// When the workload must stop.
    fn free(&mut self, address: u64, pages: u64) -> Result<Result<(), PageError>, Self::Stop>;

    /// Asks for statistics. They are traced for the oracle; the workload does not depend on them.
    ///
    /// # Errors
    /// When the workload must stop.
    fn statistics(&mut self) -> Result<(), Self::Stop>;
}

/// A block that the workload holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Byte address of the first page.
    pub address: u64,
    /// The number of pages asked for.
    pub pages: u64,
}

/// The most blocks that a workload holds at a time; past that it frees before it allocates.
pub const MOST_HELD: usize = 8192;

/// The blocks held, in memory that the caller provides since neither side of the guest has a heap to count on.
#[derive(Debug)]
pub struct Holding<'a> {
    blocks: &'a mut [Held],
    count: usize,
}

impl<'a> Holding<'a> {
    /// An empty holding with room for as many blocks as the slice has elements.
    pub fn new(room: &'a mut [Held]) -> Self {
        Self { blocks: room, count: 0 }
    }

    fn len(&self) -> u64 {
        self.count as u64
    }

    fn is_full(&self) -> bool {
        self.count == self.blocks.len()
    }

    fn push(&mut self, held: Held) {
        self.blocks[self.count] = held;
        self.count += 1;
    }

    fn pop(&mut self) -> Option<Held> {
        self.count = self.count.checked_sub(1)?;
        Some(self.blocks[self.count])
    }

    /// Takes a block out, in constant time; the last one moves into its place.
    fn swap_remove(&mut self, index: u64) -> Held {
        let held = self.blocks[index as usize];
        self.count -= 1;
        self.blocks[index as usize] = self.blocks[self.count];
        held
    }
}

impl Workload {
    /// Runs the part of one client.
    ///
    /// # Errors
    /// Whatever stopped `pages`.
    pub fn run<P: Pages>(&self, client: u8, pages: &mut P, room: &mut [Held]) -> Result<(), P::Stop> {
        if self.uncounted {
            self.run_over(client, &mut Uncounted(pages), room)
        } else {
            self.run_over(client, pages, room)
        }
    }

    fn run_over<P: Pages>(&self, client: u8, pages: &mut P, room: &mut [Held]) -> Result<(), P::Stop> {
        let mut run =
            Run { draw: Draw::for_client(self.seed, client), pages, holding: Holding::new(room), held_pages: 0 };
        match self.scenario {
            Scenario::Mixed => run.mixed(self.operations, self.hold, self.keep),
            Scenario::Exhaust => run.exhaust(),
            Scenario::Fragment => run.fragment(),
            Scenario::Requests => run.requests(),
            Scenario::WrongFrees => run.wrong_frees(),
            Scenario::Bench => run.bench(self.operations),
            Scenario::Sizes => run.sizes(self.operations, self.hold, self.keep),
            Scenario::Holes => run.holes(),
            Scenario::Refill => run.refill(),
            Scenario::Limits => run.limits(),
            Scenario::Mistakes => run.mistakes(),
            Scenario::SizeBench => run.size_bench(self.operations),
        }
    }
}

/// Pages whose statistics are not asked for.
struct Uncounted<'a, P>(&'a mut P);

impl<P: Pages> Pages for Uncounted<'_, P> {
    type Stop = P::Stop;

    fn phase(&mut self, name: &'static str) -> Result<(), P::Stop> {
        self.0.phase(name)
    }

    fn allocate(&mut self, pages: u64) -> Result<Result<u64, PageError>, P::Stop> {
        self.0.allocate(pages)
    }

    fn free(&mut self, address: u64, pages: u64) -> Result<Result<(), PageError>, P::Stop> {
        self.0.free(address, pages)
    }

    fn statistics(&mut self) -> Result<(), P::Stop> {
        Ok(())
    }
}

struct Run<'a, P> {
    draw: Draw,
    pages: &'a mut P,
    holding: Holding<'a>,
    held_pages: u64,
}

impl<P: Pages> Run<'_, P> {
    /// Asks for pages and holds them; false when there are none to be had.
    fn take(&mut self, pages: u64) -> Result<bool, P::Stop> {
        let answer = self.pages.allocate(pages)?;
        if let Ok(address) = answer {
            self.holding.push(Held { address, pages });
            self.held_pages += pages;
        }
        Ok(answer.is_ok())
    }

    /// Gives one of the blocks held back, whichever is drawn.
    fn give_any(&mut self) -> Result<(), P::Stop> {
        let index = self.draw.below(self.holding.len());
        let held = self.holding.swap_remove(index);
        self.give(held)
    }

    fn give(&mut self, held: Held) -> Result<(), P::Stop> {
        self.held_pages -= held.pages;
        self.pages.free(held.address, held.pages)?.ok();
        Ok(())
    }

    fn give_all(&mut self) -> Result<(), P::Stop> {
        self.give_all_but(0)
    }

    fn give_all_but(&mut self, keep: u64) -> Result<(), P::Stop> {
        while self.holding.len() > keep {
            self.give_any()?;
        }
        Ok(())
    }

    /// An order, small ones far more often, as a kernel asks for them.
    fn draw_order(&mut self, largest: u32) -> u32 {
        self.draw.next().trailing_ones().min(largest)
    }

    /// Takes blocks of one size until none is left or no more can be held.
    fn take_all(&mut self, pages: u64) -> Result<(), P::Stop> {
        while !self.holding.is_full() && self.take(pages)? {}
        Ok(())
    }

    fn mixed(&mut self, operations: u64, hold: u64, keep: u64) -> Result<(), P::Stop> {
        const BETWEEN_STATISTICS: u64 = 64;
        self.pages.phase("mixed")?;
        for operation in 0..operations {
            if operation % BETWEEN_STATISTICS == BETWEEN_STATISTICS - 1 {
                self.pages.statistics()?;
            }
            // Slow swings between filling up and emptying reach full, empty and all that is between.
            let filling = (operation / 256) % 2 == 0;
            let take = self.draw.below(8) < if filling { 5 } else { 3 };
            if self.holding.len() == 0 || (take && !self.holding.is_full()) {
                let pages = 1 << self.draw_order(MAX_ORDER);
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

    fn exhaust(&mut self) -> Result<(), P::Stop> {
        self.pages.statistics()?;
        self.pages.phase("single pages until none is left")?;
        self.take_all(1)?;
        self.pages.statistics()?;
        self.pages.phase("everything back, in random order")?;
        self.give_all()?;
        self.pages.statistics()?;
        self.pages.phase("the largest blocks first, then smaller ones")?;
        for order in (0..=MAX_ORDER).rev() {
            self.take_all(1 << order)?;
        }
        self.pages.phase("everything back, in random order")?;
        self.give_all()?;
        self.pages.statistics()
    }

    fn fragment(&mut self) -> Result<(), P::Stop> {
        self.pages.phase("single pages until none is left")?;
        self.take_all(1)?;
        self.pages.phase("every second page back")?;
        let mut index = 0;
        while index < self.holding.len() {
            if self.holding.blocks[index as usize].address / PAGE_SIZE % 2 == 1 {
                let held = self.holding.swap_remove(index);
                self.give(held)?;
            } else {
                index += 1;
            }
        }
        self.pages.statistics()?;
        self.pages.phase("two pages, when no two free ones are buddies")?;
        if self.take(2)? {
            let held = self.holding.pop();
            held.map_or(Ok(()), |held| self.give(held))?;
        }
        self.pages.phase("the other pages back, in random order")?;
        self.give_all()?;
        self.pages.statistics()?;
        self.pages.phase("the largest blocks, after merging")?;
        self.take_all(1 << MAX_ORDER)?;
        self.pages.statistics()?;
        self.give_all()
    }

    fn requests(&mut self) -> Result<(), P::Stop> {
        self.pages.phase("zero pages")?;
        self.pages.allocate(0)?.ok();
        self.pages.phase("more than the largest block")?;
        let largest = 1u64 << MAX_ORDER;
        for pages in [largest + 1, largest * 2, u64::from(u32::MAX), 1 << 40] {
            self.pages.allocate(pages)?.ok();
        }
        self.pages.phase("sizes that are no power of two")?;
        for _ in 0..64 {
            let pages = 1 + self.draw.below(largest / 2);
            self.take(pages)?;
            if self.draw.below(3) == 0 && self.holding.len() > 0 {
                self.give_any()?;
            }
        }
        for pages in [3, 5, 6, 7, 9, largest - 1] {
            self.take(pages)?;
        }
        self.pages.statistics()?;
        self.give_all()?;
        self.pages.statistics()
    }

    fn wrong_frees(&mut self) -> Result<(), P::Stop> {
        for _ in 0..64 {
            let pages = 1 << self.draw_order(6);
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
                let inner = held.address + PAGE_SIZE * (1 + self.draw.below(held.pages - 1));
                self.pages.free(inner, 1)?.ok();
            }
            self.pages.phase("another size than was allocated")?;
            self.pages.free(held.address, held.pages * 2)?.ok();
            if held.pages > 1 {
                self.pages.free(held.address, held.pages / 2)?.ok();
            }
            self.pages.phase("an address outside of the pool")?;
            let outside = [PAGE_SIZE, 64 * PAGE_SIZE, 1 << 30, 1 << 38][round % 4];
            self.pages.free(outside, 1)?.ok();
            self.pages.phase("a block freed twice")?;
            let held = self.holding.swap_remove(index);
            self.give(held)?;
            self.pages.free(held.address, held.pages)?.ok();
            self.pages.phase("nothing was harmed by the wrong frees")?;
            self.pages.statistics()?;
            let again = 1 << self.draw_order(6);
            self.take(again)?;
        }
        self.give_all()?;
        self.pages.statistics()
    }

    fn bench(&mut self, operations: u64) -> Result<(), P::Stop> {
        self.pages.phase("cold-pair")?;
        self.pair(1)?;
        self.pages.phase("warm-pair")?;
        for _ in 0..operations / 4 {
            self.pair(1)?;
        }
        self.pages.phase("mixed")?;
        for _ in 0..operations / 4 {
            if self.holding.len() < 16 || self.draw.below(2) == 0 {
                let pages = 1 << self.draw_order(MAX_ORDER - 1);
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
        for _ in 0..1024 {
            self.take(1)?;
        }
        let mut index = 0;
        while index < self.holding.len() {
            if self.draw.below(2) == 0 {
                let held = self.holding.swap_remove(index);
                self.give(held)?;
            } else {
                index += 1;
            }
        }
        self.pages.phase("fragmented")?;
        for _ in 0..operations / 4 {
            if self.holding.len() == 0 || self.draw.below(2) == 0 {
                let pages = 1 << self.draw_order(3);
                if self.take(pages)? {
                    continue;
                }
            }
            if self.holding.len() > 0 {
                self.give_any()?;
            }
        }
        self.pages.phase("give back")?;
        self.give_all()
    }

    fn pair(&mut self, pages: u64) -> Result<(), P::Stop> {
        if let Ok(address) = self.pages.allocate(pages)? {
            self.pages.free(address, pages)?.ok();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{string::String, vec, vec::Vec};

    /// Hands pages out upwards and never takes one twice: enough to drive a workload.
    #[derive(Default)]
    struct Endless {
        log: Vec<String>,
        next: u64,
        limit: u64,
        live: u64,
    }

    impl Pages for Endless {
        type Stop = core::convert::Infallible;
        fn phase(&mut self, _: &'static str) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn allocate(&mut self, pages: u64) -> Result<Result<u64, PageError>, Self::Stop> {
            self.log.push(std::format!("a{pages}"));
            if self.live + pages > self.limit {
                return Ok(Err(PageError::Exhausted));
            }
            self.live += pages;
            self.next += pages;
            Ok(Ok((self.next - pages) * PAGE_SIZE))
        }
        fn free(&mut self, address: u64, pages: u64) -> Result<Result<(), PageError>, Self::Stop> {
            self.log.push(std::format!("f{address},{pages}"));
            self.live = self.live.saturating_sub(pages);
            Ok(Ok(()))
        }
        fn statistics(&mut self) -> Result<(), Self::Stop> {
            Ok(())
        }
    }

    fn log(workload: Workload, client: u8) -> Vec<String> {
        let mut pages = Endless { limit: 4099, ..Endless::default() };
        let mut room = vec![Held::default(); MOST_HELD];
        let Ok(()) = workload.run(client, &mut pages, &mut room);
        pages.log
    }

    fn parse(text: &'static str) -> Workload {
        Workload::parse(text.split_whitespace()).unwrap()
    }

    #[test]
    fn every_scenario_ends_and_repeats_itself_for_the_same_seed_only() {
        for scenario in Scenario::ALL {
            let workload = Workload { scenario, ..parse("mixed --seed 11") };
            assert!(log(workload, 0).len() > 50, "{scenario:?}");
            assert_eq!(log(workload, 0), log(workload, 0));
            if scenario != Scenario::Fragment {
                assert_ne!(log(workload, 0), log(Workload { seed: 12, ..workload }, 0), "{scenario:?}");
            }
            if !matches!(scenario, Scenario::Fragment | Scenario::Exhaust) {
                assert_ne!(log(workload, 0), log(workload, 1), "{scenario:?}");
            }
        }
    }

    #[test]
    fn a_workload_over_a_pool_without_a_page_ends_too() {
        for scenario in Scenario::ALL {
            let mut pages = Endless::default();
            let mut room = vec![Held::default(); MOST_HELD];
            let Ok(()) = Workload { scenario, ..parse("mixed") }.run(0, &mut pages, &mut room);
        }
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_named() {
        let workload = parse("mixed --operations 10 --clients 4 --hold 99 --seed 5");
        assert_eq!((workload.operations, workload.clients, workload.hold, workload.seed), (10, 4, 99, 5));
        for (text, wrong) in [("", ""), ("soup", "soup"), ("mixed --clients 9", "--clients"), ("mixed -x 1", "-x")] {
            assert_eq!(Workload::parse(text.split_whitespace()), Err(BadArgument(wrong)));
        }
    }
}
