//! Page lists that all harts use at once: those that carry the kernel, and those of the arena, which test programs
//! drive where the lists are what is under test.

use core::{
    fmt::{self, Write},
    ops::Range,
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicPtr, AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
};

use abi::{
    lists::{Kind, Operation},
    page::KERNEL_CLIENT,
};
use base::{
    csr::{self, status},
    sv39::PAGE,
};
use mm::{
    page::{MAX_REGIONS, PageLists, Region, per_hart::PerHart},
    sync::Machine,
};

use crate::{list_trace, notes::Block, pool, stamp, taken::Taken};

/// Whether the lists are what this kernel is built to test.
pub const UNDER_TEST: bool = cfg!(feature = "kmem");

#[cfg(feature = "kmem")]
type Harts = crate::watched::Watched<crate::counted::Counted>;
#[cfg(not(feature = "kmem"))]
type Harts = base::spin::RiscV;

/// Lists, the memory that they were given, and books of who holds which page of it.
pub struct Lists {
    lists: PerHart<Harts>,
    regions: [(AtomicUsize, AtomicUsize); MAX_REGIONS],
    count: AtomicUsize,
    notes: AtomicPtr<AtomicU64>,
    /// The address of the page that the first note is about.
    start: AtomicUsize,
    /// Pages of test programs whose contents were not what had been written.
    damaged: AtomicU64,
}

/// The kernel's own.
pub static KERNEL: Lists = Lists::new();

/// The arena's.
pub static ARENA: Lists = Lists::new();

/// How often interrupts were not as before when an operation had returned.
static LEFT_WRONG: AtomicU64 = AtomicU64::new(0);

/// How often interrupts were not as before when an operation of a test program had returned.
pub fn interrupts_left_wrong() -> u64 {
    LEFT_WRONG.load(Relaxed)
}

/// Nobody holds the page.
const FREE: u64 = 0;

/// What a note says of a page that is held: by whom, and since which stamp.
fn note(client: u8, since: u64) -> u64 {
    since << 16 | 1 << 8 | u64::from(client)
}

/// The block that a note is about.
fn block(address: usize, note: u64) -> Block {
    Block { address, pages: 1, client: note as u8, generation: (note >> 16) as u32 }
}

impl Lists {
    const fn new() -> Self {
        Self {
            lists: PerHart::new(),
            regions: [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; MAX_REGIONS],
            count: AtomicUsize::new(0),
            notes: AtomicPtr::new(ptr::null_mut()),
            start: AtomicUsize::new(0),
            damaged: AtomicU64::new(0),
        }
    }

    /// Gives the lists their books: blank notes of all pages from `start` on to the end of the last region; before the
    /// first region.
    pub fn keep_books(&self, start: usize, notes: &'static mut [AtomicU64]) {
        self.start.store(start, Relaxed);
        self.notes.store(notes.as_mut_ptr(), Relaxed);
    }

    /// Gives the lists a region of RAM for good; while one hart runs.
    pub fn add_region(&self, range: &Range<usize>) {
        let count = self.count.load(Relaxed);
        let (start, end) = &self.regions[count];
        start.store(range.start, Relaxed);
        end.store(range.end, Relaxed);
        self.count.store(count + 1, Relaxed);
        let start = NonNull::new(ptr::with_exposed_provenance_mut(range.start)).expect("RAM does not begin at zero");
        // SAFETY: the region was taken out of the memory map, so it is RAM that nobody else uses.
        unsafe { self.lists.add_region(Region { start, pages: range.len() / PAGE }) };
    }

    /// The regions.
    pub fn regions(&self) -> impl Iterator<Item = Range<usize>> {
        self.regions[..self.count.load(Relaxed)].iter().map(|(start, end)| start.load(Relaxed)..end.load(Relaxed))
    }

    /// Whether these lists have any memory.
    pub fn exist(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// How many pages are free.
    pub fn free_pages(&self) -> usize {
        self.lists.free_pages()
    }

    /// The note of a page, if an address is that of a page of these lists.
    fn note_of(&self, address: usize) -> Option<&AtomicU64> {
        let is_page = address.is_multiple_of(PAGE) && self.regions().any(|region| region.contains(&address));
        // SAFETY: there is a note for every page of every region.
        is_page.then(|| unsafe { &*self.notes.load(Relaxed).add((address - self.start.load(Relaxed)) / PAGE) })
    }

    /// Writes the fields of the record that describes the lists, as that of a pool.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_record(&self, out: &mut impl Write) -> fmt::Result {
        out.write_str("\"r\":\"pool\",\"pool\":\"arena\",\"allocator\":\"per_hart\",\"max_order\":0,\"regions\":[")?;
        for (index, region) in self.regions().enumerate() {
            let lead = if index == 0 { "" } else { "," };
            let (start, pages) = (region.start, region.len() / PAGE);
            write!(out, "{lead}[{start},{pages},{start},{pages}]")?;
        }
        out.write_str("]")
    }

    /// A page without a note of who holds it.
    #[inline]
    pub fn take(&self) -> Option<usize> {
        self.lists.allocate().map(|page| page.expose_provenance().get())
    }

    /// Gives the lists a page without a note.
    ///
    /// # Safety
    /// The page is memory that nobody else uses as long as it is in these lists.
    #[inline]
    pub unsafe fn give(&self, page: NonNull<u8>) {
        // SAFETY: the caller's promise.
        unsafe { self.lists.free(page) };
    }

