//! Page tables of three levels (RISC-V Privileged Architecture, "Sv39: Page-Based 39-bit Virtual-Memory System").

use core::ptr;

use abi::page::PAGE_SIZE;

use crate::{
    pages::{OutOfPages, Page},
    platform,
};

/// Bytes in a page.
pub const PAGE: usize = PAGE_SIZE as usize;

/// One past the highest virtual address used: half of what Sv39 has, so that no address needs its sign extended.
pub const END: usize = 1 << 38;

const ENTRIES: usize = 512;
const ROOT_LEVEL: usize = 2;
const SATP_SV39: usize = 8 << 60;
const SATP_IDENTIFIER_SHIFT: u32 = 44;
const SATP_PAGE_NUMBER: usize = (1 << 44) - 1;

bitflags::bitflags! {
    /// What a page table entry allows.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flags: usize {
        /// The entry means something.
        const VALID = 1 << 0;
        /// Loads are allowed.
        const READ = 1 << 1;
        /// Stores are allowed.
        const WRITE = 1 << 2;
        /// Execution is allowed.
        const EXECUTE = 1 << 3;
        /// User mode may use the page, and supervisor mode may not.
        const USER = 1 << 4;
        /// Set beforehand, since hardware may fault where it is not.
        const ACCESSED = 1 << 6;
        /// Likewise.
        const DIRTY = 1 << 7;
    }
}

/// A page table entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
struct Entry(usize);

impl Entry {
    const EMPTY: Self = Self(0);

    fn new(physical: usize, flags: Flags) -> Self {
        Self((physical / PAGE) << 10 | flags.bits())
    }

    fn leaf(physical: usize, flags: Flags) -> Self {
        Self::new(physical, flags | Flags::VALID | Flags::ACCESSED | Flags::DIRTY)
    }

    fn flags(self) -> Flags {
        Flags::from_bits_truncate(self.0)
    }

    fn physical(self) -> usize {
        ((self.0 >> 10) & SATP_PAGE_NUMBER) * PAGE
    }

    fn is_valid(self) -> bool {
        self.flags().contains(Flags::VALID)
    }

    /// Whether the entry maps memory, and does not lead to another table.
    fn is_leaf(self) -> bool {
        self.flags().intersects(Flags::READ | Flags::WRITE | Flags::EXECUTE)
    }
}

/// Bytes that an entry at a level maps.
const fn span(level: usize) -> usize {
    PAGE << (9 * level)
}

const fn index(address: usize, level: usize) -> usize {
    address / span(level) % ENTRIES
}

/// A tree of tables, whose pages are its own. The pages that it maps are not.
#[derive(Debug)]
pub struct PageTable {
    root: usize,
}

/// Why [`PageTable::map`] failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapError {
    /// There was no page for a table.
    OutOfPages,
    /// Something is mapped there already.
    Taken,
}

impl From<OutOfPages> for MapError {
    fn from(_: OutOfPages) -> Self {
        Self::OutOfPages
    }
}

impl PageTable {
    /// A table that maps nothing.
    ///
    /// # Errors
    /// When there is no page for it.
    pub fn new() -> Result<Self, OutOfPages> {
        Ok(Self { root: Page::zeroed()?.into_address() })
    }

    /// What `satp` holds while this table translates, its translations known by that identifier.
    pub fn satp(&self, identifier: u16) -> usize {
        SATP_SV39 | (usize::from(identifier) << SATP_IDENTIFIER_SHIFT) | (self.root / PAGE)
    }

    /// Maps `bytes` from `address` on to memory from `physical` on, with the largest pages that fit.
    ///
    /// # Errors
    /// When there is no page for a table, or a part is mapped already. What was mapped until then stays mapped.
    pub fn map(&mut self, mut address: usize, mut physical: usize, bytes: usize, flags: Flags) -> Result<(), MapError> {
        let end = address + bytes;
        while address < end {
            let fits =
                |level: &usize| (address | physical).is_multiple_of(span(*level)) && end - address >= span(*level);
            let level = (0..ROOT_LEVEL).rev().find(fits).unwrap_or(0);
            let entry = self.entry_at(address, level)?;
            if entry.is_valid() {
                return Err(MapError::Taken);
            }
            *entry = Entry::leaf(physical, flags);
            address += span(level);
            physical += span(level);
        }
        Ok(())
    }

    /// The entry for an address at a level, in tables that are made where there are none.
    fn entry_at(&mut self, address: usize, level: usize) -> Result<&mut Entry, MapError> {
        let mut table = self.root;
        for above in (level + 1..=ROOT_LEVEL).rev() {
            let entry = &mut entries(table)[index(address, above)];
            if !entry.is_valid() {
                *entry = Entry::new(Page::zeroed()?.into_address(), Flags::VALID);
            } else if entry.is_leaf() {
                return Err(MapError::Taken);
            }
            table = entry.physical();
        }
        Ok(&mut entries(table)[index(address, level)])
    }

