//! Page lists for all harts, on harts that are threads of the host.

#[path = "../support/threads.rs"]
mod threads;

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use abi::draw::Draw;
use mm::page::{PAGE_SIZE, PageLists, Region, per_hart::PerHart};
use threads::Threads;

/// Bytes at the start of a page that its holder writes; Miri keeps account of who wrote each of them.
const TOUCHED: usize = if cfg!(miri) { 16 } else { PAGE_SIZE };

const ROUNDS: u64 = if cfg!(miri) { 60 } else { 20_000 };

/// Lists over memory of their own, and who holds which page.
struct Bench {
    lists: PerHart<Threads>,
    memory: NonNull<u8>,
    layout: Layout,
    held: Vec<AtomicBool>,
}

// SAFETY: the memory is the lists', and whoever holds a page of it; `held` finds out if they fail to see to that.
unsafe impl Sync for Bench {}

/// A page that a hart holds.
struct Page(NonNull<u8>);

// SAFETY: a page is its holder's, on whichever hart.
unsafe impl Send for Page {}

impl Bench {
    /// Lists with so many pages, all of which hart 0 has given to them.
    fn new(pages: usize) -> Self {
        let layout = Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap();
        // SAFETY: the size is not zero.
        let memory = NonNull::new(unsafe { alloc(layout) }).expect("memory");
        let held = (0..pages).map(|_| AtomicBool::new(false)).collect();
        let bench = Self { lists: PerHart::new(), memory, layout, held };
        // SAFETY: the memory is the lists' until they are dropped.
        let fill = |bench: &Self| unsafe { bench.lists.add_region(Region { start: bench.memory, pages }) };
        Threads::run(1, |_| fill(&bench));
        bench
    }

    fn flag(&self, page: NonNull<u8>) -> &AtomicBool {
        let offset = page.addr().get() - self.memory.addr().get();
        assert!(offset.is_multiple_of(PAGE_SIZE), "{page:p} is no page");
        &self.held[offset / PAGE_SIZE]
    }

    fn take(&self) -> Option<Page> {
        let page = self.lists.allocate();
        assert!(!Threads::interrupts_are_off());
        let page = page?;
        assert!(!self.flag(page).swap(true, SeqCst), "{page:p} was handed out twice");
        // SAFETY: the page is ours now, all of it.
        unsafe {
            page.write_bytes(0xa5, TOUCHED);
            page.byte_add(PAGE_SIZE - 1).write(0xa5);
        }
        Some(Page(page))
    }

    fn give(&self, Page(page): Page) {
        // SAFETY: the page is ours.
        assert!(unsafe { page.byte_add(PAGE_SIZE - 1).read() } == 0xa5, "somebody wrote to {page:p}");
        self.flag(page).store(false, SeqCst);
        // SAFETY: it came from these lists.
        unsafe { self.lists.free(page) };
        assert!(!Threads::interrupts_are_off());
    }

    fn take_all(&self) -> Vec<Page> {
        std::iter::from_fn(|| self.take()).collect()
    }

    /// Every hart in turn takes all there is, and gives it back.
    fn all_pages_are_everybodys(&self, harts: usize) {
        for chosen in 0..harts {
            assert_eq!(self.lists_say(), self.held.len());
            Threads::run(harts, |hart| {
                if hart == chosen {
                    let taken = self.take_all();
                    assert_eq!(taken.len(), self.held.len(), "as seen from hart {chosen}");
                    taken.into_iter().for_each(|page| self.give(page));
                }
            });
        }
    }

    fn lists_say(&self) -> usize {
        Threads::run(1, |_| self.lists.free_pages())[0]
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // SAFETY: it came from `alloc` with this layout, and the lists are not used any more.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
    }
}

#[test]
fn every_hart_gets_every_free_page_whoever_gave_it_back() {
    let sizes: &[usize] = if cfg!(miri) { &[1, 2, 7] } else { &[1, 2, 7, 63, 64, 65, 200] };
    for &pages in sizes {
        Bench::new(pages).all_pages_are_everybodys(if cfg!(miri) { 2 } else { 8 });
    }
}

#[test]
fn no_page_is_handed_out_twice_or_lost_while_harts_take_give_and_steal() {
    for (harts, pages) in [(2, 3), (4, 10), (4, if cfg!(miri) { 20 } else { 300 })] {
        let bench = Bench::new(pages);
        Threads::run(harts, |hart| {
            let mut draw = Draw::for_client(pages as u64, hart as u8);
            let mut mine = Vec::new();
            for _ in 0..ROUNDS {
                if draw.below(2) == 0 {
                    mine.extend(bench.take());
                } else if !mine.is_empty() {
                    let index = draw.below(mine.len() as u64) as usize;
                    bench.give(mine.swap_remove(index));
                }
            }
            mine.into_iter().for_each(|page| bench.give(page));
        });
        bench.all_pages_are_everybodys(harts);
    }
}

#[test]
fn a_page_given_back_by_another_hart_than_took_it_can_be_had_again() {
    let bench = Bench::new(40);
    for round in 0..4 {
        let taken = Threads::run(2, |hart| if hart == 0 { bench.take_all() } else { Vec::new() });
        let taken = std::sync::Mutex::new(taken.into_iter().flatten().collect::<Vec<_>>());
        assert_eq!(taken.lock().unwrap().len(), 40, "in round {round}");
        Threads::run(2, |hart| {
            while hart == 1
                && let Some(page) = taken.lock().unwrap().pop()
            {
                bench.give(page);
            }
        });
    }
}

#[test]
fn nobody_goes_without_while_enough_pages_are_free_though_thieves_move_them() {
    // Each hart holds four pages at most, so there are always at least four that nobody does.
    const HARTS: usize = 4;
    let bench = Bench::new(5 * HARTS);
    Threads::run(HARTS, |hart| {
        let mut draw = Draw::for_client(5, hart as u8);
        let mut mine = Vec::new();
        for round in 0..ROUNDS {
            if mine.len() < 4 && draw.below(3) > 0 {
                mine.push(bench.take().unwrap_or_else(|| panic!("hart {hart} got no page in round {round}")));
            } else {
                mine.drain(..).for_each(|page| bench.give(page));
            }
        }
        mine.into_iter().for_each(|page| bench.give(page));
    });
}
