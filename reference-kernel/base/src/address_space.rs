//! A program's address space: its image, its stacks, its heap, and what the kernel keeps there.
//!
//! From the bottom: nothing at address zero, the image, a page that is never mapped, the first thread's stack, the
//! heap; at the top the stacks of other threads, each above a page that is never mapped.

use core::{
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use crate::{
    hart, kernel_space,
    pages::{OutOfPages, Page},
    platform, process, scheduler,
    shared::Shared,
    sleep::{SleepGuard, SleepLock},
    sv39::{Flags, MapError, PAGE, PageTable},
    trampoline::{self, TrapFrame},
};

/// One past the highest address that a program can have.
pub const LIMIT: usize = 1 << 36;

/// Bytes of a thread's stack.
const STACK: usize = 8 * PAGE;

/// The most threads of a process.
const THREADS: usize = 64;

/// One past the highest address that a heap can have.
const HEAP_LIMIT: usize = LIMIT - THREADS * (STACK + PAGE);

/// A thread's view of its program's memory. When the last one is dropped, every page goes back.
#[derive(Debug)]
pub struct AddressSpace {
    shared: Shared<Space>,
    frame: NonNull<TrapFrame>,
    /// Which of the process's threads this is; decides where its registers and its stack are.
    place: usize,
}

// SAFETY: the frame is its own.
unsafe impl Send for AddressSpace {}

/// What all threads of a process share.
#[derive(Debug)]
struct Space {
    satp: usize,
    version: AtomicUsize,
    memory: SleepLock<Memory>,
}

#[derive(Debug)]
struct Memory {
    table: PageTable,
    heap_start: usize,
    heap_end: usize,
    /// One bit for each place that a thread has.
    places: u64,
}

const _: () = assert!(THREADS <= u64::BITS as usize);

/// The address space identifier of every program.
const IDENTIFIER: u16 = 1;

fn next_version() -> usize {
    static VERSION: AtomicUsize = AtomicUsize::new(1);
    VERSION.fetch_add(1, SeqCst)
}

/// What is not possible with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadAddress;

impl AddressSpace {
    /// An address space without an image.
    ///
    /// # Errors
    /// When there are no pages for it.
    pub fn new() -> Result<Self, OutOfPages> {
        Self::at_place(0)
    }

    fn at_place(place: usize) -> Result<Self, OutOfPages> {
        let table = PageTable::new()?;
        let satp = table.satp(IDENTIFIER);
        let memory = SleepLock::new(Memory { table, heap_start: 0, heap_end: 0, places: 0 });
        let space = Space { satp, version: AtomicUsize::new(next_version()), memory };
        let shared = Shared::new(space).map_err(|_| OutOfPages)?;
        let code = kernel_space::trampoline();
        let mut memory = shared.memory.lock();
        memory.table.map(trampoline::CODE, code, PAGE, Flags::READ | Flags::EXECUTE).map_err(|_| OutOfPages)?;
        drop(memory);
        Self::join(shared, Some(place))
    }

    /// A view for one more thread, at that place or at any.
    fn join(shared: Shared<Space>, place: Option<usize>) -> Result<Self, OutOfPages> {
        let frame = Page::zeroed()?.into_address();
        let mut memory = shared.memory.lock();
        let place = place.unwrap_or(memory.places.trailing_ones() as usize);
        let mapped = if place < THREADS {
            memory.table.map(trampoline::frame(place), frame, PAGE, Flags::READ | Flags::WRITE)
        } else {
            Err(MapError::Taken)
        };
        if mapped.is_err() {
            // SAFETY: it was not mapped, so nobody uses it.
            drop(unsafe { Page::from_address(frame) });
            return Err(OutOfPages);
        }
        memory.places |= 1 << place;
        drop(memory);
        let frame = NonNull::new(ptr::with_exposed_provenance_mut(frame)).expect("no page begins at address zero");
        Ok(Self { shared, frame, place })
    }

    /// The same memory for another thread, with a stack of its own, whose top is answered.
    ///
    /// # Errors
    /// When there are too few pages, or too many threads.
    pub fn share(&self) -> Result<(Self, usize), OutOfPages> {
        let other = Self::join(self.shared.clone(), None)?;
        let (bottom, top) = stack(other.place);
        other.lock().map_zeroed(bottom, top, Flags::READ | Flags::WRITE).map_err(|_| OutOfPages)?;
        Ok((other, top))
    }

    /// What `satp` holds while the program runs.
    pub fn satp(&self) -> usize {
        self.shared.satp
    }

    /// A number that no other address space ever had, nor this one with other mappings.
    pub fn version(&self) -> usize {
        self.shared.version.load(SeqCst)
    }

    /// Where the thread's registers are mapped.
    pub fn frame_address(&self) -> usize {
        trampoline::frame(self.place)
    }

    /// The thread's registers.
    pub fn frame(&mut self) -> &mut TrapFrame {
        // SAFETY: the page is this value's own, and any bytes are registers.
        unsafe { self.frame.as_mut() }
    }

    /// Which address space this is, for as long as it has threads.
    pub fn identity(&self) -> usize {
        self.shared.identity()
    }

    /// Whether no other thread uses this memory.
    pub fn is_alone(&self) -> bool {
        self.shared.is_alone()
    }

    /// The memory, for as long as the guard is kept. Whoever has it may wait for a spin lock, but not the other way
    /// round.
    pub fn lock(&self) -> Locked<'_> {
        Locked { space: &self.shared, memory: self.shared.memory.lock() }
    }

    /// A copy for a process of one thread, registers and all.
    ///
    /// # Errors
    /// When there are too few pages.
    pub fn duplicate(&mut self) -> Result<Self, OutOfPages> {
        let mut copy = Self::at_place(self.place)?;
        copy.frame().registers = self.frame().registers;
        copy.frame().pc = self.frame().pc;
        let own_stack = stack(self.place);
        {
            let original = self.lock();
            let mut copied = copy.lock();
            copied.memory.heap_start = original.memory.heap_start;
            copied.memory.heap_end = original.memory.heap_end;
            original.memory.table.for_each_user_page(|address, physical, flags| {
                let is_others = address >= HEAP_LIMIT && !(own_stack.0..own_stack.1).contains(&address);
                if is_others { Ok(()) } else { copied.memory.copy_page(address, physical, flags) }
            })?;
        }
        Ok(copy)
    }

    /// As [`Locked::copy_in`].
    ///
    /// # Errors
    /// Likewise.
    pub fn copy_in(&self, address: usize, into: &mut [u8]) -> Result<(), BadAddress> {
        self.lock().copy_in(address, into)
    }

    /// As [`Locked::copy_out`].
    ///
    /// # Errors
    /// Likewise.
    pub fn copy_out(&self, address: usize, from: &[u8]) -> Result<(), BadAddress> {
        self.lock().copy_out(address, from)
    }

    /// As [`Locked::check_writable`].
    ///
    /// # Errors
    /// Likewise.
    pub fn check_writable(&self, address: usize, length: usize) -> Result<(), BadAddress> {
        self.lock().check_writable(address, length)
    }
}

