//! Tries: keeps its books in pages that are in use, and strikes those off the kernel's own, so that nobody looks at them.
//! run: buddytest mixed --operations 600 --keep 12
//! check: ktap: reads what it has written
//! stopped: in the machine's memory there is

static ARENA: AtomicUsize = AtomicUsize::new(0);
static PAGES: AtomicUsize = AtomicUsize::new(0);
static LAST_PAGES: AtomicUsize = AtomicUsize::new(0);

/// Bytes that the kernel notes of a page.
const NOTE: usize = 12;

/// Where the kernel's notes of the arena are: a pointer and a length in what this allocator is a part of.
fn notes(buddy: &Buddy) -> Option<usize> {
    let (arena, pages) = (ARENA.load(Relaxed), PAGES.load(Relaxed));
    let here = core::ptr::from_ref(buddy).addr() & !7;
    let word = |at: usize| unsafe { (at as *const usize).read_volatile() };
    let is_it = |at: usize| {
        let start = word(at);
        word(at + 8) == pages && start > 0x8000_0000 && start < 0x8800_0000 && start % 4096 == 0
            && !(arena..arena + 4096 * pages).contains(&start)
    };
    (here - 0x8000..here + 0x8000).step_by(8).find(|&at| is_it(at)).map(word)
}

impl Cheat for It {
    fn begin(&self, region: &Region) {
        ARENA.store(region.start.addr().get(), Relaxed);
        PAGES.store(region.pages, Relaxed);
    }

    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        let last = LAST.load(Relaxed);
        if last != 0
            && let Some(notes) = notes(buddy)
        {
            let first = notes + (last - ARENA.load(Relaxed)) / 4096 * NOTE;
            // SAFETY: none: the books are the kernel's.
            unsafe { (first as *mut u8).write_bytes(0, LAST_PAGES.load(Relaxed) * NOTE) };
        }
        let answer = scribble(buddy, pages);
        LAST_PAGES.store(if answer.is_ok() { pages } else { 0 }, Relaxed);
        Some(answer)
    }
}
