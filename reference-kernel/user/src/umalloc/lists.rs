//! Blocks, and the lists of those that are free.
//!
//! Every block begins with one word, its size and two flags, and the program's bytes follow. A free block has two links
//! there, and its size in its last word too, so that the block behind it finds its beginning (boundary tags: Knuth, The
//! Art of Computer Programming, vol. 1, §2.5, algorithm C). A block in use needs no such word, since a flag in the
//! next one's header says that it is in use (Lea, "A Memory Allocator", 1996).
//!
//! There is one list a size below [`SMALL`], and eight lists an octave from there on, with a bit for each list that is
//! not empty (two-level segregated fit: Masmano, Ripoll, Crespo and Real, ECRTS 2004).

use core::ptr;

/// What every address handed out is a multiple of.
pub const ALIGNMENT: usize = 16;

/// Bytes of a header.
pub const HEADER: usize = size_of::<usize>();

/// Bytes of the smallest block: header, two links, and the size again.
pub const LEAST: usize = 4 * size_of::<usize>();

/// The flag of a block that is in use.
pub const IN_USE: usize = 1;

/// The flag of a block behind one that is in use.
pub const AFTER_USED: usize = 2;

/// The bits of a header that are flags.
pub const FLAGS: usize = ALIGNMENT - 1;

/// From this size on, blocks of several sizes share a list.
pub const SMALL: usize = 1024;

/// Lists of large blocks to an octave, as a power of two.
const PARTS: u32 = 3;

/// Lists of small blocks, and as many of large ones; the last of those has no upper end.
const LISTS: usize = SMALL / ALIGNMENT;

/// Blocks of a list that are looked at for one that fits, or fits better.
const LOOKED_AT: usize = 8;

/// A block, as far as the heap is concerned with it.
#[derive(Debug)]
#[repr(C)]
pub struct Block {
    /// Size and flags.
    pub header: usize,
    /// The links of a free block.
    next: *mut Block,
    previous: *mut Block,
}

impl Block {
    /// The size of the block that holds `size` bytes.
    #[inline]
    pub fn size_for(size: usize) -> usize {
        ((size + HEADER + ALIGNMENT - 1) & !(ALIGNMENT - 1)).max(LEAST)
    }
}

/// What begins so many bytes after a block's start.
#[inline]
pub fn after(block: *mut Block, bytes: usize) -> *mut Block {
    block.wrapping_byte_add(bytes)
}

/// The size of a block.
///
/// # Safety
/// It is one of the heap's.
#[inline]
pub unsafe fn extent(block: *mut Block) -> usize {
    // SAFETY: see above.
    unsafe { (*block).header & !FLAGS }
}

/// The word before a block: the size of the block before, if that is free.
#[inline]
pub fn last_word_before(block: *mut Block) -> *mut usize {
    block.cast::<usize>().wrapping_sub(1)
}

impl Default for Lists {
    fn default() -> Self {
        Self::new()
    }
}

/// The free blocks, by size.
#[derive(Debug)]
pub struct Lists {
    /// A bit for each list that is not empty: of small blocks, and of large ones. Of one that was emptied the bit stays
    /// set until a search comes by, since mostly a block comes back before that.
    bits: [u64; 2],
    heads: [*mut Block; 2 * LISTS],
}

impl Lists {
    /// Without a block.
    pub const fn new() -> Self {
        Self { bits: [0; 2], heads: [ptr::null_mut(); 2 * LISTS] }
    }

    /// Takes out a block of exactly that size, which is below [`SMALL`]; null if there is none.
    #[inline]
    pub fn take_small(&mut self, bytes: usize) -> *mut Block {
        let list = bytes / ALIGNMENT;
        let block = self.heads[list];
        if !block.is_null() {
            // SAFETY: it is the first of that list.
            unsafe { self.take_first(block, list) };
        }
        block
    }

    /// Takes out a block of at least that size, the smallest or nearly so; null if there is none.
    #[inline]
    pub fn take_fitting(&mut self, bytes: usize) -> *mut Block {
        let mut from = 0;
        if bytes < SMALL {
            let block = self.take_larger_small(bytes / ALIGNMENT);
            if !block.is_null() {
                return block;
            }
        } else {
            let list = list_of_large(bytes);
            let block = self.take_best(LISTS + list, bytes);
            if !block.is_null() {
                return block;
            }
            from = list + 1;
        }
        if from == LISTS {
            return ptr::null_mut();
        }
        loop {
            let lists = self.bits[1] & (u64::MAX << from);
            if lists == 0 {
                return ptr::null_mut();
            }
            let list = lists.trailing_zeros() as usize;
            let block = self.take_best(LISTS + list, bytes);
            if !block.is_null() {
                return block;
            }
            self.bits[1] &= !(1 << list);
        }
    }

