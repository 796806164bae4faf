//! A program's address space: its image, its stack, its heap, and what the kernel keeps there.
//!
//! From the bottom: nothing at address zero, the image, a page that is never mapped, the stack, the heap.

use core::{
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::{
    kernel_space,
    pages::{OutOfPages, Page},
    sv39::{Flags, MapError, PAGE, PageTable},
    trampoline::{self, TrapFrame},
};

/// One past the highest address that a program can have.
pub const LIMIT: usize = 1 << 36;

/// Bytes of a program's stack.
const STACK: usize = 8 * PAGE;

/// A program's memory. Dropping it gives every page back.
#[derive(Debug)]
pub struct AddressSpace {
    table: PageTable,
    frame: NonNull<TrapFrame>,
    heap_start: usize,
    heap_end: usize,
    version: usize,
}

/// The address space identifier of every program.
const IDENTIFIER: u16 = 1;

fn next_version() -> usize {
    static VERSION: AtomicUsize = AtomicUsize::new(1);
    VERSION.fetch_add(1, Relaxed)
}

// SAFETY: all that it points to is its own.
unsafe impl Send for AddressSpace {}

/// What is not possible with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadAddress;

impl AddressSpace {
    /// An address space without an image.
    ///
    /// # Errors
    /// When there are no pages for it.
    pub fn new() -> Result<Self, OutOfPages> {
        let frame = Page::zeroed()?;
        let mut table = PageTable::new()?;
        let frame = frame.into_address();
        let mapped = table
            .map(trampoline::FRAME, frame, PAGE, Flags::READ | Flags::WRITE)
            .and_then(|()| table.map(trampoline::CODE, kernel_space::trampoline(), PAGE, Flags::READ | Flags::EXECUTE));
        let frame = NonNull::new(ptr::with_exposed_provenance_mut(frame)).expect("no page begins at address zero");
        // Made even if mapping failed, so that it gives everything back.
        let space = Self { table, frame, heap_start: 0, heap_end: 0, version: next_version() };
        mapped.map(|()| space).map_err(|_| OutOfPages)
    }

    /// What `satp` holds while the program runs.
    pub fn satp(&self) -> usize {
        self.table.satp(IDENTIFIER)
    }

    /// A number that no other address space ever had, nor this one with other mappings.
    pub fn version(&self) -> usize {
        self.version
    }

    fn renew_version(&mut self) {
        self.version = next_version();
    }

    /// The program's registers.
    pub fn frame(&mut self) -> &mut TrapFrame {
        // SAFETY: the page is this value's own, and any bytes are registers.
        unsafe { self.frame.as_mut() }
    }

    /// Maps fresh pages full of zeros.
    ///
    /// # Errors
    /// When there are too few, or something is mapped there already; then nothing has changed.
    pub fn map_zeroed(&mut self, start: usize, end: usize, flags: Flags) -> Result<(), MapError> {
        self.renew_version();
        for address in (start..end).step_by(PAGE) {
            if let Err(error) = self.map_page(address, flags) {
                self.unmap(start, address);
                return Err(error);
            }
        }
        Ok(())
    }

    fn map_page(&mut self, address: usize, flags: Flags) -> Result<(), MapError> {
        let page = Page::zeroed()?.into_address();
        self.table.map(address, page, PAGE, flags | Flags::USER).inspect_err(|_| {
            // SAFETY: it was not mapped, so nobody uses it.
            drop(unsafe { Page::from_address(page) });
        })
    }

    fn unmap(&mut self, start: usize, end: usize) {
        self.renew_version();
        for address in (start..end).step_by(PAGE) {
            if let Some(physical) = self.table.unmap(address) {
                // SAFETY: `map_page` mapped it, and nothing leads to it any more: with a new version, every
                // hart forgets its translations before the program goes on there.
                drop(unsafe { Page::from_address(physical) });
            }
        }
    }

    /// Adds stack and heap above an image that ends at `image_end`; answers the stack's top.
    ///
    /// # Errors
    /// When there are too few pages.
    pub fn add_stack(&mut self, image_end: usize) -> Result<usize, MapError> {
        let bottom = image_end.next_multiple_of(PAGE) + PAGE;
        self.map_zeroed(bottom, bottom + STACK, Flags::READ | Flags::WRITE)?;
        self.heap_start = bottom + STACK;
        self.heap_end = self.heap_start;
        Ok(self.heap_end)
    }

    /// Moves the end of the heap; answers where it was.
    ///
    /// # Errors
    /// When there are too few pages, or the end would leave the heap; then nothing has changed.
    pub fn move_heap_end(&mut self, bytes: isize) -> Result<usize, HeapError> {
        let before = self.heap_end;
        let end = before.checked_add_signed(bytes).filter(|&end| end >= self.heap_start).ok_or(HeapError::Invalid)?;
        if end > LIMIT {
            return Err(HeapError::OutOfPages);
        }
        let (mapped, wanted) = (before.next_multiple_of(PAGE), end.next_multiple_of(PAGE));
        self.map_zeroed(mapped, wanted, Flags::READ | Flags::WRITE).map_err(|_| HeapError::OutOfPages)?;
        self.unmap(wanted, mapped);
        self.heap_end = end;
        Ok(before)
    }

    /// A copy, registers and all.
    ///
    /// # Errors
    /// When there are too few pages.
    pub fn duplicate(&mut self) -> Result<Self, OutOfPages> {
        let mut copy = Self::new()?;
        copy.heap_start = self.heap_start;
        copy.heap_end = self.heap_end;
        copy.frame().registers = self.frame().registers;
        copy.frame().pc = self.frame().pc;
        self.table.for_each_user_page(|address, physical, flags| {
            let mut page = Page::new()?;
            let original: *const [u8; PAGE] = ptr::with_exposed_provenance(physical);
            // SAFETY: a page of this address space's own, which is borrowed.
            page.bytes_mut().copy_from_slice(unsafe { &*original });
            let page = page.into_address();
            copy.table.map(address, page, PAGE, flags).map_err(|_| {
                // SAFETY: it was not mapped, so nobody uses it.
                drop(unsafe { Page::from_address(page) });
                OutOfPages
            })
        })?;
        Ok(copy)
    }

    /// Copies out of the program's memory.
    ///
    /// # Errors
    /// When the program could not read there itself.
    pub fn copy_in(&self, address: usize, into: &mut [u8]) -> Result<(), BadAddress> {
        let length = into.len();
        let mut into = into;
        self.each_piece(address, length, Flags::READ, |piece| {
            let (now, later) = core::mem::take(&mut into).split_at_mut(piece.len());
            // SAFETY: `each_piece` vouches for it.
            now.copy_from_slice(unsafe { &*piece });
            into = later;
        })
    }

    /// Copies into the program's memory.
    ///
    /// # Errors
    /// When the program could not write there itself; what lies before that is written.
    pub fn copy_out(&mut self, address: usize, from: &[u8]) -> Result<(), BadAddress> {
        let mut from = from;
        self.each_piece(address, from.len(), Flags::WRITE, |piece| {
            let (now, later) = from.split_at(piece.len());
            // SAFETY: `each_piece` vouches for it, and the address space is borrowed mutably.
            unsafe { &mut *piece }.copy_from_slice(now);
            from = later;
        })
    }

    /// Whether the program could read all of a range itself.
    ///
    /// # Errors
    /// When it could not.
    pub fn check_readable(&self, address: usize, length: usize) -> Result<(), BadAddress> {
        self.each_piece(address, length, Flags::READ, |_| {})
    }

    /// Whether the program could write all of a range itself.
    ///
    /// # Errors
    /// When it could not.
    pub fn check_writable(&self, address: usize, length: usize) -> Result<(), BadAddress> {
        self.each_piece(address, length, Flags::WRITE, |_| {})
    }

    /// Calls `each` with the pieces of a range as they lie in memory, each within a page of this address space that
    /// the program itself may use with `need`.
    fn each_piece(
        &self,
        mut address: usize,
        length: usize,
        need: Flags,
        mut each: impl FnMut(*mut [u8]),
    ) -> Result<(), BadAddress> {
        let end = address.checked_add(length).filter(|&end| end <= LIMIT).ok_or(BadAddress)?;
        while address < end {
            let (physical, flags) = self.table.lookup(address).ok_or(BadAddress)?;
            if !flags.contains(need | Flags::USER) {
                return Err(BadAddress);
            }
            let length = (PAGE - address % PAGE).min(end - address);
            each(ptr::slice_from_raw_parts_mut(ptr::with_exposed_provenance_mut(physical), length));
            address += length;
        }
        Ok(())
    }

    /// Copies part of an image into pages that were mapped for it, whether the program may write there or not.
    ///
    /// # Panics
    /// When nothing is mapped there.
    pub fn fill(&mut self, address: usize, from: &[u8]) {
        let mut from = from;
        self.each_piece(address, from.len(), Flags::empty(), |piece| {
            let (now, later) = from.split_at(piece.len());
            // SAFETY: as in `copy_out`.
            unsafe { &mut *piece }.copy_from_slice(now);
            from = later;
        })
        .expect("the image's pages are mapped");
    }
}

/// Why the heap could not be resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeapError {
    /// There are too few pages.
    OutOfPages,
    /// The heap cannot end before it begins.
    Invalid,
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        let freed: Result<(), core::convert::Infallible> = self.table.for_each_user_page(|_, physical, _| {
            // SAFETY: `map_page` or `duplicate` mapped it. The table still leads there, but it is not used any more,
            // and goes next.
            drop(unsafe { Page::from_address(physical) });
            Ok(())
        });
        let Ok(()) = freed;
        // SAFETY: it came from a page in `new`, and the program does not run any more.
        drop(unsafe { Page::from_address(self.frame.as_ptr().expose_provenance()) });
    }
}
