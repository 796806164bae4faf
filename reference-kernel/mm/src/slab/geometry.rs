//! How a slab is laid out: how many pages, how many objects, where its management goes. Nothing here touches memory.

use super::{CACHE_LINE, GENERAL_SIZES, MOST_SLAB_PAGES, debug, slabs};
use crate::page::PAGE_SIZE;

/// The layout of every slab of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes from one object to the next.
    pub stride: usize,
    /// Bytes from where an object's share begins to the object itself: the red zone before it, if there is one.
    pub lead: usize,
    /// What addresses of objects are multiples of.
    pub align: usize,
    /// Pages of a slab.
    pub pages: usize,
    /// Objects of a slab.
    pub objects: usize,
    /// Whether the management lies in other memory than the slab's own.
    pub off_slab: bool,
    /// Bytes of the management.
    pub management: usize,
    /// Bytes of a slab that are neither management nor an object's.
    pub left: usize,
    /// How many colours there are: 1 where every slab begins its objects at the same offset.
    pub colours: usize,
    /// Bytes from one colour to the next.
    pub colour_step: usize,
}

/// No more of a slab than one part in so many is wasted, if a slab of [`MOST_SLAB_PAGES`] can do better.
const MOST_WASTE: usize = 8;

impl Geometry {
    /// The layout for objects of that size and alignment. `may_be_off_slab` says whether there is other memory to put
    /// management into, which is not so for the very first caches.
    ///
    /// As in `calculate_slab_order`, slabs are no larger than it takes to waste little. Unlike there, where the
    /// management goes depends on nothing but which place wastes less: what a block of the general sizes has beyond the
    /// management counts as waste, too.
    pub fn of(size: usize, align: usize, with_red_zones: bool, may_be_off_slab: bool) -> Option<Self> {
        let align = align.max(align_of::<usize>());
        let (lead, tail) = if with_red_zones { (align, debug::RED_ZONE) } else { (0, 0) };
        let stride = (lead + size + tail).next_multiple_of(align);
        let mut best = None;
        for pages in [1, 2, 4, 8].into_iter().take_while(|&pages| pages <= MOST_SLAB_PAGES) {
            let on = Self::placed(stride, lead, align, pages, false);
            let off = if may_be_off_slab { Self::placed(stride, lead, align, pages, true) } else { None };
            let Some(found) = [on, off].into_iter().flatten().min_by_key(Self::waste) else { continue };
            best = Some(found);
            // The account of the smallest objects outweighs all else, and more of them do not help.
            let wasted = if stride < CACHE_LINE { found.left } else { found.waste() };
            if wasted * MOST_WASTE <= pages * PAGE_SIZE {
                break;
            }
        }
        best
    }

    fn placed(stride: usize, lead: usize, align: usize, pages: usize, off_slab: bool) -> Option<Self> {
        let bytes = pages * PAGE_SIZE;
        let mut objects = bytes / stride;
        // The management on the slab comes first, and grows with the number of objects: few steps find what fits.
        let taken = |objects: usize| slabs::management_bytes(objects).next_multiple_of(align);
        if !off_slab {
            objects = objects.min(bytes.saturating_sub(taken(0)) / stride);
            while objects > 0 && taken(objects) + objects * stride > bytes {
                objects -= 1;
            }
        }
        if objects == 0 {
            return None;
        }
        let management = slabs::management_bytes(objects);
        // Management comes from a smaller size than the objects have, so that no cache needs itself in order to grow.
        if off_slab && general_size(management).is_none_or(|size| size >= stride) {
            return None;
        }
        let left = bytes - objects * stride - if off_slab { 0 } else { taken(objects) };
        let colour_step = align.max(CACHE_LINE);
        let colours = left / colour_step + 1;
        Some(Self { stride, lead, align, pages, objects, off_slab, management, left, colours, colour_step })
    }

    /// Bytes that a slab takes and that are no object's.
    fn waste(&self) -> usize {
        let elsewhere = if self.off_slab { general_size(self.management).unwrap_or(0) } else { 0 };
        self.pages * PAGE_SIZE - self.objects * self.stride + elsewhere
    }

    /// Bytes from the slab's start to its first object's share, for that colour.
    pub fn first_object(&self, colour: usize) -> usize {
        let management = if self.off_slab { 0 } else { self.management.next_multiple_of(self.align) };
        management + colour * self.colour_step
    }
}

/// The size that so many bytes are rounded up to, if they are not too many.
pub fn general_size(bytes: usize) -> Option<usize> {
    GENERAL_SIZES.into_iter().find(|&size| size >= bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(size: usize, align: usize) -> Geometry {
        Geometry::of(size, align, false, true).unwrap()
    }

    #[test]
    fn small_objects_carry_their_management_and_large_ones_keep_it_elsewhere() {
        assert!(!geometry(64, 1).off_slab);
        let page = geometry(4096, 4096);
        assert_eq!((page.off_slab, page.pages, page.objects, page.colours), (true, 1, 1, 1));
        assert!(geometry(1024, 1).off_slab);
    }

    #[test]
    fn without_other_memory_everything_is_on_the_slab() {
        let page = Geometry::of(4096, 1, false, false).unwrap();
        assert_eq!((page.off_slab, page.pages, page.objects), (false, 8, 7));
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic alone, and of every size")]
    fn every_size_wastes_an_eighth_at_most_and_fits_its_slab_in_every_colour() {
        for size in 1..=4096 {
            for align in [1, 8, 16, 64] {
                for red_zones in [false, true] {
                    let geometry = Geometry::of(size, align, red_zones, true).unwrap();
                    let bytes = geometry.pages * PAGE_SIZE;
                    let last = geometry.first_object(geometry.colours - 1) + geometry.objects * geometry.stride;
                    assert!(last <= bytes, "{geometry:?}");
                    if size >= 64 {
                        assert!(geometry.waste() * MOST_WASTE <= bytes, "{size} bytes, to {align}: {geometry:?}");
                    }
                    assert_eq!(geometry.stride % align.max(8), 0);
                    assert!(geometry.first_object(0).is_multiple_of(align));
                }
            }
        }
    }
}
