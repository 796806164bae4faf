//! One slab: pages cut into objects, and the account of which of them are free.

use core::{
    ptr::{self, NonNull},
    slice,
};

use super::geometry::Geometry;

/// Objects that one word of the bitmap answers for.
const PER_WORD: usize = u64::BITS as usize;

/// The head of a slab's management. Behind it lies a bitmap with one bit for each object, set if it is free.
#[derive(Debug)]
#[repr(C)]
pub struct Slab {
    next: *mut Slab,
    previous: *mut Slab,
    /// The cache that it belongs to.
    pub cache: *const (),
    /// The first of its pages.
    pub pages: NonNull<u8>,
    /// Where its first object's share begins.
    first: NonNull<u8>,
    /// How many of its objects are taken.
    pub taken: usize,
    /// No word of the bitmap before this one has a bit set.
    first_word: usize,
}

/// Bytes of the management of a slab of so many objects.
pub const fn management_bytes(objects: usize) -> usize {
    size_of::<Slab>() + objects.div_ceil(PER_WORD) * size_of::<u64>()
}

impl Slab {
    /// Makes a slab whose objects are all free.
    ///
    /// # Safety
    /// `management` and `pages` are memory as `geometry` says, used by nobody.
    pub unsafe fn make(
        management: NonNull<u8>,
        pages: NonNull<u8>,
        geometry: &Geometry,
        colour: usize,
        cache: *const (),
    ) -> *mut Self {
        let slab = management.cast::<Self>().as_ptr();
        // SAFETY: the first object lies in the pages, whichever the colour.
        let first = unsafe { pages.add(geometry.first_object(colour)) };
        let head =
            Self { next: ptr::null_mut(), previous: ptr::null_mut(), cache, pages, first, taken: 0, first_word: 0 };
        // SAFETY: the management is ours, and aligned like pages or like the general sizes.
        unsafe { slab.write(head) };
        for word in 0..geometry.objects.div_ceil(PER_WORD) {
            let objects = (geometry.objects - word * PER_WORD).min(PER_WORD);
            // SAFETY: there is a bit for each object.
            unsafe { Self::bitmap(slab).add(word).write(u64::MAX >> (PER_WORD - objects)) };
        }
        slab
    }

    /// The bitmap behind the head.
    fn bitmap(slab: *mut Self) -> *mut u64 {
        slab.wrapping_add(1).cast()
    }

    /// Takes a free object; answers where its share begins.
    ///
    /// # Safety
    /// `slab` was made with that geometry, nobody else uses it meanwhile, and an object of it is free.
    pub unsafe fn take(slab: *mut Self, geometry: &Geometry) -> NonNull<u8> {
        // SAFETY: see above; some word has a bit set, since an object is free.
        unsafe {
            while Self::bitmap(slab).add((*slab).first_word).read() == 0 {
                (*slab).first_word += 1;
            }
            let word = Self::bitmap(slab).add((*slab).first_word);
            let index = (*slab).first_word * PER_WORD + word.read().trailing_zeros() as usize;
            word.write(word.read() & (word.read() - 1));
            (*slab).taken += 1;
            (*slab).first.add(index * geometry.stride)
        }
    }

    /// Puts an object back, by its place.
    ///
    /// # Safety
    /// As for [`take`](Self::take); the object is taken, and nobody uses it any more.
    pub unsafe fn put(slab: *mut Self, index: usize) {
        let word = Self::bitmap(slab).wrapping_add(index / PER_WORD);
        // SAFETY: see above.
        unsafe {
            word.write(word.read() | 1 << (index % PER_WORD));
            (*slab).first_word = (*slab).first_word.min(index / PER_WORD);
            (*slab).taken -= 1;
        }
    }

    /// The place of the object whose share begins at an address; none where no share begins.
    pub fn index_of(&self, geometry: &Geometry, share: usize) -> Option<usize> {
        let offset = share.checked_sub(self.first.addr().get())?;
        let index = offset / geometry.stride;
        (offset.is_multiple_of(geometry.stride) && index < geometry.objects).then_some(index)
    }