    /// Takes the first block of the first list of small blocks, from `list` on, that has one.
    #[inline]
    fn take_larger_small(&mut self, list: usize) -> *mut Block {
        loop {
            let lists = self.bits[0] & (u64::MAX << list);
            if lists == 0 {
                return ptr::null_mut();
            }
            let list = lists.trailing_zeros() as usize;
            let block = self.heads[list];
            if !block.is_null() {
                // SAFETY: it is the first of that list.
                unsafe { self.take_first(block, list) };
                return block;
            }
            self.bits[0] &= !(1 << list);
        }
    }

    /// Takes the smallest block of at least `bytes` out of a list, of those that are looked at.
    fn take_best(&mut self, list: usize, bytes: usize) -> *mut Block {
        let (mut best, mut best_size): (*mut Block, _) = (ptr::null_mut(), usize::MAX);
        let mut block = self.heads[list];
        let mut looked_at = 0;
        // Whatever fits may be the last block of its list.
        while !block.is_null() && (looked_at < LOOKED_AT || best.is_null()) {
            // SAFETY: a block in a list is free, and the heap's own.
            let size = unsafe { extent(block) };
            if size >= bytes && size < best_size {
                (best, best_size) = (block, size);
            }
            // SAFETY: likewise.
            block = unsafe { (*block).next };
            looked_at += 1;
        }
        if !best.is_null() {
            // SAFETY: it is in the list.
            unsafe { self.unlink(best, best_size) };
        }
        best
    }

    /// Puts a block into the list of its size.
    ///
    /// # Safety
    /// The block is the heap's, free, and in no list.
    #[inline]
    pub unsafe fn link(&mut self, block: *mut Block, bytes: usize) {
        let list = list_of(bytes);
        let first = self.heads[list];
        // SAFETY: free blocks are the heap's own.
        unsafe {
            (*block).next = first;
            (*block).previous = ptr::null_mut();
            if first.is_null() {
                self.bits[list / LISTS] |= 1 << (list % LISTS);
            } else {
                (*first).previous = block;
            }
        }
        self.heads[list] = block;
    }

    /// Takes a block out of the list of its size.
    ///
    /// # Safety
    /// The block is in that list.
    #[inline]
    pub unsafe fn unlink(&mut self, block: *mut Block, bytes: usize) {
        // SAFETY: free blocks are the heap's own.
        unsafe {
            let (next, previous) = ((*block).next, (*block).previous);
            if previous.is_null() {
                return self.take_first(block, list_of(bytes));
            }
            (*previous).next = next;
            if !next.is_null() {
                (*next).previous = previous;
            }
        }
    }

    /// Takes the first block out of a list.
    ///
    /// # Safety
    /// `block` is the first of that list.
    #[inline]
    unsafe fn take_first(&mut self, block: *mut Block, list: usize) {
        // SAFETY: free blocks are the heap's own.
        unsafe {
            let next = (*block).next;
            self.heads[list] = next;
            if !next.is_null() {
                (*next).previous = ptr::null_mut();
            }
        }
    }
}

#[inline]
fn list_of(bytes: usize) -> usize {
    // The remainder is what it is anyway, and says so to the compiler.
    (if bytes < SMALL { bytes / ALIGNMENT } else { LISTS + list_of_large(bytes) }) % (2 * LISTS)
}

/// The list, of those of large blocks, that a size belongs to.
fn list_of_large(bytes: usize) -> usize {
    // RV64GC has no instruction that finds the highest bit, and what stands in for it takes thirty.
    let octave = match OCTAVES.get(bytes / SMALL) {
        Some(&octave) => u32::from(octave),
        None => octave_of_huge(bytes),
    };
    let part = (bytes >> (octave - PARTS)) & ((1 << PARTS) - 1);
    ((((octave - SMALL.ilog2()) as usize) << PARTS) + part).min(LISTS - 1)
}

#[cold]
fn octave_of_huge(bytes: usize) -> u32 {
    bytes.ilog2()
}

/// The octave of sizes by their multiple of [`SMALL`].
const OCTAVES: [u8; 64] = {
    let mut octaves = [0; 64];
    let mut multiple = 1;
    while multiple < 64 {
        octaves[multiple] = (SMALL * multiple).ilog2() as u8;
        multiple += 1;
    }
    octaves
};

const _: () = assert!(LEAST == size_of::<Block>() + HEADER && LEAST.is_multiple_of(ALIGNMENT));
const _: () = assert!(LISTS == u64::BITS as usize);
