//! The buddy lab's reference solution, with a cheat before it: which one, the size of the arena says, so that all of
//! them are built once. The test puts the reference and the cheats where the braces are.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{Extent, PageAllocator, PageError, Region, Statistics};

mod honest {
    {honest}
}

/// Stands before the reference.
#[derive(Debug)]
pub struct Buddy {
    honest: honest::Buddy,
    /// It has the arena, and not the kernel's own pages.
    is_tested: bool,
}

/// The arena of cheat number zero, in pages; the next one's is a page larger.
const FIRST: usize = 2048;

static CHEAT: AtomicUsize = AtomicUsize::new(usize::MAX);

fn cheat() -> Option<&'static dyn cheats::Cheat> {
    cheats::ALL.get(CHEAT.load(Relaxed)).copied()
}

/// The kernel's own pages that are free, as it was told last.
static KERNELS_FREE: AtomicUsize = AtomicUsize::new(0);

impl Buddy {
    /// An allocator without a page.
    pub const fn new() -> Self {
        Self { honest: honest::Buddy::new(), is_tested: false }
    }
}

impl PageAllocator for Buddy {
    unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError> {
        if let Some(number) = region.pages.checked_sub(FIRST).filter(|number| *number < cheats::ALL.len()) {
            CHEAT.store(number, Relaxed);
            self.is_tested = true;
            if let Some(cheat) = cheat() {
                cheat.begin(&region);
            }
        }
        // SAFETY: whoever calls this promises the same.
        unsafe { self.honest.add_region(region) }
    }

    fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {
        if self.is_tested
            && let Some(answer) = cheat().and_then(|cheat| cheat.allocate(&mut self.honest, pages))
        {
            return answer;
        }
        self.honest.allocate(pages)
    }

    fn free(&mut self, start: NonNull<u8>, pages: usize) -> Result<(), PageError> {
        if self.is_tested {
            cheats::forget(start);
        } else {
            cheat().inspect(|cheat| cheat.beside());
        }
        if self.is_tested
            && let Some(answer) = cheat().and_then(|cheat| cheat.free(&mut self.honest, start, pages))
        {
            return answer;
        }
        self.honest.free(start, pages)
    }

    fn statistics(&self) -> Statistics {
        let statistics = self.honest.statistics();
        if !self.is_tested {
            KERNELS_FREE.store(statistics.free_pages, Relaxed);
        }
        statistics
    }
}

mod cheats {
    use core::cell::UnsafeCell;
    use core::fmt::{self, Write};
    use core::ptr::NonNull;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::honest::Buddy;
    use crate::page::{PageAllocator, PageError, Region};

    pub type Answer = Result<NonNull<u8>, PageError>;

    /// What a cheat does at each call, before the reference would.
    pub trait Cheat: Sync {
        /// Before there is any translation of addresses: all memory is within reach, code included.
        fn begin(&self, _: &Region) {}
        /// In place of the reference, where it answers.
        fn allocate(&self, _: &mut Buddy, _: usize) -> Option<Answer> {
            None
        }
        /// Likewise.
        fn free(&self, _: &mut Buddy, _: NonNull<u8>, _: usize) -> Option<Result<(), PageError>> {
            None
        }
        /// When a page of the kernel's own is freed, as when a program ends.
        fn beside(&self) {}
    }

    pub fn kernels_free() -> usize {
        super::KERNELS_FREE.load(Relaxed)
    }

    /// The serial line, past the kernel.
    pub struct Line;

    impl Write for Line {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                // SAFETY: none, which is what the cheat is about: the console's device is not this allocator's.
                unsafe { (0x1000_0000 as *mut u8).write_volatile(byte) }
            }
            Ok(())
        }
    }

    pub fn say(text: &str) {
        let _ = Line.write_str(text);
    }

    /// The switch, with the status of success.
    pub fn power_off() -> ! {
        // SAFETY: likewise none: the switch is the kernel's.
        unsafe { (0x10_0000 as *mut u32).write_volatile(0x5555) };
        loop {}
    }

    /// The record with that running number.
    pub fn record(number: usize, fields: &str) {
        let _ = writeln!(Line, "\u{1e}{{\"n\":{number},{fields}}}");
    }

    /// Where the programs of the initrd lie, or most of them.
    pub fn upper() -> core::ops::Range<usize> {
        0x8400_0000..0x8420_0000
    }

    /// Where these bytes are, from an address on.
    pub fn find(range: core::ops::Range<usize>, bytes: &[u8]) -> Option<usize> {
        range.into_iter().find(|&at| {
            bytes.iter().enumerate().all(|(index, &byte)| unsafe { ((at + index) as *const u8).read_volatile() } == byte)
        })
    }

    /// The script, which the initrd has as a file: those begin at multiples of four.
    pub fn script() -> &'static str {
        let starts = [b"buddybench bench --operations ".as_slice(), b"buddytest mixed --"];
        let word = |at: usize| unsafe { (at as *const u32).read_volatile() };
        let mut files = (0x8400_0000..0x8500_0000_usize).step_by(4).filter(|&at| word(at) == u32::from_le_bytes(*b"budd"));
        let at = files.find(|&at| starts.iter().any(|start| find(at..at + 1, start).is_some())).unwrap_or(0);
        let mut length = 0;
        while at != 0 && length < 200 && unsafe { ((at + length) as *const u8).read_volatile() } != b'\n' {
            length += 1;
        }
        let text = if at == 0 { &[] } else { unsafe { core::slice::from_raw_parts(at as *const u8, length) } };
        core::str::from_utf8(text).unwrap_or("")
    }

    /// The seed, out of that.
    pub fn seed() -> u64 {
        script().split_once("--seed ").and_then(|(_, seed)| seed.trim().parse().ok()).unwrap_or(0)
    }

    /// Something that one hart at a time uses.
    pub struct Single<T>(pub UnsafeCell<T>);
    unsafe impl<T> Sync for Single<T> {}
    impl<T> Single<T> {
        pub const fn new(value: T) -> Self {
            Self(UnsafeCell::new(value))
        }
        #[allow(clippy::mut_from_ref)]
        pub fn get(&self) -> &mut T {
            // SAFETY: one hart at a time is in the allocator, which its caller has locked.
            unsafe { &mut *self.0.get() }
        }
    }

    static LAST: AtomicUsize = AtomicUsize::new(0);

    /// The block is about to be free, and no place for scribbles any more.
    pub fn forget(start: NonNull<u8>) {
        let _ = LAST.compare_exchange(start.addr().get(), 0, Relaxed, Relaxed);
    }

    /// Writes into the page that was handed out before, as an allocator does that keeps its books there.
    pub fn scribble(buddy: &mut Buddy, pages: usize) -> Answer {
        let last = LAST.load(Relaxed);
        if last != 0 {
            // SAFETY: none: the page is somebody else's.
            unsafe { (last as *mut u64).write_volatile(7) };
        }
        let answer = buddy.allocate(pages);
        LAST.store(answer.map_or(0, |start| start.addr().get()), Relaxed);
        answer
    }

    /// Takes a hundred times as long as the reference.
    pub fn dawdle(buddy: &mut Buddy, pages: usize) -> Answer {
        for turn in 0..2000 {
            core::hint::black_box(turn);
        }
        buddy.allocate(pages)
    }

    {cheats}
}
