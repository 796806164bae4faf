//! The heap behind `umalloc`: blocks side by side, of which the free ones are kept by size ([`super::lists`]).
//!
//! A free block is merged with its neighbours at once. What lies behind the last block, the *top*, is in no list and
//! grows as needed.
//!
//! Small blocks are cut one after the other out of *nests*, one for sizes up to 64 bytes and one for those up to
//! 256, so that they lie together: else blocks of different sizes, asked for in turn, would lie in turn, and
//! when those of one size are freed their memory would be good for that size only.

use core::ptr::{self, NonNull};

use super::lists::{
    AFTER_USED, ALIGNMENT, Block, FLAGS, HEADER, IN_USE, LEAST, Lists, SMALL, after, extent, last_word_before,
};

/// Where a heap's memory comes from: the end of the program's data, which can be moved.
pub trait Grow {
    /// Adds memory at the end; answers where it begins, which is where the last one ended unless somebody else asked
    /// for some in between. A multiple of 16.
    fn grow(&mut self, bytes: usize) -> Option<NonNull<u8>>;

    /// Gives memory at the end back; answers whether that was possible, as it is not when `end` is not the end.
    ///
    /// # Safety
    /// Nobody uses the last `bytes` before `end` any more.
    unsafe fn shrink(&mut self, end: *mut u8, bytes: usize) -> bool;
}

/// More than a program can have: larger requests fail before they overflow anything.
const LARGEST: usize = 1 << 40;

/// The largest block of each nest, and the bytes that a nest is filled up with.
const NESTS: [(usize, usize); 2] = [(64, 1024), (256, 2048)];

/// What is left of a free block that a small one is cut from becomes a nest from this size on.
const WORTH_A_NEST: usize = 256;

/// The heap grows to whole pages.
const PAGE: usize = 4096;

/// Memory that is cut up from its start on. For its neighbours it is a block in use.
#[derive(Clone, Copy)]
struct Nest {
    rest: *mut Block,
    size: usize,
}

/// A heap over memory that grows.
pub struct Heap<G> {
    source: G,
    lists: Lists,
    nests: [Nest; 2],
    /// Where the next block begins that no free one is large enough for. The block before is in use.
    top: *mut Block,
    /// Where a header still fits behind the last block.
    limit: *mut Block,
}

// SAFETY: the pointers lead into memory that the heap alone was given; whoever owns the heap owns that.
unsafe impl<G: Send> Send for Heap<G> {}

impl<G> Heap<G> {
    /// A heap without memory.
    pub const fn new(source: G) -> Self {
        Self {
            source,
            lists: Lists::new(),
            nests: [Nest { rest: ptr::null_mut(), size: 0 }; 2],
            top: ptr::null_mut(),
            limit: ptr::null_mut(),
        }
    }

    /// Where memory comes from.
    pub fn source(&self) -> &G {
        &self.source
    }
}

impl<G: Grow> Heap<G> {
    /// A block of at least `size` bytes; null if there is none, and for no bytes at all.
    #[inline]
    pub fn allocate(&mut self, size: usize) -> *mut u8 {
        // No bytes at all wrap around to more than there can be.
        if size.wrapping_sub(1) >= LARGEST {
            return ptr::null_mut();
        }
        let bytes = Block::size_for(size);
        if bytes < SMALL {
            let block = self.lists.take_small(bytes);
            if !block.is_null() {
                // SAFETY: the block was in the list of that size.
                return unsafe { use_whole(block, bytes) };
            }
            if let Some(nest) = nest_for(bytes)
                && self.nests[nest].size >= bytes
            {
                // SAFETY: there is that much left in the nest.
                return unsafe { self.cut_from_nest(nest, bytes) };
            }
        }
        self.allocate_larger(bytes)
    }

    /// A block out of a larger one, or out of new memory.
    #[inline(never)]
    fn allocate_larger(&mut self, bytes: usize) -> *mut u8 {
        let block = self.lists.take_fitting(bytes);
        // SAFETY: the block is free, in no list, and large enough.
        unsafe {
            if !block.is_null() {
                if extent(block) >= bytes + WORTH_A_NEST
                    && let Some(nest) = nest_for(bytes)
                {
                    self.use_part(block, NESTS[nest].1.min(extent(block)));
                    self.empty_nest(nest);
                    self.nests[nest] = Nest { rest: block, size: extent(block) };
                    return self.cut_from_nest(nest, bytes);
                }
                return self.use_part(block, bytes);
            }
            if let Some(nest) = nest_for(bytes)
                && self.fill_nest(nest)
            {
                return self.cut_from_nest(nest, bytes);
            }
        }
        if self.top_size() < bytes {
            return self.allocate_after_all(bytes);
        }
        // SAFETY: the top is large enough.
        unsafe { self.cut_from_top(bytes) }
    }

