//! Which RAM is nobody's yet, while the kernel boots.

use core::ops::Range;

use crate::sv39::PAGE;

/// The most ranges that taking pieces out can leave.
const MOST: usize = 32;

/// Ranges of whole pages, in ascending order.
#[derive(Debug, Clone)]
pub struct MemoryMap {
    ranges: [Range<usize>; MOST],
    count: usize,
}

impl MemoryMap {
    /// All of `range`, less the parts of pages at its ends.
    pub fn new(range: Range<usize>) -> Self {
        let mut map = Self { ranges: [const { 0..0 }; MOST], count: 0 };
        map.insert(0, range.start.next_multiple_of(PAGE)..range.end / PAGE * PAGE);
        map
    }

    /// The ranges that are left.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges[..self.count]
    }

    /// Takes out every page that `taken` touches.
    pub fn remove(&mut self, taken: &Range<usize>) {
        let taken = taken.start / PAGE * PAGE..taken.end.next_multiple_of(PAGE);
        let mut index = 0;
        while index < self.count {
            let range = self.ranges[index].clone();
            if taken.start >= range.end || taken.end <= range.start {
                index += 1;
                continue;
            }
            self.ranges[index..self.count].rotate_left(1);
            self.count -= 1;
            for piece in [range.start..taken.start, taken.end..range.end] {
                if piece.start < piece.end {
                    self.insert(index, piece);
                    index += 1;
                }
            }
        }
    }

    /// Takes `bytes` out at the lowest multiple of `align`, plus `skew`, that has room for them and for a page to
    /// either side, which is taken out too if `fence` says so.
    pub fn take(&mut self, bytes: usize, align: usize, skew: usize, fence: bool) -> Option<Range<usize>> {
        let bytes = bytes.next_multiple_of(PAGE);
        let margin = if fence { PAGE } else { 0 };
        let place = self.ranges().iter().find_map(|range| {
            let mut start = range.start.next_multiple_of(align) + skew;
            if start < range.start + margin {
                start += align;
            }
            (start.checked_add(bytes + margin)? <= range.end).then_some(start..start + bytes)
        })?;
        self.remove(&(place.start - margin..place.end + margin));
        Some(place)
    }

    fn insert(&mut self, index: usize, range: Range<usize>) {
        assert!(self.count < MOST, "memory is in more than {MOST} pieces");
        self.count += 1;
        self.ranges[index..self.count].rotate_right(1);
        self.ranges[index] = range;
    }
}