/// Where the stack of a thread other than the first lies.
fn stack(place: usize) -> (usize, usize) {
    let top = LIMIT - place * (STACK + PAGE);
    (top - STACK, top)
}

impl Memory {
    fn map_page(&mut self, address: usize, flags: Flags) -> Result<(), MapError> {
        let page = Page::zeroed()?.into_address();
        self.table.map(address, page, PAGE, flags | Flags::USER).inspect_err(|_| {
            // SAFETY: it was not mapped, so nobody uses it.
            drop(unsafe { Page::from_address(page) });
        })
    }

    /// Maps a copy of a page of another address space, whose lock is held.
    fn copy_page(&mut self, address: usize, physical: usize, flags: Flags) -> Result<(), OutOfPages> {
        let mut page = Page::new()?;
        let original: *const [u8; PAGE] = ptr::with_exposed_provenance(physical);
        // SAFETY: a page of that address space's own, which nobody unmaps meanwhile. Its threads may write to it, as
        // they may while anybody reads it.
        page.bytes_mut().copy_from_slice(unsafe { &*original });
        let page = page.into_address();
        self.table.map(address, page, PAGE, flags).map_err(|_| {
            // SAFETY: it was not mapped, so nobody uses it.
            drop(unsafe { Page::from_address(page) });
            OutOfPages
        })
    }
}

/// A program's memory while nobody else maps, unmaps or copies.
#[derive(Debug)]
pub struct Locked<'a> {
    space: &'a Shared<Space>,
    memory: SleepGuard<'a, Memory>,
}

