//! What a user of the buddy allocator counts on, one promise at a time.
//!
//! None of this depends on where in a region an allocator keeps its state, or on which of two fitting blocks it takes.

use std::ptr::NonNull;

use mm::page::buddy::Buddy;
use mm::page::order::LARGEST;
use mm::page::{MAX_REGIONS, PAGE_SIZE, PageAllocator, PageError, Region};

use crate::checked::Checked;
use crate::ground::{Bank, Ground};
use crate::model::Algorithm;

fn over(banks: &[Bank]) -> Checked<Buddy> {
    Checked::new(Buddy::new(), Algorithm::Buddy, banks).unwrap()
}

/// An allocator whose only free block has eight pages, with that block's address.
fn eight_pages() -> (Checked<Buddy>, usize) {
    // State takes pages at one end or at the other, and may take more than one.
    let banks = (9..12).flat_map(|pages| [8, 24 - pages].map(|skew| Bank::of(pages, skew)));
    for bank in banks {
        let checked = over(&[bank]);
        let extent = checked.extents[0];
        if extent.pages == 8 && (extent.start / PAGE_SIZE).is_multiple_of(8) {
            return (checked, extent.start);
        }
    }
    panic!("no region of 9 to 11 pages leaves a block of eight");
}

impl Checked<Buddy> {
    fn take(&mut self, pages: usize) -> usize {
        self.allocate(pages).unwrap().unwrap()
    }

    fn free_blocks(&self) -> [usize; 4] {
        let blocks = self.allocator.statistics().free_blocks;
        assert!(blocks[4..].iter().all(|&count| count == 0));
        [blocks[0], blocks[1], blocks[2], blocks[3]]
    }
}

#[test]
fn a_block_freed_twice_is_reported_and_not_given_out_twice() {
    let (mut checked, _) = eight_pages();
    let page = checked.take(1);
    checked.take(1);
    assert_eq!(checked.free(page, 1), Ok(Ok(())));
    assert_eq!(checked.free(page, 1), Ok(Err(PageError::Twice)));
    let others = [checked.take(1), checked.take(1)];
    assert_eq!(others.iter().filter(|&&other| other == page).count(), 1);
}

#[test]
fn a_block_that_merged_into_a_larger_one_is_still_known_to_be_free() {
    let (mut checked, start) = eight_pages();
    let pages: Vec<_> = (0..8).map(|_| checked.take(1)).collect();
    for &page in &pages {
        assert_eq!(checked.free(page, 1), Ok(Ok(())));
    }
    assert_eq!(checked.free_blocks(), [0, 0, 0, 1]);
    for page in (start..).step_by(PAGE_SIZE).take(8) {
        assert_eq!(checked.free(page, 1), Ok(Err(PageError::Twice)));
    }
}

#[test]
fn a_split_leaves_one_block_of_each_order_between() {
    let (mut checked, _) = eight_pages();
    checked.take(1);
    assert_eq!(checked.free_blocks(), [1, 1, 1, 0]);
}

#[test]
fn the_smallest_block_that_is_large_enough_is_taken() {
    let (mut checked, _) = eight_pages();
    checked.take(1);
    checked.take(2);
    assert_eq!(checked.free_blocks(), [1, 0, 1, 0]);
}

#[test]
fn buddies_merge_the_moment_both_are_free() {
    let (mut checked, _) = eight_pages();
    let halves = [checked.take(4), checked.take(4)];
    assert_eq!(checked.allocate(1), Ok(Err(PageError::Exhausted)));
    checked.free(halves[1], 4).unwrap().unwrap();
    assert_eq!(checked.free_blocks(), [0, 0, 1, 0]);
    checked.free(halves[0], 4).unwrap().unwrap();
    assert_eq!(checked.free_blocks(), [0, 0, 0, 1]);
}

#[test]
fn neighbours_that_are_not_buddies_stay_apart() {
    let (mut checked, start) = eight_pages();
    for _ in 0..8 {
        checked.take(1);
    }
    for page in [1, 2, 5, 6] {
        checked.free(start + page * PAGE_SIZE, 1).unwrap().unwrap();
    }
    assert_eq!(checked.free_blocks(), [4, 0, 0, 0]);
    assert_eq!(checked.allocate(2), Ok(Err(PageError::Exhausted)));
}

#[test]
fn a_size_between_two_powers_gets_the_larger_and_may_be_freed_by_any_size_of_its_order() {
    let (mut checked, _) = eight_pages();
    let block = checked.take(5);
    assert_eq!(checked.free_blocks(), [0, 0, 0, 0]);
    assert_eq!(checked.free(block, 4), Ok(Err(PageError::WrongSize)));
    assert_eq!(checked.free(block, 6), Ok(Ok(())));
}