    /// A block when there is none, and no room in the top.
    #[cold]
    #[inline(never)]
    fn allocate_after_all(&mut self, bytes: usize) -> *mut u8 {
        // What is left of the nests may be what is missing. For little it is not worth it: blocks of all sizes would
        // lie in turn again.
        if bytes > NESTS[1].1 && self.empty_nests() {
            return self.allocate_larger(bytes);
        }
        if self.grow(bytes) {
            // SAFETY: the top is large enough now.
            return unsafe { self.cut_from_top(bytes) };
        }
        if self.empty_nests() { self.allocate_larger(bytes) } else { ptr::null_mut() }
    }

    /// Takes back what [`allocate`](Self::allocate) or [`reallocate`](Self::reallocate) answered; null is nothing.
    ///
    /// # Safety
    /// It was not taken back yet, and nobody uses it any more.
    #[inline]
    pub unsafe fn free(&mut self, payload: *mut u8) {
        if !payload.is_null() {
            // SAFETY: the caller vouches for the block.
            unsafe { self.release(payload.sub(HEADER).cast()) };
        }
    }

    /// A block of at least `size` bytes with what is in the one at `payload`, as far as it fits, which is taken back.
    ///
    /// From null it is [`allocate`](Self::allocate), to no bytes [`free`](Self::free). If there is no memory the
    /// answer is null, and nothing has happened.
    ///
    /// # Safety
    /// As for [`free`](Self::free).
    pub unsafe fn reallocate(&mut self, payload: *mut u8, size: usize) -> *mut u8 {
        if payload.is_null() {
            return self.allocate(size);
        }
        // SAFETY: the caller vouches for the block; its size and flags are as the heap left them.
        unsafe {
            if size == 0 {
                self.free(payload);
                return ptr::null_mut();
            }
            if size > LARGEST {
                return ptr::null_mut();
            }
            let block: *mut Block = payload.sub(HEADER).cast();
            let (bytes, before) = (Block::size_for(size), extent(block));
            if bytes <= before || self.grow_in_place(block, before, bytes) {
                self.give_tail_back(block, bytes);
                return payload;
            }
            let moved = self.allocate(size);
            if !moved.is_null() {
                copy(payload, moved, before - HEADER);
                self.free(payload);
            }
            moved
        }
    }

    /// A block of at least `size` bytes at a multiple of `alignment`, a power of two; else as
    /// [`allocate`](Self::allocate).
    pub fn allocate_aligned(&mut self, size: usize, alignment: usize) -> *mut u8 {
        if alignment <= ALIGNMENT {
            return self.allocate(size);
        }
        if !alignment.is_power_of_two() || size.wrapping_sub(1) >= LARGEST || alignment > LARGEST {
            return ptr::null_mut();
        }
        let bytes = Block::size_for(size);
        // Room to move the block's start up to the next boundary that leaves a whole block before it.
        let payload = self.allocate_larger(bytes + alignment + LEAST);
        if payload.is_null() {
            return payload;
        }
        // SAFETY: the block is large enough for what is cut off in front and behind.
        unsafe {
            let block: *mut Block = payload.sub(HEADER).cast();
            let mut gap = payload.addr().wrapping_neg() % alignment;
            if gap == 0 {
                self.give_tail_back(block, bytes);
                return payload;
            }
            while gap < LEAST {
                gap += alignment;
            }
            let aligned = after(block, gap);
            (*aligned).header = (extent(block) - gap) | IN_USE | AFTER_USED;
            (*block).header = gap | (*block).header & FLAGS;
            self.give_tail_back(aligned, bytes);
            self.release(block);
            aligned.cast::<u8>().add(HEADER)
        }
    }

    /// Gives whole pages at the end of the heap back; answers how many bytes.
    pub fn trim(&mut self) -> usize {
        self.empty_nests();
        if self.top.is_null() {
            return 0;
        }
        let end = self.end();
        let keep = (self.top.addr() + HEADER).next_multiple_of(PAGE);
        let bytes = end.addr().saturating_sub(keep) / PAGE * PAGE;
        // SAFETY: nothing lies behind the top but the header that would follow it.
        if bytes == 0 || !unsafe { self.source.shrink(end, bytes) } {
            return 0;
        }
        self.limit = self.limit.wrapping_byte_sub(bytes);
        bytes
    }

