//! What a user of the best-fit allocator counts on, one promise at a time.
//!
//! None of this depends on where in a region an allocator keeps its state, on which end of an extent it cuts blocks
//! from, or on which of two extents of the same length it takes.

use std::ptr::NonNull;

use mm::page::bestfit::BestFit;
use mm::page::{MAX_REGIONS, PAGE_SIZE, PageAllocator, PageError, Region, Statistics};

use crate::checked::Checked;
use crate::ground::{Bank, Ground};
use crate::model::Algorithm;

fn over(banks: &[Bank]) -> Checked<BestFit> {
    Checked::new(BestFit::new(), Algorithm::BestFit, banks).unwrap()
}

/// An allocator over one region that has at least sixty pages to hand out.
fn some_pages() -> Checked<BestFit> {
    over(&[Bank::of(64, 3)])
}

impl Checked<BestFit> {
    fn take(&mut self, pages: usize) -> usize {
        self.allocate(pages).unwrap().unwrap()
    }

    fn give(&mut self, address: usize, pages: usize) {
        self.free(address, pages).unwrap().unwrap();
    }

    /// Blocks of these lengths, free and apart from each other, with the rest of the region in use.
    fn holes<const N: usize>(&mut self, lengths: [usize; N]) -> [usize; N] {
        let holes = lengths.map(|pages| {
            let hole = self.take(pages);
            self.take(1);
            hole
        });
        let rest = self.allocator.statistics().free_pages;
        self.take(rest);
        holes.iter().zip(lengths).for_each(|(&hole, pages)| self.give(hole, pages));
        holes
    }

    fn statistics_now(&self) -> Statistics {
        self.allocator.statistics()
    }
}

/// Whether the pages of a block lie in a hole.
fn within(block: usize, pages: usize, hole: usize, length: usize) -> bool {
    hole <= block && block + pages * PAGE_SIZE <= hole + length * PAGE_SIZE
}

#[test]
fn the_smallest_extent_that_is_large_enough_is_taken_wherever_it_lies() {
    for lengths in [[4, 7, 12], [12, 7, 4], [7, 12, 4], [4, 12, 7]] {
        for (pages, best) in [(1, 4), (4, 4), (5, 7), (6, 7), (7, 7), (8, 12), (12, 12)] {
            // One way to find an extent is the same memory accesses for any other length.
            if cfg!(miri) && pages != 5 {
                continue;
            }
            let mut checked = some_pages();
            let holes = checked.holes(lengths);
            let block = checked.take(pages);
            let hole = holes[lengths.iter().position(|&length| length == best).unwrap()];
            assert!(within(block, pages, hole, best), "{pages} pages of {lengths:?} at {block:#x}, due at {hole:#x}");
        }
    }
}

#[test]
fn what_is_left_of_an_extent_is_free_and_the_best_one_for_the_next_request() {
    let mut checked = some_pages();
    let [_, hole, _] = checked.holes([9, 7, 11]);
    let (first, second) = (checked.take(5), checked.take(2));
    assert!(within(first, 5, hole, 7) && within(second, 2, hole, 7));
    assert_eq!(checked.statistics_now().free_pages, 20);
}

#[test]
fn a_request_is_not_rounded_up() {
    let mut checked = some_pages();
    checked.holes([13]);
    checked.take(5);
    checked.take(5);
    checked.take(3);
    assert_eq!(checked.allocate(1), Ok(Err(PageError::Exhausted)));
}

#[test]
fn a_block_merges_with_free_neighbours_on_both_sides() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut checked = some_pages();
        let rest = checked.statistics_now().free_pages - 30;
        checked.take(rest);
        let blocks = [8, 12, 10].map(|pages| (checked.take(pages), pages));
        for index in order {
            let (block, pages) = blocks[index];
            checked.give(block, pages);
        }
        assert_eq!(checked.statistics_now().free_blocks.iter().sum::<usize>(), 1, "{order:?}");
        checked.take(30);
    }
}