#[test]
fn no_pages_and_more_than_the_largest_block_are_refused_by_name() {
    let ground = Ground::new(&Bank::of(2 * LARGEST + 50, LARGEST - 20));
    let mut allocator = Buddy::new();
    // SAFETY: the memory lives as long as the allocator, which alone uses it.
    unsafe { allocator.add_region(ground.regions().next().unwrap()) }.unwrap();
    assert_eq!(allocator.allocate(0), Err(PageError::Zero));
    for pages in [LARGEST + 1, 1 << 40, usize::MAX] {
        assert_eq!(allocator.allocate(pages), Err(PageError::TooLarge));
    }
    assert_eq!(allocator.allocate_order(11), Err(PageError::TooLarge));
    assert_eq!(allocator.allocate_order(64), Err(PageError::TooLarge));
    assert!(allocator.allocate_order(10).is_ok());
    while allocator.allocate_order(10).is_ok() {}
    assert_eq!(allocator.allocate_order(10), Err(PageError::Exhausted));
    assert!(allocator.allocate(1).is_ok());
}

#[test]
fn every_wrong_free_is_named_and_changes_nothing() {
    let (mut checked, start) = eight_pages();
    let block = checked.take(4);
    let before = checked.allocator.statistics();
    for (address, pages, error) in [
        (block, 0, PageError::Zero),
        (block + 8, 4, PageError::Misaligned),
        (block + PAGE_SIZE, 1, PageError::NotAllocated),
        (block + 2 * PAGE_SIZE, 2, PageError::NotAllocated),
        (block, 2, PageError::WrongSize),
        (block, 8, PageError::WrongSize),
        (block, LARGEST + 1, PageError::WrongSize),
        (block ^ (4 * PAGE_SIZE), 4, PageError::Twice),
        (start - PAGE_SIZE, 1, PageError::Outside),
        (start + 8 * PAGE_SIZE, 1, PageError::Outside),
        (PAGE_SIZE, 1, PageError::Outside),
        (usize::MAX & !(PAGE_SIZE - 1), 1, PageError::Outside),
    ] {
        // Of more than one thing that is wrong, any may be named.
        assert!(checked.model.refusals(address, pages).contains(&error), "{pages} pages at {address:#x}");
        assert!(checked.free(address, pages).unwrap().is_err(), "{pages} pages at {address:#x}");
        assert_eq!(checked.allocator.statistics(), before);
    }
    checked.finish().unwrap();
}

#[test]
fn blocks_never_merge_from_one_region_into_the_next() {
    // Side by side, with regions that end where a block of all of them together would go on.
    let checked = over(&[Bank { skew: 12, lengths: vec![6, 5, 9] }]);
    assert_eq!(checked.extents.len(), 3);
    checked.finish().unwrap();
}

#[test]
fn a_region_that_begins_and_ends_anywhere_still_gives_its_largest_blocks() {
    let checked = over(&[Bank::of(26 + 3 * LARGEST + 837, 998)]);
    let blocks = checked.allocator.statistics().free_blocks;
    assert!(blocks[10] >= 2);
    assert!(blocks[..10].iter().all(|&count| count <= 2));
}

#[test]
fn a_region_without_room_for_state_and_a_page_is_refused_and_a_small_one_is_used() {
    let ground = Ground::new(&Bank { skew: 5, lengths: vec![0, 1, 4] });
    let mut allocator = Buddy::new();
    // SAFETY: the memory lives as long as the allocator, which alone uses it.
    let answers: Vec<_> = ground.regions().map(|region| unsafe { allocator.add_region(region) }).collect();
    assert_eq!(answers[..2], [Err(PageError::Exhausted); 2]);
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
    assert_eq!(unsafe { Buddy::new().add_region(within) }, Err(PageError::Misaligned));
}

#[test]
fn as_many_regions_as_promised_can_be_added_and_one_more_is_refused() {
    let ground = Ground::new(&Bank { skew: 5, lengths: vec![4; MAX_REGIONS + 1] });
    let mut allocator = Buddy::new();
    // SAFETY: the memory lives as long as the allocator, which alone uses it.
    let answers: Vec<_> = ground.regions().map(|region| unsafe { allocator.add_region(region) }).collect();
    assert!(answers[..MAX_REGIONS].iter().all(Result::is_ok));
    assert_eq!(answers[MAX_REGIONS], Err(PageError::Exhausted));
    assert!(allocator.statistics().managed_pages >= MAX_REGIONS);
}

#[test]
fn an_allocator_without_a_region_has_nothing_and_says_so() {
    let mut allocator = Buddy::new();
    assert_eq!(allocator.allocate(1), Err(PageError::Exhausted));
    let page = NonNull::without_provenance(PAGE_SIZE.try_into().unwrap());
    assert_eq!(allocator.free(page, 1), Err(PageError::Outside));
    assert_eq!(allocator.statistics(), Default::default());
}

#[test]
fn an_allocator_can_be_moved_to_another_thread_with_blocks_in_use() {
    let (mut checked, _) = eight_pages();
    let block = checked.take(2);
    let mut allocator = std::mem::take(&mut checked.allocator);
    let mut allocator = std::thread::spawn(move || {
        allocator.allocate(4).unwrap();
        allocator
    })
    .join()
    .unwrap();
    let start = NonNull::without_provenance(block.try_into().unwrap());
    assert_eq!(allocator.free(start, 2), Ok(()));
    assert_eq!(allocator.statistics().free_pages, 4);
}
