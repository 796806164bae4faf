//! Intrusive lists, held against a sequence of numbers.

use core::mem::offset_of;
use core::ptr::NonNull;
use std::collections::VecDeque;

use abi::draw::Draw;
use mm::list::{Linked, Links, List};

/// An element, with its links in the middle so that a wrong way back to its start shows.
struct Item {
    before: u64,
    number: usize,
    links: Links,
    behind: u64,
}

// SAFETY: there are links at that offset.
unsafe impl Linked for Item {
    const LINKS: usize = offset_of!(Item, links);
}

const GUARD: u64 = 0x5eed_5eed_5eed_5eed;

/// Items that stay where they are until they are dropped, behind pointers that may be used for all of them.
struct Items(Vec<NonNull<Item>>);

impl Items {
    fn new(count: usize) -> Self {
        let item = |number| Item { before: GUARD, number, links: Links::new(), behind: GUARD };
        Self((0..count).map(|number| NonNull::from(Box::leak(Box::new(item(number))))).collect())
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        for item in &self.0 {
            // SAFETY: it came out of a box, and the lists are gone.
            drop(unsafe { Box::from_raw(item.as_ptr()) });
        }
    }
}

fn number(item: NonNull<Item>) -> usize {
    // SAFETY: the items live as long as the test.
    let item = unsafe { item.as_ref() };
    assert_eq!((item.before, item.behind), (GUARD, GUARD));
    item.number
}

fn numbers(items: impl Iterator<Item = NonNull<Item>>) -> Vec<usize> {
    items.map(number).collect()
}

/// A list of items 0, 1, …
fn in_order(items: &Items) -> List<Item> {
    let mut list = List::new();
    // SAFETY: the items are on no list, and stay where they are.
    items.0.iter().for_each(|&item| unsafe { list.push_back(item) });
    list
}

#[test]
fn a_new_list_has_no_element() {
    let mut list = List::<Item>::new();
    assert!(list.is_empty());
    assert_eq!((list.first(), list.last(), list.pop_front(), list.pop_back()), (None, None, None, None));
    assert_eq!(list.iter().count(), 0);
}

#[test]
fn elements_are_met_in_either_direction_from_either_end_and_from_any_of_them() {
    let items = Items::new(5);
    let list = in_order(&items);
    assert_eq!(numbers(list.iter()), [0, 1, 2, 3, 4]);
    assert_eq!(numbers(list.iter_back()), [4, 3, 2, 1, 0]);
    // SAFETY: all items are on the list.
    assert_eq!(numbers(unsafe { list.iter_from(items.0[3]) }), [3, 4]);
    // SAFETY: as above.
    assert_eq!(numbers(unsafe { list.iter_back_from(items.0[3]) }), [3, 2, 1, 0]);
}

#[test]
fn an_element_that_was_removed_can_go_onto_another_list() {
    let items = Items::new(3);
    let (mut from, mut to) = (in_order(&items), List::new());
    // SAFETY: the item is on the first list, and then on none.
    unsafe {
        from.remove(items.0[1]);
        to.push_front(items.0[1]);
    }
    assert_eq!((numbers(from.iter()), numbers(to.iter())), (vec![0, 2], vec![1]));
}

#[test]
fn a_list_can_be_moved_with_its_elements_on_it() {
    let items = Items::new(3);
    let list = Box::new(in_order(&items));
    let mut moved = *list;
    moved.pop_front();
    assert_eq!(numbers(moved.iter_back()), [2, 1]);
}

#[test]
fn an_element_with_two_links_is_on_two_lists_at_once() {
    struct Both {
        by_age: Links,
        number: usize,
        by_size: Links,
    }
    #[repr(transparent)]
    struct BySize(Both);
    // SAFETY: there are links at that offset.
    unsafe impl Linked for Both {
        const LINKS: usize = offset_of!(Both, by_age);
    }
    // SAFETY: the type holds nothing else, so the offset within that is the offset.
    unsafe impl Linked for BySize {
        const LINKS: usize = offset_of!(BySize, 0) + offset_of!(Both, by_size);
    }
    let mut both = [7, 8].map(|number| Both { by_age: Links::new(), number, by_size: Links::new() });
    let [first, second] = &mut both;
    let (first, second) = (NonNull::from(first), NonNull::from(second));
    let (mut age, mut size) = (List::new(), List::new());
    // SAFETY: the elements are on neither list, and stay where they are.
    unsafe {
        age.push_back(first);
        age.push_back(second);
        size.push_back(second.cast::<BySize>());
        size.push_back(first.cast::<BySize>());
    }
    // SAFETY: the elements are still there.
    let by_age: Vec<_> = age.iter().map(|element| unsafe { element.as_ref() }.number).collect();
    // SAFETY: as above.
    let by_size: Vec<_> = size.iter().map(|element| unsafe { element.as_ref() }.0.number).collect();
    assert_eq!((by_age, by_size), (vec![7, 8], vec![8, 7]));
}

/// Removes and returns the item at a position of the sequence.
fn take_any(sequence: &mut VecDeque<usize>, draw: &mut Draw) -> Option<usize> {
    let position = (draw.next() as usize).checked_rem(sequence.len())?;
    sequence.remove(position)
}

#[test]
fn any_operations_leave_what_they_leave_of_a_sequence() {
    let (rounds, steps) = if cfg!(miri) { (4, 60) } else { (100, 500) };
    for seed in 0..rounds {
        let mut draw = Draw::new(seed);
        let items = Items::new(12);
        let mut list = List::new();
        let mut spare: VecDeque<usize> = (0..items.0.len()).collect();
        let mut sequence = VecDeque::new();
        for _ in 0..steps {
            let at = (draw.next() as usize).checked_rem(sequence.len());
            // SAFETY: `spare` are the items on no list, `sequence` those on this one; all stay where they are.
            unsafe {
                match (draw.below(7), at) {
                    (0, _) => {
                        assert_eq!(list.pop_front().map(number), sequence.front().copied());
                        spare.extend(sequence.pop_front());
                    }
                    (1, _) => {
                        assert_eq!(list.pop_back().map(number), sequence.back().copied());
                        spare.extend(sequence.pop_back());
                    }
                    (2, _) => {
                        if let Some(gone) = take_any(&mut sequence, &mut draw) {
                            list.remove(items.0[gone]);
                            spare.push_back(gone);
                        }
                    }
                    (way, at) => {
                        let Some(new) = take_any(&mut spare, &mut draw) else { continue };
                        match (way, at) {
                            (3, Some(at)) => {
                                list.insert_before(items.0[sequence[at]], items.0[new]);
                                sequence.insert(at, new);
                            }
                            (4, Some(at)) => {
                                list.insert_after(items.0[sequence[at]], items.0[new]);
                                sequence.insert(at + 1, new);
                            }
                            (5, _) => {
                                list.push_front(items.0[new]);
                                sequence.push_front(new);
                            }
                            _ => {
                                list.push_back(items.0[new]);
                                sequence.push_back(new);
                            }
                        }
                    }
                }
            }
            assert_eq!(numbers(list.iter()), Vec::from(sequence.clone()));
            assert_eq!(numbers(list.iter_back()), sequence.iter().rev().copied().collect::<Vec<_>>());
            assert_eq!(list.is_empty(), sequence.is_empty());
            assert_eq!(list.last().map(number), sequence.back().copied());
        }
    }
}