#[test]
fn extents_with_a_block_in_use_between_them_stay_apart() {
    let mut checked = some_pages();
    checked.holes([6, 5]);
    assert_eq!(checked.allocate(7), Ok(Err(PageError::Exhausted)));
    assert_eq!(checked.statistics_now().free_pages, 11);
}

#[test]
fn many_extents_of_one_length_are_all_found() {
    let mut checked = some_pages();
    let holes = checked.holes([3; 12]);
    let mut blocks = [0; 12].map(|_| checked.take(3));
    blocks.sort_unstable();
    let mut due = holes;
    due.sort_unstable();
    assert_eq!(blocks, due);
    assert_eq!(checked.allocate(3), Ok(Err(PageError::Exhausted)));
}

#[test]
fn the_best_extent_is_found_in_any_region() {
    let mut checked = over(&[Bank { skew: 5, lengths: vec![40, 12, 25] }, Bank::of(18, 0)]);
    let mut lengths: Vec<_> = checked.extents.iter().map(|extent| extent.pages).collect();
    lengths.sort_unstable();
    // From the largest down, each fits into one region alone.
    for &pages in lengths.iter().rev() {
        let block = checked.take(pages);
        assert!(checked.extents.iter().any(|extent| extent.start == block && extent.pages == pages));
    }
    assert_eq!(checked.allocate(1), Ok(Err(PageError::Exhausted)));
    checked.finish().unwrap();
}

#[test]
fn extents_never_reach_from_one_region_into_the_next() {
    let mut checked = over(&[Bank { skew: 12, lengths: vec![6, 5, 9] }]);
    let longest = checked.extents.iter().map(|extent| extent.pages).max().unwrap();
    assert_eq!(checked.allocate(longest + 1), Ok(Err(PageError::TooLarge)));
    checked.finish().unwrap();
}

#[test]
fn no_pages_and_more_than_any_region_has_are_refused_by_name() {
    let mut checked = some_pages();
    let all = checked.statistics_now().free_pages;
    assert_eq!(checked.allocate(0), Ok(Err(PageError::Zero)));
    for pages in [all + 1, 1 << 40, 1 << 52, usize::MAX] {
        assert_eq!(checked.allocate(pages), Ok(Err(PageError::TooLarge)));
    }
    checked.take(1);
    assert_eq!(checked.allocate(all), Ok(Err(PageError::Exhausted)));
    checked.take(all - 1);
}

#[test]
fn a_block_freed_twice_is_reported_even_when_it_has_merged() {
    let mut checked = some_pages();
    let [hole, _] = checked.holes([8, 4]);
    let blocks = [0; 4].map(|_| checked.take(2));
    assert!(blocks.iter().filter(|&&block| within(block, 2, hole, 8)).count() >= 2);
    for block in blocks {
        checked.give(block, 2);
        assert_eq!(checked.free(block, 2), Ok(Err(PageError::Twice)));
        assert_eq!(checked.free(block + PAGE_SIZE, 1), Ok(Err(PageError::Twice)));
    }
    for block in blocks {
        assert_eq!(checked.free(block, 2), Ok(Err(PageError::Twice)));
    }
}

#[test]
fn every_wrong_free_is_named_and_changes_nothing() {
    let mut checked = some_pages();
    let block = checked.take(4);
    let extent = checked.extents[0];
    let before = checked.statistics_now();
    for (address, pages, error) in [
        (block, 0, PageError::Zero),
        (block + 8, 4, PageError::Misaligned),
        (block + PAGE_SIZE, 1, PageError::NotAllocated),
        (block + PAGE_SIZE, 3, PageError::NotAllocated),
        (block + 3 * PAGE_SIZE, 1, PageError::NotAllocated),
        (block, 3, PageError::WrongSize),
        (block, 5, PageError::WrongSize),
        (block, 4 + (1 << 32), PageError::WrongSize),
        (block, usize::MAX, PageError::WrongSize),
        (extent.start - PAGE_SIZE, 1, PageError::Outside),
        (extent.start + extent.pages * PAGE_SIZE, 1, PageError::Outside),
        (PAGE_SIZE, 1, PageError::Outside),
        (usize::MAX & !(PAGE_SIZE - 1), 1, PageError::Outside),
    ] {
        // Of more than one thing that is wrong, any may be named.
        assert!(checked.model.refusals(address, pages).contains(&error), "{pages} pages at {address:#x}");
        assert!(checked.free(address, pages).unwrap().is_err(), "{pages} pages at {address:#x}");
        assert_eq!(checked.statistics_now(), before);
    }
    checked.finish().unwrap();
}