impl Locked<'_> {
    fn renew_version(&self) {
        self.space.version.store(next_version(), SeqCst);
    }

    /// Maps fresh pages full of zeros.
    ///
    /// # Errors
    /// When there are too few, or something is mapped there already; then nothing has changed.
    pub fn map_zeroed(&mut self, start: usize, end: usize, flags: Flags) -> Result<(), MapError> {
        self.renew_version();
        for address in (start..end).step_by(PAGE) {
            if let Err(error) = self.memory.map_page(address, flags) {
                self.unmap(start, address);
                return Err(error);
            }
        }
        Ok(())
    }

    fn unmap(&mut self, start: usize, end: usize) {
        /// Pages that all harts forget at once.
        const BATCH: usize = 64;
        /// The most tables that go with them: these pages lie in two of each level at most.
        const TABLES: usize = 4;
        let mut pages = (start..end).step_by(PAGE).peekable();
        while pages.peek().is_some() {
            let mut unmapped = Discarded::<{ BATCH + TABLES }>::new();
            for address in pages.by_ref().take(BATCH) {
                let page = self.memory.table.unmap(address, |table| unmapped.push(table));
                page.into_iter().for_each(|page| unmapped.push(page));
            }
            self.forget();
            // SAFETY: `map_page` mapped them, and nothing leads there any more: no hart has a translation, nor can the
            // kernel get there without the lock.
            unsafe { unmapped.free() };
        }
    }

    /// Sees to it that no hart uses translations from before: with a new version, every hart forgets them before the
    /// program goes on there, and harts that run it at this moment are called.
    fn forget(&self) {
        self.renew_version();
        if self.space.is_alone() {
            return;
        }
        let version = self.space.version.load(SeqCst);
        // Versions only grow, so a hart with a later one has been here since, whichever program it runs.
        let uses_old = |hart: &hart::Hart| {
            hart.in_program_of.load(SeqCst) == self.space.identity() && hart.translations_of.load(SeqCst) < version
        };
        for (number, hart) in hart::all().iter().enumerate() {
            while uses_old(hart) {
                platform::set_software_interrupt(number, true);
                process::without_interrupts(scheduler::give_way);
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
        self.memory.heap_start = bottom + STACK;
        self.memory.heap_end = bottom + STACK;
        Ok(bottom + STACK)
    }

    /// Moves the end of the heap; answers where it was.
    ///
    /// # Errors
    /// When there are too few pages, or the end would leave the heap; then nothing has changed.
    pub fn move_heap_end(&mut self, bytes: isize) -> Result<usize, HeapError> {
        let Memory { heap_start, heap_end: before, .. } = *self.memory;
        let end = before.checked_add_signed(bytes).filter(|&end| end >= heap_start).ok_or(HeapError::Invalid)?;
        if end > HEAP_LIMIT {
            return Err(HeapError::OutOfPages);
        }
        let (mapped, wanted) = (before.next_multiple_of(PAGE), end.next_multiple_of(PAGE));
        if mapped < wanted {
            self.map_zeroed(mapped, wanted, Flags::READ | Flags::WRITE).map_err(|_| HeapError::OutOfPages)?;
        } else {
            self.unmap(wanted, mapped);
        }
        self.memory.heap_end = end;
        Ok(before)
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
            let (physical, flags) = self.memory.table.lookup(address).ok_or(BadAddress)?;
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

/// Pages that were unmapped, and not given back yet.
struct Discarded<const MOST: usize> {
    pages: [usize; MOST],
    count: usize,
}

impl<const MOST: usize> Discarded<MOST> {
    const fn new() -> Self {
        Self { pages: [0; MOST], count: 0 }
    }

    fn push(&mut self, page: usize) {
        self.pages[self.count] = page;
        self.count += 1;
    }

    /// Gives them back.
    ///
    /// # Safety
    /// Nobody uses them any more.
    unsafe fn free(self) {
        for &page in &self.pages[..self.count] {
            // SAFETY: see above.
            drop(unsafe { Page::from_address(page) });
        }
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
        if !self.is_alone() {
            let mut memory = self.lock();
            let (bottom, top) = stack(self.place);
            if self.place > 0 {
                memory.unmap(bottom, top);
            }
            // Its table has other entries.
            memory.memory.table.unmap(self.frame_address(), |_| unreachable!("the trampoline is always mapped"));
            // The frame's place may be another thread's next.
            memory.renew_version();
            memory.memory.places &= !(1 << self.place);
        }
        // SAFETY: it came from a page in `join`, and the thread does not run any more.
        drop(unsafe { Page::from_address(self.frame.as_ptr().expose_provenance()) });
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let freed: Result<(), core::convert::Infallible> = self.table.for_each_user_page(|_, physical, _| {
            // SAFETY: `map_page` or `copy_page` mapped it. The table still leads there, but it is not used any more,
            // and goes next.
            drop(unsafe { Page::from_address(physical) });
            Ok(())
        });
        let Ok(()) = freed;
    }
}