    /// Whether an object is taken.
    ///
    /// # Safety
    /// As for [`take`](Self::take); `index` is below the number of objects.
    pub unsafe fn is_taken(slab: *mut Self, index: usize) -> bool {
        // SAFETY: see above.
        unsafe { Self::bitmap(slab).add(index / PER_WORD).read() & 1 << (index % PER_WORD) == 0 }
    }

    /// Where each object's share begins.
    pub fn shares(&self, geometry: &Geometry) -> impl Iterator<Item = NonNull<u8>> + use<> {
        let (first, stride) = (self.first, geometry.stride);
        // SAFETY: all objects lie in the slab's pages.
        (0..geometry.objects).map(move |index| unsafe { first.add(index * stride) })
    }

    /// Where the share of the object at that place begins.
    ///
    /// # Safety
    /// `index` is below the number of objects.
    pub unsafe fn share_at(&self, geometry: &Geometry, index: usize) -> NonNull<u8> {
        // SAFETY: all objects lie in the slab's pages.
        unsafe { self.first.add(index * geometry.stride) }
    }

    /// The bytes of an object's share.
    ///
    /// # Safety
    /// The share begins there, and nobody else uses it meanwhile.
    pub unsafe fn bytes<'a>(share: NonNull<u8>, geometry: &Geometry) -> &'a mut [u8] {
        // SAFETY: see above; a page source's memory is initialised.
        unsafe { slice::from_raw_parts_mut(share.as_ptr(), geometry.stride) }
    }
}

/// A list of slabs, linked through their heads.
#[derive(Debug)]
pub struct List {
    first: *mut Slab,
    last: *mut Slab,
    /// How many there are.
    pub count: usize,
}

// SAFETY: the slabs on a list belong to whoever owns the list, on whichever hart.
unsafe impl Send for List {}

impl List {
    /// An empty list.
    pub const fn new() -> Self {
        Self { first: ptr::null_mut(), last: ptr::null_mut(), count: 0 }
    }

    /// The first slab.
    pub fn first(&self) -> Option<*mut Slab> {
        (!self.first.is_null()).then_some(self.first)
    }

    /// Adds a slab at the front.
    ///
    /// # Safety
    /// It is on no list, and nobody else uses its head.
    pub unsafe fn push_front(&mut self, slab: *mut Slab) {
        // SAFETY: see above; slabs on the list are ours.
        unsafe {
            (*slab).previous = ptr::null_mut();
            (*slab).next = self.first;
            match self.first.is_null() {
                true => self.last = slab,
                false => (*self.first).previous = slab,
            }
        }
        self.first = slab;
        self.count += 1;
    }

    /// Adds a slab at the back.
    ///
    /// # Safety
    /// As for [`push_front`](Self::push_front).
    pub unsafe fn push_back(&mut self, slab: *mut Slab) {
        // SAFETY: see above; slabs on the list are ours.
        unsafe {
            (*slab).next = ptr::null_mut();
            (*slab).previous = self.last;
            match self.last.is_null() {
                true => self.first = slab,
                false => (*self.last).next = slab,
            }
        }
        self.last = slab;
        self.count += 1;
    }

    /// Takes a slab out.
    ///
    /// # Safety
    /// It is on this list.
    pub unsafe fn remove(&mut self, slab: *mut Slab) {
        // SAFETY: see above; slabs on the list are ours.
        unsafe {
            let (previous, next) = ((*slab).previous, (*slab).next);
            match previous.is_null() {
                true => self.first = next,
                false => (*previous).next = next,
            }
            match next.is_null() {
                true => self.last = previous,
                false => (*next).previous = previous,
            }
        }
        self.count -= 1;
    }

    /// Takes the first slab out.
    pub fn pop_front(&mut self) -> Option<*mut Slab> {
        let slab = self.first()?;
        // SAFETY: it is on this list.
        unsafe { self.remove(slab) };
        Some(slab)
    }
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}
