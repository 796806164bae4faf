//! Who holds which page of a pool: the kernel's own books, since those of an allocator under test may be wrong.

use core::ops::Range;

use abi::page::KERNEL_CLIENT;
use base::sv39::PAGE;

/// What is known of one page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Note {
    /// Which block this is, of all that were ever handed out; makes the stamp of each different.
    generation: u32,
    /// The pages of the block that begins here; zero if none does.
    pages: u32,
    held: bool,
    client: u8,
}

/// A block that somebody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The address of its first byte.
    pub address: usize,
    /// Its length in pages.
    pub pages: usize,
    /// Who holds it.
    pub client: u8,
    /// Which one it is, of all that were ever handed out.
    pub generation: u32,
}

/// The notes of all pages from the first one of a pool to its last.
#[derive(Debug)]
pub struct Notes {
    start: usize,
    notes: &'static mut [Note],
    generation: u32,
}

impl Notes {
    /// Notes of no page.
    pub const fn none() -> Self {
        Self { start: 0, notes: &mut [], generation: 0 }
    }

    /// Notes of the pages from `start` on, as many as there are elements, which are blank.
    pub fn new(start: usize, notes: &'static mut [Note]) -> Self {
        Self { start, notes, generation: 0 }
    }

    /// Notes a block down.
    ///
    /// # Errors
    /// When some page of it is held already; then nothing changes.
    pub fn hold(&mut self, address: usize, pages: usize, client: u8) -> Result<Block, Held> {
        let range = self.range(address, pages);
        if self.notes[range.clone()].iter().any(|note| note.held) {
            return Err(Held);
        }
        self.generation += 1;
        let generation = self.generation;
        for note in &mut self.notes[range.clone()] {
            *note = Note { generation, pages: 0, held: true, client };
        }
        self.notes[range.start].pages = pages as u32;
        Ok(Block { address, pages, client, generation })
    }

    /// Forgets a block.
    pub fn release(&mut self, block: &Block) {
        let range = self.range(block.address, block.pages);
        for note in self.notes[range].iter_mut().filter(|note| note.generation == block.generation) {
            *note = Note::default();
        }
    }

    /// The block that begins at an address, whatever that is.
    pub fn block_at(&self, address: usize) -> Option<Block> {
        let index = address.checked_sub(self.start)? / PAGE;
        let note = self.notes.get(index).filter(|note| note.pages > 0 && address.is_multiple_of(PAGE))?;
        Some(self.block(index, note))
    }

    /// Whether the kernel itself holds the page around an address.
    pub fn is_kernels(&self, address: usize) -> bool {
        let note = address.checked_sub(self.start).and_then(|offset| self.notes.get(offset / PAGE));
        note.is_some_and(|note| note.held && note.client == KERNEL_CLIENT)
    }

    /// Every block that a client holds.
    pub fn blocks_of(&self, client: u8) -> impl Iterator<Item = Block> {
        let blocks = self.notes.iter().enumerate().filter(move |(_, note)| note.pages > 0 && note.client == client);
        blocks.map(|(index, note)| self.block(index, note))
    }

    fn block(&self, index: usize, note: &Note) -> Block {
        let address = self.start + index * PAGE;
        Block { address, pages: note.pages as usize, client: note.client, generation: note.generation }
    }

    fn range(&self, address: usize, pages: usize) -> Range<usize> {
        let first = (address - self.start) / PAGE;
        first..first + pages
    }
}

/// Somebody holds the page already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held;

// One page in 341; the README says so.
const _: () = assert!(size_of::<Note>() <= 12);
