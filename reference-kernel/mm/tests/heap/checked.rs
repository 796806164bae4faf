//! A heap whose every answer is checked, over memory of this process.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::heap::{Grow, Heap};

/// Memory whose end moves, as a program's does.
struct Arena {
    memory: NonNull<u8>,
    layout: Layout,
    end: Cell<usize>,
    highest: Cell<usize>,
}

impl Arena {
    fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, 4096).unwrap();
        // SAFETY: the size is not zero.
        let memory = NonNull::new(unsafe { alloc(layout) }).unwrap();
        Self { memory, layout, end: Cell::new(0), highest: Cell::new(0) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: it came from `alloc` with that layout.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) }
    }
}

impl Grow for Rc<Arena> {
    fn grow(&mut self, bytes: usize) -> Option<NonNull<u8>> {
        let start = self.end.get();
        self.end.set(start.checked_add(bytes).filter(|&end| end <= self.layout.size())?);
        self.highest.set(self.highest.get().max(self.end.get()));
        // SAFETY: the memory is that long.
        Some(unsafe { self.memory.add(start) })
    }

    unsafe fn shrink(&mut self, end: *mut u8, bytes: usize) -> bool {
        if end.addr() != self.memory.addr().get() + self.end.get() {
            return false;
        }
        self.end.set(self.end.get() - bytes);
        true
    }
}

#[derive(Clone, Copy)]
struct Block {
    start: *mut u8,
    size: usize,
    mark: u8,
}

/// A heap and the blocks that it handed out.
pub struct Checked {
    heap: Heap<Rc<Arena>>,
    blocks: BTreeMap<u32, Block>,
    /// The same by address: where each ends.
    ranges: BTreeMap<usize, usize>,
    /// Memory that is not the heap's.
    others: Vec<Block>,
    next: u32,
    live: usize,
    peak: usize,
}

impl Checked {
    pub fn new(bytes: usize) -> Self {
        let heap = Heap::new(Rc::new(Arena::new(bytes)));
        Self { heap, blocks: BTreeMap::new(), ranges: BTreeMap::new(), others: Vec::new(), next: 0, live: 0, peak: 0 }
    }

    fn arrive(&mut self, id: u32, start: *mut u8, size: usize, alignment: usize) {
        assert!(start.addr().is_multiple_of(alignment), "{start:p} for {size} bytes at multiples of {alignment}");
        let (from, to) = (start.addr(), start.addr() + size);
        if let Some((other, end)) = self.ranges.range(..to).next_back() {
            assert!(*end <= from, "{size} bytes at {from:#x} meet a block from {other:#x} to {end:#x}");
        }
        let source = self.heap.source();
        let first = source.memory.addr().get();
        assert!(from >= first && to <= first + source.end.get(), "{size} bytes at {from:#x} are not in the heap");
        let mark = (id as u8).wrapping_mul(31) ^ 0x5a;
        // SAFETY: the block is in the arena, and nobody else's.
        unsafe { start.write_bytes(mark, size) };
        self.blocks.insert(id, Block { start, size, mark });
        self.ranges.insert(from, to);
        self.live += size;
        self.peak = self.peak.max(self.live);
    }

    fn leave(&mut self, id: u32) -> Option<Block> {
        let block = self.blocks.remove(&id)?;
        check(&block, block.start, block.size);
        self.ranges.remove(&block.start.addr());
        self.live -= block.size;
        Some(block)
    }

    fn pick(&self, pick: u64) -> Option<u32> {
        let index = (pick as usize).checked_rem(self.blocks.len())?;
        self.blocks.keys().nth(index).copied()
    }

    pub fn try_allocate(&mut self, size: usize) -> bool {
        let start = self.heap.allocate(size);
        if start.is_null() {
            return false;
        }
        self.next += 1;
        self.arrive(self.next, start, size, 16);
        true
    }

    pub fn allocate(&mut self, size: usize) {
        assert!(self.try_allocate(size), "{size} bytes are refused");
    }

