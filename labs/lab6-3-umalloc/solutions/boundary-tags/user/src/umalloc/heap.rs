//! The heap behind `umalloc`: a header and a footer in every block, free blocks in lists by powers of two.

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

/// A block: its size with the lowest bit set while it is in use, which stands in its last word as well. In between the
/// program's bytes, or links.
#[repr(C)]
struct Block {
    tag: usize,
    next: *mut Block,
    previous: *mut Block,
}

const WORD: usize = size_of::<usize>();
const LEAST: usize = 4 * WORD;
const USED: usize = 1;
const PAGE: usize = 4096;
const LARGEST: usize = 1 << 40;
const LISTS: usize = 42;

/// A heap over memory that grows.
///
/// Before the first block and behind the last there is a word that looks like a block in use.
pub struct Heap<G> {
    source: G,
    lists: [*mut Block; LISTS],
    /// The word behind the last block.
    fence: *mut Block,
}

// SAFETY: the memory is the heap's alone.
unsafe impl<G: Send> Send for Heap<G> {}

impl<G> Heap<G> {
    /// A heap without memory.
    pub const fn new(source: G) -> Self {
        Self { source, lists: [ptr::null_mut(); LISTS], fence: ptr::null_mut() }
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
        let block = loop {
            let block = self.find(bytes);
            if !block.is_null() {
                break block;
            }
            // Again, if somebody else has moved the end since: then what was free there does not help.
            if !self.grow(bytes) {
                return ptr::null_mut();
            }
        };
        // SAFETY: the block is free, in its list, and large enough.
        unsafe {
            self.unlink(block);
            self.cut(block, bytes);
            block.byte_add(WORD).cast()
        }
    }

    fn find(&self, bytes: usize) -> *mut Block {
        for list in list_of(bytes)..LISTS {
            let mut block = self.lists[list];
            // SAFETY: lists hold free blocks only, which are the heap's own.
            unsafe {
                while !block.is_null() {
                    if (*block).tag >= bytes {
                        return block;
                    }
                    block = (*block).next;
                }
            }
        }
        ptr::null_mut()
    }

    /// Marks the front of a block as used, and frees the rest.
    ///
    /// # Safety
    /// The block is nobody's, in no list, and at least that long.
    unsafe fn cut(&mut self, block: *mut Block, bytes: usize) {
        // SAFETY: see above.
        unsafe {
            let size = (*block).tag & !USED;
            if size - bytes < LEAST {
                return mark(block, size, USED);
            }
            mark(block, bytes, USED);
            let rest = block.byte_add(bytes);
            mark(rest, size - bytes, USED);
            self.release(rest);
        }
    }

    fn grow(&mut self, bytes: usize) -> bool {
        let mut free = 0;
        if !self.fence.is_null() {
            // SAFETY: before the fence lies the last word of a block.
            let last = unsafe { self.fence.cast::<usize>().sub(1).read() };
            free = if last & USED == 0 { last } else { 0 };
        }
        let more = (bytes - free.min(bytes - 16) + 2 * WORD).next_multiple_of(PAGE);
        let Some(start) = self.source.grow(more) else { return false };
        let start: *mut Block = start.as_ptr().cast();
        // SAFETY: the memory is new.
        unsafe {
            let mut block = self.fence;
            let mut size = more;
            if block.is_null() || block.addr() + WORD != start.addr() {
                // A word in front that looks like the end of a block in use.
                start.cast::<usize>().write(USED);
                block = start.byte_add(WORD);
                size = more - 2 * WORD;
            }
            self.fence = block.byte_add(size);
            self.fence.cast::<usize>().write(USED);
            mark(block, size, USED);
            self.release(block);
        }
        true
    }

