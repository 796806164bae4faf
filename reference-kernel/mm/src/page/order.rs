//! Orders and the arithmetic of buddies. Nothing here touches memory.

use super::{MAX_ORDER, PAGE_SIZE, PageError};

/// The pages of the largest block.
pub const LARGEST: usize = 1 << MAX_ORDER;

/// The size of a block: order k stands for 2^k pages, 0 to [`MAX_ORDER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order(u8);

impl Order {
    /// One page.
    pub const SMALLEST: Self = Self(0);
    /// [`LARGEST`] pages.
    pub const LARGEST: Self = Self(MAX_ORDER as u8);

    /// The order with this number, if there is one.
    pub const fn new(number: u32) -> Option<Self> {
        if number <= MAX_ORDER { Some(Self(number as u8)) } else { None }
    }

    /// The smallest order whose blocks hold so many pages.
    ///
    /// # Errors
    /// [`PageError::Zero`] for no pages at all, [`PageError::TooLarge`] for more than [`LARGEST`].
    #[inline]
    pub const fn holding(pages: usize) -> Result<Self, PageError> {
        match pages {
            0 => Err(PageError::Zero),
            1..=LARGEST => Ok(Self(HOLDING[pages])),
            _ => Err(PageError::TooLarge),
        }
    }

    /// Every order, from single pages up.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..=MAX_ORDER as u8).map(Self)
    }

    /// The order's number, for use as an index.
    #[inline]
    pub const fn index(self) -> usize {
        // SAFETY: no order is made above the largest. Saying so spares every index into a table of `ORDERS` elements
        // its bounds check.
        unsafe { core::hint::assert_unchecked(self.0 <= Self::LARGEST.0) };
        self.0 as usize
    }

    /// The pages of a block.
    #[inline]
    pub const fn pages(self) -> usize {
        1 << self.0
    }

    /// The bytes of a block.
    #[inline]
    pub const fn bytes(self) -> usize {
        PAGE_SIZE << self.0
    }

    /// The order of a block made of two of this one; none above the largest.
    #[inline]
    pub const fn larger(self) -> Option<Self> {
        if self.0 < Self::LARGEST.0 { Some(Self(self.0 + 1)) } else { None }
    }

    /// The order of the halves of a block of this one; none below a single page.
    #[inline]
    pub const fn smaller(self) -> Option<Self> {
        if self.0 > 0 { Some(Self(self.0 - 1)) } else { None }
    }
}

/// The order that holds so many pages, by their number; element zero stands for nothing.
///
/// A table, since RV64GC has no instruction that counts leading zeros (that is the extension Zbb), and this is
/// asked at every operation.
static HOLDING: [u8; LARGEST + 1] = {
    let mut table = [0; LARGEST + 1];
    let mut pages = 1;
    while pages <= LARGEST {
        table[pages] = pages.next_power_of_two().trailing_zeros() as u8;
        pages += 1;
    }
    table
};

/// A run of 2^order pages that starts at a multiple of its size.
///
/// Pages are numbered from physical address zero, or from any other multiple of the [largest block](LARGEST):
/// the arithmetic is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    first: usize,
    order: Order,
}

impl Block {
    /// The block of this order that a page lies in.
    #[inline]
    pub const fn around(page: usize, order: Order) -> Self {
        Self { first: page & !(order.pages() - 1), order }
    }

    /// The block of this order that begins at page `first`, a multiple of its size.
    #[inline]
    pub const fn at(first: usize, order: Order) -> Self {
        debug_assert!(first.is_multiple_of(order.pages()));
        Self { first, order }
    }

    /// The largest block that starts at page `first` and has at most `pages` pages; none for no pages.
    pub fn largest_at(first: usize, pages: usize) -> Option<Self> {
        Order::all()
            .rev()
            .find(|order| order.pages() <= pages && first.is_multiple_of(order.pages()))
            .map(|order| Self { first, order })
    }

    /// The number of the first page.
    #[inline]
    pub const fn first(self) -> usize {
        self.first
    }

    /// The order.
    #[inline]
    pub const fn order(self) -> Order {
        self.order
    }

    /// The block beside this one that was split from the same parent.
    #[inline]
    pub const fn buddy(self) -> Self {
        Self { first: self.first ^ self.order.pages(), order: self.order }
    }

    /// The block that this one and its buddy make up; none for one of the largest.
    #[inline]
    pub const fn parent(self) -> Option<Self> {
        match self.order.larger() {
            Some(order) => Some(Self::around(self.first, order)),
            None => None,
        }
    }

    /// The lower and the upper half; none of a single page.
    #[inline]
    pub const fn halves(self) -> Option<(Self, Self)> {
        match self.order.smaller() {
            Some(order) => {
                let lower = Self { first: self.first, order };
                Some((lower, lower.buddy()))
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u32) -> Order {
        Order::new(number).unwrap()
    }

    #[test]
    fn a_request_is_rounded_up_to_the_next_power_of_two() {
        for (pages, number) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (513, 10), (1024, 10)] {
            assert_eq!(Order::holding(pages), Ok(order(number)), "{pages} pages");
        }
        assert_eq!(Order::holding(0), Err(PageError::Zero));
        assert_eq!(Order::holding(1025), Err(PageError::TooLarge));
        assert_eq!(Order::new(11), None);
    }

    #[test]
    fn buddies_are_each_others_buddies_and_halves_of_one_parent() {
        let block = Block::around(12, order(2));
        assert_eq!(block.buddy(), Block::around(8, order(2)));
        assert_eq!(block.buddy().buddy(), block);
        assert_eq!(block.parent(), block.buddy().parent());
        assert_eq!(block.parent().unwrap().halves(), Some((block.buddy(), block)));
    }

    #[test]
    fn the_smallest_block_has_no_halves_and_the_largest_no_parent() {
        assert_eq!(Block::around(5, Order::SMALLEST).halves(), None);
        assert_eq!(Block::around(5, Order::LARGEST).parent(), None);
    }

    #[test]
    fn the_largest_block_at_a_page_is_aligned_and_fits() {
        assert_eq!(Block::largest_at(6, 100), Some(Block::around(6, order(1))));
        assert_eq!(Block::largest_at(8, 7), Some(Block::around(8, order(2))));
        assert_eq!(Block::largest_at(0, 5000), Some(Block::around(0, Order::LARGEST)));
        assert_eq!(Block::largest_at(3, 0), None);
    }
}