#[test]
#[cfg_attr(miri, ignore = "sixteen megabytes, of which Miri would look at every page")]
fn extents_are_counted_by_the_power_of_two_below_their_length() {
    let mut checked = over(&[Bank::of(4100, 1)]);
    checked.holes([1, 2, 3, 4, 7, 8, 1023, 1024, 1500]);
    assert_eq!(checked.statistics_now().free_blocks, [1, 2, 2, 1, 0, 0, 0, 0, 0, 1, 2]);
}

#[test]
fn a_region_without_room_for_state_and_a_page_is_refused_and_a_small_one_is_used() {
    let ground = Ground::new(&Bank { skew: 5, lengths: vec![0, 1, 4] });
    let mut allocator = BestFit::new();
    // SAFETY: the memory lives as long as the allocator, which alone uses it.
    let answers: Vec<_> = ground.regions().map(|region| unsafe { allocator.add_region(region) }).collect();
    assert_eq!(answers[0], Err(PageError::Exhausted));
    assert!(answers[2].is_ok());
    assert!(allocator.allocate(1).is_ok());
}

#[test]
fn a_region_that_begins_within_a_page_is_refused() {
    let ground = Ground::new(&Bank::of(9, 7));
    let region = ground.regions().next().unwrap();
    // SAFETY: the region has more than eight bytes.
    let within = Region { start: unsafe { region.start.add(8) }, pages: region.pages - 1 };
    // SAFETY: the memory lives as long as the allocator, which alone uses it.
    assert_eq!(unsafe { BestFit::new().add_region(within) }, Err(PageError::Misaligned));
}

#[test]
fn as_many_regions_as_promised_can_be_added_and_one_more_is_refused() {
    let ground = Ground::new(&Bank { skew: 5, lengths: vec![4; MAX_REGIONS + 1] });
    let mut allocator = BestFit::new();
    // SAFETY: the memory lives as long as the allocator, which alone uses it.
    let answers: Vec<_> = ground.regions().map(|region| unsafe { allocator.add_region(region) }).collect();
    assert!(answers[..MAX_REGIONS].iter().all(Result::is_ok));
    assert_eq!(answers[MAX_REGIONS], Err(PageError::Exhausted));
    assert!(allocator.statistics().managed_pages >= MAX_REGIONS);
}

#[test]
fn an_allocator_without_a_region_has_nothing_and_says_so() {
    let mut allocator = BestFit::new();
    assert!(matches!(allocator.allocate(1), Err(PageError::Exhausted | PageError::TooLarge)));
    let page = NonNull::without_provenance(PAGE_SIZE.try_into().unwrap());
    assert_eq!(allocator.free(page, 1), Err(PageError::Outside));
    assert_eq!(allocator.statistics(), Default::default());
}

#[test]
fn an_allocator_can_be_moved_to_another_thread_with_blocks_in_use() {
    let mut checked = some_pages();
    let block = checked.take(2);
    let all = checked.statistics_now().managed_pages;
    let mut allocator = std::mem::take(&mut checked.allocator);
    let mut allocator = std::thread::spawn(move || {
        allocator.allocate(4).unwrap();
        allocator
    })
    .join()
    .unwrap();
    let start = NonNull::without_provenance(block.try_into().unwrap());
    assert_eq!(allocator.free(start, 2), Ok(()));
    assert_eq!(allocator.statistics().free_pages, all - 4);
}