    /// A page for the kernel itself, or nothing when there is none.
    ///
    /// # Panics
    /// When the lists hand out what they must not: better a sentence here than a fault later.
    pub fn allocate_page(&self) -> Option<usize> {
        let address = self.lists.allocate()?.expose_provenance().get();
        let Some(held) = self.note_of(address) else {
            panic!("the page lists handed out {address:#x}, which is no page in their memory")
        };
        let before = held.swap(note(KERNEL_CLIENT, 0), SeqCst);
        assert!(before == FREE, "the page lists handed out the page at {address:#x}, which is still in use");
        Some(address)
    }

    /// Takes a page of the kernel's own back.
    pub fn free_page(&self, page: NonNull<u8>) {
        if let Some(held) = self.note_of(page.addr().get()) {
            held.store(FREE, SeqCst);
        }
        // SAFETY: it is from `allocate_page`, and whoever owned it has given it up.
        unsafe { self.lists.free(page) };
    }

    /// A page for a test program. What comes back is passed on as it is, and only touched if it is a page.
    pub fn allocate_for(&self, client: u8) -> Option<usize> {
        let (page, seen) = watched(|| call_allocate(&self.lists));
        let address = page.map_or(0, |page| page.expose_provenance().get());
        seen.trace(Kind::Allocate, client, address);
        if let Some(held) = self.note_of(address) {
            let mine = note(client, seen.begin);
            held.store(mine, SeqCst);
            // SAFETY: it is a page of these lists, and this program's for all that is known.
            unsafe { stamp::stamp(&block(address, mine)) };
        }
        page.map(|_| address)
    }

    /// Takes a page back from a test program; false if no program holds it.
    pub fn free_for(&self, client: u8, page: NonNull<u8>) -> bool {
        let address = page.addr().get();
        let Some(held) = self.note_of(address) else { return false };
        let before = held.swap(FREE, SeqCst);
        if before as u8 == KERNEL_CLIENT {
            held.store(before, SeqCst);
            return false;
        }
        if before != FREE {
            // SAFETY: it is a page of these lists, which a test program holds.
            self.damaged.fetch_add(unsafe { stamp::damaged(&block(address, before)) }, Relaxed);
        }
        let ((), seen) = watched(|| {
            // A page that was handed out twice comes back twice. Once is enough, and the trace has both.
            if before != FREE {
                // SAFETY: it is from `allocate_for`, has not come back since, and its stamps are of no use any more.
                unsafe { call_free(&self.lists, page) };
            }
        });
        seen.trace(Kind::Free, client, address);
        before != FREE
    }

    /// Has the lists count their free pages, for a test program.
    pub fn count_for(&self, client: u8) -> usize {
        let (count, seen) = watched(|| self.free_pages());
        seen.trace(Kind::Count, client, count);
        count
    }

    /// How many pages of test programs were found damaged when they came back, or are, while nobody uses the lists.
    pub fn damaged_pages(&self) -> u64 {
        let mut damaged = self.damaged.load(Relaxed);
        for address in self.regions().flat_map(|region| region.step_by(PAGE)) {
            let held = self.note_of(address).map_or(FREE, |held| held.load(SeqCst));
            if held != FREE && held as u8 != KERNEL_CLIENT {
                // SAFETY: it is a page of these lists, which a test program holds.
                damaged += unsafe { stamp::damaged(&block(address, held)) };
            }
        }
        damaged
    }
}

/// What was seen of a call.
struct Seen {
    begin: u64,
    end: u64,
    instructions: u64,
    /// The hart that took the locks.
    hart: usize,
    locks: u64,
}

impl Seen {
    fn trace(&self, kind: Kind, client: u8, answer: usize) {
        let Self { begin, end, locks, .. } = *self;
        let instructions = self.instructions.min(u64::from(u32::MAX)) as u32;
        let (kind, answer) = (kind as u8, answer as u64);
        let operation = Operation { kind, client, instructions, begin, end, answer, locks, ..Operation::NONE };
        list_trace::push(self.hart, operation);
    }
}

/// A call's result, and what was seen of it. Interrupts must be afterwards as they were before.
fn watched<R>(call: impl FnOnce() -> R) -> (R, Seen) {
    let before = csr::read!("sstatus") & status::SIE;
    // Around the stamps, so that these are as close to the call as they can be.
    let taken = Taken::so_far(Harts::registry());
    let begin = list_trace::stamp();
    let (result, instructions) = pool::measured(call);
    let end = list_trace::stamp();
    let locks = taken.since();
    if csr::read!("sstatus") & status::SIE != before {
        LEFT_WRONG.fetch_add(1, Relaxed);
        // SAFETY: as they were before.
        unsafe {
            csr::clear!("sstatus", status::SIE);
            csr::set!("sstatus", before);
        }
    }
    (result, Seen { begin, end, instructions, hart: taken.hart(), locks })
}

// What is measured is a call, not code mixed with ours.
#[inline(never)]
fn call_allocate(lists: &PerHart<Harts>) -> Option<NonNull<u8>> {
    lists.allocate()
}

/// # Safety
/// As for [`PageLists::free`].
#[inline(never)]
unsafe fn call_free(lists: &PerHart<Harts>, page: NonNull<u8>) {
    // SAFETY: the caller's promise.
    unsafe { lists.free(page) };
}