    pub fn aligned(&mut self, size: usize, alignment: usize) {
        let start = self.heap.allocate_aligned(size, alignment);
        assert!(!start.is_null(), "{size} bytes at multiples of {alignment} are refused");
        self.next += 1;
        self.arrive(self.next, start, size, alignment);
    }

    pub fn allocate_as(&mut self, id: u32, size: usize, alignment: usize) {
        let start = self.heap.allocate_aligned(size, alignment);
        if !start.is_null() {
            self.arrive(id, start, size, alignment);
        }
    }

    pub fn reallocate(&mut self, pick: u64, size: usize) {
        if let Some(id) = self.pick(pick) {
            self.reallocate_as(id, size);
        }
    }

    pub fn reallocate_as(&mut self, id: u32, size: usize) {
        let block = self.blocks.get(&id).copied();
        let before = block.map_or(std::ptr::null_mut(), |block| block.start);
        // SAFETY: the block is there, or the pointer is null.
        let start = unsafe { self.heap.reallocate(before, size) };
        if start.is_null() && size > 0 {
            return;
        }
        if let Some(block) = block {
            if !start.is_null() {
                check(&block, start, block.size.min(size));
            }
            self.blocks.remove(&id);
            self.ranges.remove(&block.start.addr());
            self.live -= block.size;
        }
        if !start.is_null() {
            self.arrive(id, start, size, 16);
        }
    }

    /// Asks for more than there is for every block.
    pub fn reallocate_in_vain(&mut self, size: usize) {
        for block in self.blocks.values() {
            // SAFETY: the block is there, and stays there.
            let answer = unsafe { self.heap.reallocate(block.start, size) };
            assert!(answer.is_null() || block.size >= size);
        }
        self.check_all();
    }

    pub fn free(&mut self, pick: u64) {
        if let Some(id) = self.pick(pick) {
            self.free_as(id);
        }
    }

    pub fn free_as(&mut self, id: u32) {
        let start = self.leave(id).map_or(std::ptr::null_mut(), |block| block.start);
        // SAFETY: the block was there, or the pointer is null.
        unsafe { self.heap.free(start) };
    }

    /// Frees everything; answers how much that was.
    pub fn free_all(&mut self) -> usize {
        let total = self.live;
        while let Some(&id) = self.blocks.keys().next() {
            self.free_as(id);
        }
        total
    }

    pub fn allocate_without_growth(&mut self, size: usize) {
        let before = self.heap.source().end.get();
        if size > 0 {
            self.allocate(size);
        }
        assert_eq!(self.heap.source().end.get(), before, "{size} bytes were free, and the heap grew");
    }

    pub fn trim(&mut self) {
        let before = self.heap.source().end.get();
        let bytes = self.heap.trim();
        let source = self.heap.source();
        assert_eq!(before - source.end.get(), bytes);
        let last = self.ranges.values().next_back().copied().unwrap_or(0);
        assert!(source.memory.addr().get() + source.end.get() >= last, "a trim took what blocks lie in");
        self.check_all();
    }

    pub fn somebody_else_grows(&mut self, bytes: usize) {
        if let Some(start) = self.heap.source().clone().grow(bytes) {
            let block = Block { start: start.as_ptr(), size: bytes, mark: 0x77 };
            // SAFETY: the memory is new, and nobody else's.
            unsafe { block.start.write_bytes(block.mark, bytes) };
            self.ranges.insert(block.start.addr(), block.start.addr() + bytes);
            self.others.push(block);
        }
    }

    pub fn check_all(&self) {
        self.blocks.values().chain(&self.others).for_each(|block| check(block, block.start, block.size));
    }

    /// The most bytes that blocks had, and the most that the heap had.
    pub fn peaks(&self) -> (usize, usize) {
        (self.peak, self.heap.source().highest.get())
    }
}

/// The first bytes of a block, wherever they are now, are as they were written.
fn check(block: &Block, start: *mut u8, bytes: usize) {
    // SAFETY: the bytes are the block's, and were written.
    let seen = unsafe { std::slice::from_raw_parts(start, bytes) };
    let damaged = seen.iter().position(|&byte| byte != block.mark);
    assert_eq!(damaged, None, "a block of {} bytes at {:p} was written to", block.size, block.start);
}
