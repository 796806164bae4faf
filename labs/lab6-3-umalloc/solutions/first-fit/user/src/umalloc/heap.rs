//! The heap behind `umalloc`: one list of free blocks in order of address (Kernighan and Ritchie, "The C Programming
//! Language", §8.7).

use core::ptr::{self, NonNull};

/// Where a heap's memory comes from: the end of the program's data, which can be moved.
pub trait Grow {
    /// Adds memory at the end; answers where it begins, which is where the last one ended unless somebody else asked
    /// for some in between. None if there is no memory.
    fn grow(&mut self, bytes: usize) -> Option<NonNull<u8>>;

    /// Gives memory at the end back; answers whether that was possible, as it is not when `end` is not the end.
    ///
    /// # Safety
    /// Nobody uses the last `bytes` before `end` any more.
    unsafe fn shrink(&mut self, end: *mut u8, bytes: usize) -> bool;
}

/// What stands before every block; the next one only while it is free.
#[repr(C, align(16))]
struct Block {
    /// Bytes, this included.
    size: usize,
    next: *mut Block,
}

const HEADER: usize = size_of::<Block>();
const PAGE: usize = 4096;
const LARGEST: usize = 1 << 40;

/// A heap over memory that grows.
pub struct Heap<G> {
    source: G,
    first: *mut Block,
}

// SAFETY: the memory is the heap's alone.
unsafe impl<G: Send> Send for Heap<G> {}

impl<G> Heap<G> {
    /// A heap without memory.
    pub const fn new(source: G) -> Self {
        Self { source, first: ptr::null_mut() }
    }

    /// Where memory comes from.
    pub fn source(&self) -> &G {
        &self.source
    }
}

impl<G: Grow> Heap<G> {
    /// A block of at least `size` bytes.
    pub fn allocate(&mut self, size: usize) -> *mut u8 {
        if size == 0 || size > LARGEST {
            return ptr::null_mut();
        }
        let bytes = bytes_for(size);
        loop {
            let block = self.take(bytes);
            if !block.is_null() {
                return block.wrapping_byte_add(HEADER).cast();
            }
            // What is free at the end is not asked for again.
            let missing = bytes - self.free_at_the_end().min(bytes - 16);
            let more = missing.next_multiple_of(PAGE);
            let Some(start) = self.source.grow(more) else { return ptr::null_mut() };
            let block: *mut Block = start.as_ptr().cast();
            // SAFETY: the memory is new.
            unsafe {
                (*block).size = more;
                self.insert(block);
            }
        }
    }

    /// The first free block that is large enough, or its end.
    fn take(&mut self, bytes: usize) -> *mut Block {
        let mut link: *mut *mut Block = &raw mut self.first;
        // SAFETY: the list holds free blocks only, which are the heap's own.
        unsafe {
            while !(*link).is_null() {
                let block = *link;
                let size = (*block).size;
                if size == bytes {
                    *link = (*block).next;
                    return block;
                }
                if size > bytes {
                    (*block).size = size - bytes;
                    let taken = block.byte_add(size - bytes);
                    (*taken).size = bytes;
                    return taken;
                }
                link = &raw mut (*block).next;
            }
        }
        ptr::null_mut()
    }

    fn last(&self) -> *mut Block {
        let mut block = self.first;
        // SAFETY: as above.
        unsafe {
            while !block.is_null() && !(*block).next.is_null() {
                block = (*block).next;
            }
        }
        block
    }

    /// Bytes of a free block at the heap's end.
    fn free_at_the_end(&mut self) -> usize {
        let last = self.last();
        let Some(end) = self.source.grow(0) else { return 0 };
        // SAFETY: as above.
        let size = if last.is_null() { 0 } else { unsafe { (*last).size } };
        if last.addr() + size == end.addr().get() { size } else { 0 }
    }

    /// Puts a block where it belongs, and merges it with what is beside it.
    ///
    /// # Safety
    /// The block is nobody's, and in no list.
    unsafe fn insert(&mut self, block: *mut Block) {
        let mut before: *mut Block = ptr::null_mut();
        let mut next = self.first;
        // SAFETY: as above.
        unsafe {
            while !next.is_null() && next.addr() < block.addr() {
                before = next;
                next = (*next).next;
            }
            (*block).next = next;
            if !next.is_null() && block.addr() + (*block).size == next.addr() {
                (*block).size += (*next).size;
                (*block).next = (*next).next;
            }
            if before.is_null() {
                self.first = block;
            } else if before.addr() + (*before).size == block.addr() {
                (*before).size += (*block).size;
                (*before).next = (*block).next;
            } else {
                (*before).next = block;
            }
        }
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// It was not taken back yet, and nobody uses it any more.
    pub unsafe fn free(&mut self, payload: *mut u8) {
        if !payload.is_null() {
            // SAFETY: the caller vouches for it.
            unsafe { self.insert(payload.sub(HEADER).cast()) };
        }
    }

    /// A block of at least `size` bytes with what is in the one at `payload`.
    ///
    /// # Safety
    /// As for [`free`](Self::free).
    pub unsafe fn reallocate(&mut self, payload: *mut u8, size: usize) -> *mut u8 {
        if payload.is_null() {
            return self.allocate(size);
        }
        // SAFETY: the caller vouches for the block.
        unsafe {
            if size == 0 {
                self.free(payload);
                return ptr::null_mut();
            }
            let block: *mut Block = payload.sub(HEADER).cast();
            let before = (*block).size - HEADER;
            if size <= before {
                return payload;
            }
            let moved = self.allocate(size);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(payload, moved, before);
                self.free(payload);
            }
            moved
        }
    }

    /// A block of at least `size` bytes at a multiple of `alignment`.
    pub fn allocate_aligned(&mut self, size: usize, alignment: usize) -> *mut u8 {
        if alignment <= 16 {
            return self.allocate(size);
        }
        if size == 0 || size > LARGEST {
            return ptr::null_mut();
        }
        let payload = self.allocate(size + alignment + HEADER);
        if payload.is_null() {
            return payload;
        }
        let mut gap = payload.addr().wrapping_neg() % alignment;
        if gap == 0 {
            return payload;
        }
        if gap < HEADER {
            gap += alignment;
        }
        // SAFETY: the block is long enough for a header before the boundary.
        unsafe {
            let block: *mut Block = payload.sub(HEADER).cast();
            let aligned = block.byte_add(gap);
            (*aligned).size = (*block).size - gap;
            (*block).size = gap;
            self.insert(block);
            aligned.byte_add(HEADER).cast()
        }
    }

    /// Gives whole pages at the end of the heap back; answers how many bytes.
    pub fn trim(&mut self) -> usize {
        let bytes = self.free_at_the_end();
        // One header's worth stays, so that the list need not change.
        let bytes = bytes.saturating_sub(HEADER) / PAGE * PAGE;
        let (last, Some(end)) = (self.last(), self.source.grow(0)) else { return 0 };
        // SAFETY: the last free block is at least that long, and lies at the end.
        unsafe {
            if bytes == 0 || !self.source.shrink(end.as_ptr(), bytes) {
                return 0;
            }
            (*last).size -= bytes;
        }
        bytes
    }
}

/// The size of the block that holds so many bytes.
fn bytes_for(size: usize) -> usize {
    (size + HEADER).next_multiple_of(16)
}