    /// Makes a block free.
    ///
    /// # Safety
    /// It is marked as used, and nobody uses it.
    unsafe fn release(&mut self, mut block: *mut Block) {
        // SAFETY: tags are as the heap left them.
        unsafe {
            let mut size = (*block).tag & !USED;
            let next = block.byte_add(size);
            if (*next).tag & USED == 0 {
                self.unlink(next);
                size += (*next).tag;
            }
            let before = block.cast::<usize>().sub(1).read();
            if before & USED == 0 {
                block = block.byte_sub(before);
                self.unlink(block);
                size += before;
            }
            mark(block, size, 0);
            let list = &mut self.lists[list_of(size)];
            (*block).next = *list;
            (*block).previous = ptr::null_mut();
            if let Some(first) = list.as_mut() {
                first.previous = block;
            }
            *list = block;
        }
    }

    /// Takes a free block out of its list.
    ///
    /// # Safety
    /// It is in there.
    unsafe fn unlink(&mut self, block: *mut Block) {
        // SAFETY: see above.
        unsafe {
            let Block { tag, next, previous } = block.read();
            match previous.as_mut() {
                Some(previous) => previous.next = next,
                None => self.lists[list_of(tag)] = next,
            }
            if let Some(next) = next.as_mut() {
                next.previous = previous;
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
            unsafe { self.release(payload.sub(WORD).cast()) };
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
            if size > LARGEST {
                return ptr::null_mut();
            }
            let block: *mut Block = payload.sub(WORD).cast();
            let (before, bytes) = ((*block).tag & !USED, bytes_for(size));
            if bytes <= before {
                self.cut(block, bytes);
                return payload;
            }
            let next = block.byte_add(before);
            let behind = (*next).tag;
            if behind & USED == 0 && before + behind >= bytes {
                self.unlink(next);
                mark(block, before + behind, USED);
                self.cut(block, bytes);
                return payload;
            }
            let moved = self.allocate(size);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(payload, moved, before - 2 * WORD);
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
        let payload = self.allocate(size + alignment + LEAST);
        if payload.is_null() {
            return payload;
        }
        // SAFETY: the block is long enough for another one before the boundary.
        unsafe {
            let block: *mut Block = payload.sub(WORD).cast();
            let mut gap = payload.addr().wrapping_neg() % alignment;
            if gap > 0 && gap < LEAST {
                gap += alignment;
            }
            let aligned = block.byte_add(gap);
            if gap > 0 {
                let size = (*block).tag & !USED;
                mark(aligned, size - gap, USED);
                mark(block, gap, USED);
                self.release(block);
            }
            self.cut(aligned, bytes_for(size));
            aligned.byte_add(WORD).cast()
        }
    }

    /// Gives whole pages at the end of the heap back; answers how many bytes.
    pub fn trim(&mut self) -> usize {
        if self.fence.is_null() {
            return 0;
        }
        // SAFETY: before the fence lies the last word of a block, which is found by it.
        unsafe {
            let size = self.fence.cast::<usize>().sub(1).read();
            let bytes = if size & USED == 0 { size.saturating_sub(LEAST) / PAGE * PAGE } else { 0 };
            let end = self.fence.byte_add(WORD).cast();
            if bytes == 0 || !self.source.shrink(end, bytes) {
                return 0;
            }
            let block = self.fence.byte_sub(size);
            self.unlink(block);
            self.fence = self.fence.byte_sub(bytes);
            self.fence.cast::<usize>().write(USED);
            mark(block, size - bytes, USED);
            self.release(block);
            bytes
        }
    }
}

/// Writes both tags of a block.
///
/// # Safety
/// The memory is the heap's.
unsafe fn mark(block: *mut Block, size: usize, used: usize) {
    // SAFETY: see above.
    unsafe {
        (*block).tag = size | used;
        block.byte_add(size).cast::<usize>().sub(1).write(size | used);
    }
}

/// The size of the block that holds so many bytes.
fn bytes_for(size: usize) -> usize {
    (size + 2 * WORD).next_multiple_of(16).max(LEAST)
}

fn list_of(bytes: usize) -> usize {
    (bytes.ilog2() as usize).min(LISTS - 1)
}
