//! What the kernel counts on while the lab's allocator is not to be trusted.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use mm::page::trusted::TrustedList;
use mm::page::{PAGE_SIZE, PageAllocator, PageError, Region};

use crate::checked::Checked;
use crate::ground::{Bank, Ground};
use crate::model::Algorithm;

#[test]
fn single_pages_are_handed_out_and_more_is_too_large() {
    let mut checked = Checked::new(TrustedList::new(), Algorithm::List, &[Bank::of(4, 0)]).unwrap();
    assert_eq!(checked.allocate(2), Ok(Err(PageError::TooLarge)));
    assert_eq!(checked.allocate(0), Ok(Err(PageError::Zero)));
    for _ in 0..3 {
        assert!(checked.allocate(1).unwrap().is_ok());
    }
    assert_eq!(checked.allocate(1), Ok(Err(PageError::Exhausted)));
    checked.finish().unwrap();
}

#[test]
fn a_page_freed_twice_is_reported_and_one_never_handed_out_too() {
    let mut checked = Checked::new(TrustedList::new(), Algorithm::List, &[Bank::of(4, 0)]).unwrap();
    let page = checked.allocate(1).unwrap().unwrap();
    assert_eq!(checked.free(page + PAGE_SIZE, 1), Ok(Err(PageError::Twice)));
    assert_eq!(checked.free(page, 2), Ok(Err(PageError::WrongSize)));
    assert_eq!(checked.free(page, 1), Ok(Ok(())));
    assert_eq!(checked.free(page, 1), Ok(Err(PageError::Twice)));
    checked.finish().unwrap();
}

#[test]
fn adding_memory_touches_none_of_it() {
    const BYTES: usize = 4 * PAGE_SIZE;
    let ground = Ground::new(&Bank::of(4, 1));
    let region = ground.regions().next().unwrap();
    // SAFETY: the region is ours, and has so many bytes.
    unsafe { region.start.write_bytes(0x5a, BYTES) };
    let mut list = TrustedList::new();
    // SAFETY: the memory lives as long as the list, which alone writes it.
    unsafe { list.add_region(region) }.unwrap();
    assert_eq!(list.statistics().free_pages, 3);
    // SAFETY: the list does nothing by itself.
    assert!(unsafe { region.start.cast::<[u8; BYTES]>().as_ref() } == &[0x5a; BYTES]);
}

#[test]
fn a_region_that_begins_within_a_page_is_refused() {
    let mut memory = [MaybeUninit::<u8>::uninit(); 2 * PAGE_SIZE];
    let start = NonNull::from(&mut memory).cast::<u8>();
    let within = start.map_addr(|address| (address.get() | 8).try_into().unwrap());
    // SAFETY: the region is refused, so nothing of it is ever used.
    let answer = unsafe { TrustedList::new().add_region(Region { start: within, pages: 1 }) };
    assert_eq!(answer, Err(PageError::Misaligned));
}