    /// Where an address leads, and what is allowed there.
    pub fn lookup(&self, address: usize) -> Option<(usize, Flags)> {
        let mut table = self.root;
        for level in (0..=ROOT_LEVEL).rev() {
            let entry = entries(table)[index(address, level)];
            if !entry.is_valid() {
                return None;
            }
            if entry.is_leaf() {
                return Some((entry.physical() + address % span(level), entry.flags()));
            }
            table = entry.physical();
        }
        None
    }

    /// Takes the mapping of one page away, and the tables that are empty then; answers where it led. The tables' pages
    /// go to `discard`, since harts may still look into them until they were told to forget.
    pub fn unmap(&mut self, address: usize, mut discard: impl FnMut(usize)) -> Option<usize> {
        unmap_in(self.root, ROOT_LEVEL, address, &mut discard)
    }

    /// Calls `each` with every page of user memory: its address, where it leads, and what is allowed there.
    ///
    /// # Errors
    /// Those of `each`, which end it.
    pub fn for_each_user_page<E>(&self, mut each: impl FnMut(usize, usize, Flags) -> Result<(), E>) -> Result<(), E> {
        for_each_in(self.root, ROOT_LEVEL, 0, &mut each)
    }
}

impl Drop for PageTable {
    fn drop(&mut self) {
        free_tables(self.root, ROOT_LEVEL);
    }
}

fn entries(table: usize) -> &'static mut [Entry; ENTRIES] {
    // SAFETY: `table` is a page that belongs to a `PageTable`, zeroed or filled when it came, and mapped at its own
    // address; whoever calls has that table borrowed, mutably to change entries.
    unsafe { &mut *ptr::with_exposed_provenance_mut(table) }
}

fn unmap_in(table: usize, level: usize, address: usize, discard: &mut impl FnMut(usize)) -> Option<usize> {
    let entry = &mut entries(table)[index(address, level)];
    if !entry.is_valid() {
        return None;
    }
    let physical = entry.physical();
    if level == 0 {
        *entry = Entry::EMPTY;
        return Some(physical);
    }
    if entry.is_leaf() {
        return None; // a large page, which only the kernel has
    }
    let unmapped = unmap_in(physical, level - 1, address, discard);
    if unmapped.is_some() && entries(physical).iter().all(|entry| !entry.is_valid()) {
        entries(table)[index(address, level)] = Entry::EMPTY;
        discard(physical);
    }
    unmapped
}

fn for_each_in<E>(
    table: usize,
    level: usize,
    start: usize,
    each: &mut impl FnMut(usize, usize, Flags) -> Result<(), E>,
) -> Result<(), E> {
    for (index, entry) in entries(table).iter().enumerate().filter(|(_, entry)| entry.is_valid()) {
        let address = start + index * span(level);
        if !entry.is_leaf() {
            for_each_in(entry.physical(), level - 1, address, each)?;
        } else if entry.flags().contains(Flags::USER) {
            each(address, entry.physical(), entry.flags())?;
        }
    }
    Ok(())
}

fn free_tables(table: usize, level: usize) {
    if level > 0 {
        for entry in entries(table).iter().filter(|entry| entry.is_valid() && !entry.is_leaf()) {
            free_tables(entry.physical(), level - 1);
        }
    }
    // SAFETY: the table came from a `Page`, and whatever led to it goes too.
    drop(unsafe { Page::from_address(table) });
}

/// Where an address can be read, according to a value of `satp` of which nothing is trusted; for the last words of
/// the kernel, when tables may be damaged.
pub fn translate(satp: usize, address: usize) -> Option<usize> {
    if satp == 0 {
        return Some(address);
    }
    if address >= END {
        return None;
    }
    let mut table = (satp & SATP_PAGE_NUMBER) * PAGE;
    for level in (0..=ROOT_LEVEL).rev() {
        let at = table + index(address, level) * size_of::<Entry>();
        if !platform::is_ram(at) {
            return None;
        }
        // SAFETY: this is RAM, and any word can be read as an entry.
        let entry = unsafe { ptr::with_exposed_provenance::<Entry>(at).read_volatile() };
        if !entry.is_valid() {
            return None;
        }
        if entry.is_leaf() {
            let readable = entry.flags().contains(Flags::READ);
            return readable.then_some(entry.physical() + address % span(level));
        }
        table = entry.physical();
    }
    None
}