    /// Where the heap's memory ends.
    fn end(&self) -> *mut u8 {
        self.limit.wrapping_byte_add(HEADER).cast()
    }

    /// The size of the block that the top could become.
    fn top_size(&self) -> usize {
        self.limit.addr() - self.top.addr()
    }

    /// Makes the top large enough for a block of `bytes`; answers whether there was memory for it.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, bytes: usize) -> bool {
        // The first header begins where a payload behind it is aligned.
        let (there, extra) = if self.top.is_null() { (0, ALIGNMENT) } else { (self.top_size(), 0) };
        let needed = (bytes - there + extra).next_multiple_of(PAGE);
        let Some(start) = self.source.grow(needed) else { return false };
        let start = start.as_ptr();
        if self.top.is_null() || start != self.end() {
            // SAFETY: the memory is new, and ours.
            unsafe { self.begin_at(start) };
            self.limit = start.wrapping_add(needed - HEADER).cast();
            return self.top_size() >= bytes || self.grow(bytes);
        }
        self.limit = self.limit.wrapping_byte_add(needed);
        true
    }

    /// Moves the top to memory that does not follow the last: what lies between is a block that is never freed.
    ///
    /// # Safety
    /// A header can be written at the end of the heap so far.
    unsafe fn begin_at(&mut self, start: *mut u8) {
        let first: *mut Block = start.wrapping_add(ALIGNMENT - HEADER).cast();
        if !self.top.is_null() {
            // SAFETY: see above; the top has room for a header at least.
            unsafe { (*self.top).header = (first.addr() - self.top.addr()) | IN_USE | AFTER_USED };
        }
        self.top = first;
    }

    /// Cuts a block off the top.
    ///
    /// # Safety
    /// The top is large enough.
    unsafe fn cut_from_top(&mut self, bytes: usize) -> *mut u8 {
        let block = self.top;
        self.top = after(block, bytes);
        // SAFETY: the memory up to the new top is nobody's. What lies before the top is in use.
        unsafe { (*block).header = bytes | IN_USE | AFTER_USED };
        block.wrapping_byte_add(HEADER).cast()
    }

    /// Fills a nest up from the top; answers whether there was memory for it.
    #[cold]
    #[inline(never)]
    fn fill_nest(&mut self, nest: usize) -> bool {
        let size = NESTS[nest].1;
        self.empty_nest(nest);
        if self.top_size() < size && !self.grow(size) {
            return false;
        }
        // SAFETY: the top is large enough now.
        let rest = unsafe { self.cut_from_top(size) }.wrapping_sub(HEADER).cast();
        self.nests[nest] = Nest { rest, size };
        true
    }

    /// Cuts a block off a nest.
    ///
    /// # Safety
    /// The nest is large enough.
    #[inline]
    unsafe fn cut_from_nest(&mut self, nest: usize, bytes: usize) -> *mut u8 {
        let Nest { rest: block, size } = self.nests[nest];
        let left = size - bytes;
        // SAFETY: the nest is the heap's own memory.
        unsafe {
            if left < LEAST {
                // Its header says all of it already.
                self.nests[nest].size = 0;
                return block.byte_add(HEADER).cast();
            }
            let rest = after(block, bytes);
            (*rest).header = left | IN_USE | AFTER_USED;
            (*block).header = bytes | IN_USE | (*block).header & AFTER_USED;
            self.nests[nest] = Nest { rest, size: left };
            block.byte_add(HEADER).cast()
        }
    }

    /// Makes what is left of a nest a free block; answers whether there was anything left.
    fn empty_nest(&mut self, nest: usize) -> bool {
        let Nest { rest, size } = core::mem::replace(&mut self.nests[nest], Nest { rest: ptr::null_mut(), size: 0 });
        if size > 0 {
            // SAFETY: it looks like a block in use, and nobody uses it.
            unsafe { self.release(rest) };
        }
        size > 0
    }

    fn empty_nests(&mut self) -> bool {
        let emptied = [0, 1].map(|nest| self.empty_nest(nest));
        emptied.contains(&true)
    }

    /// Makes a block free, merged with the free ones around it.
    ///
    /// # Safety
    /// The block is in use by its flag, and by nobody else.
    #[inline]
    unsafe fn release(&mut self, mut block: *mut Block) {
        // SAFETY: headers and the last words of free blocks are as the heap left them.
        unsafe {
            let header = (*block).header;
            let mut bytes = header & !FLAGS;
            let mut next = after(block, bytes);
            if header & AFTER_USED == 0 {
                let before = last_word_before(block).read();
                block = block.byte_sub(before);
                self.lists.unlink(block, before);
                bytes += before;
            }
            if next == self.top {
                self.top = block;
                return;
            }
            let following = (*next).header;
            if following & IN_USE == 0 {
                let size = following & !FLAGS;
                self.lists.unlink(next, size);
                bytes += size;
                // The block behind that one knows already that the one before it is free.
                next = after(next, size);
            } else {
                (*next).header = following & !AFTER_USED;
            }
            (*block).header = bytes | AFTER_USED;
            last_word_before(next).write(bytes);
            self.lists.link(block, bytes);
        }
    }

    /// Hands the front of a free block out, and keeps the rest.
    ///
    /// # Safety
    /// The block is free, in no list, and at least `bytes` long.
    #[inline]
    unsafe fn use_part(&mut self, block: *mut Block, bytes: usize) -> *mut u8 {
        // SAFETY: the block is the heap's own memory.
        unsafe {
            let size = (*block).header & !FLAGS;
            let left = size - bytes;
            if left < LEAST {
                return use_whole(block, size);
            }
            (*block).header = bytes | IN_USE | AFTER_USED;
            let rest = after(block, bytes);
            (*rest).header = left | AFTER_USED;
            last_word_before(after(rest, left)).write(left);
            self.lists.link(rest, left);
            block.byte_add(HEADER).cast()
        }
    }

    /// Frees what a block in use has beyond `bytes`, if that makes a block.
    ///
    /// # Safety
    /// The block is in use, and at least `bytes` long.
    unsafe fn give_tail_back(&mut self, block: *mut Block, bytes: usize) {
        // SAFETY: the block is the caller's, who wants no more than the front.
        unsafe {
            let left = extent(block) - bytes;
            if left >= LEAST {
                (*block).header = bytes | (*block).header & FLAGS;
                let rest = after(block, bytes);
                (*rest).header = left | IN_USE | AFTER_USED;
                self.release(rest);
            }
        }
    }

    /// Makes a block at least `bytes` long with what is free behind it, if there is enough.
    ///
    /// # Safety
    /// The block is in use, and `before` bytes long.
    unsafe fn grow_in_place(&mut self, block: *mut Block, before: usize, bytes: usize) -> bool {
        let next = after(block, before);
        if next == self.top {
            let missing = bytes - before;
            if self.top_size() < missing && (!self.grow(missing) || next != self.top) {
                return false;
            }
            self.top = after(next, missing);
            // SAFETY: the block is in use, and goes on up to the new top.
            unsafe { (*block).header += missing };
            return true;
        }
        // SAFETY: the next block's header is as the heap left it.
        unsafe {
            let following = (*next).header;
            let size = following & !FLAGS;
            if following & IN_USE != 0 || before + size < bytes {
                return false;
            }
            self.lists.unlink(next, size);
            (*after(next, size)).header |= AFTER_USED;
            (*block).header += size;
            true
        }
    }
}

/// The nest that blocks of a size come from, if any.
#[inline]
fn nest_for(bytes: usize) -> Option<usize> {
    if bytes <= NESTS[0].0 {
        Some(0)
    } else if bytes <= NESTS[1].0 {
        Some(1)
    } else {
        None
    }
}

/// Hands a free block out as it is.
///
/// # Safety
/// The block is free, in no list, and `bytes` long.
#[inline]
unsafe fn use_whole(block: *mut Block, bytes: usize) -> *mut u8 {
    // SAFETY: behind a free block there is another one, in use.
    unsafe {
        (*block).header = bytes | IN_USE | AFTER_USED;
        (*after(block, bytes)).header |= AFTER_USED;
        block.byte_add(HEADER).cast()
    }
}

/// Copies the bytes of one block to another.
///
/// # Safety
/// Both are in use and at least `bytes` long, which is a multiple of 8.
unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: see above; two blocks never overlap.
    unsafe { ptr::copy_nonoverlapping(from.cast::<u64>(), to.cast::<u64>(), bytes / 8) };
}
