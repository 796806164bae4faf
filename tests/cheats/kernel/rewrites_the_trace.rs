//! Tries: is slow, and writes another number of instructions into the kernel's trace before that is printed.
//! run: buddybench bench --operations 300
//! check: { metric: mixed.mean, full: 60, zero: 300 }
//! stopped: as counted from outside

static RING: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicUsize = AtomicUsize::new(0);

impl Cheat for It {
    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        if RING.load(Relaxed) == 0 {
            // The pool holds the allocator and, not far from it, the trace: an address and 65536 places.
            let me = core::ptr::from_mut(buddy).addr() & !7;
            let pair = (me - 8192..me + 8192).step_by(8).find(|&at| {
                // SAFETY: none: memory around the allocator may be anybody's; it is only looked at.
                let [address, length] = unsafe { (at as *const [usize; 2]).read_volatile() };
                length == 65536 && (0x8000_0000..0x8800_0000).contains(&address)
            });
            // SAFETY: none, likewise.
            RING.store(pair.map_or(1, |at| unsafe { (at as *const usize).read_volatile() }), Relaxed);
        }
        let ring = RING.load(Relaxed);
        if ring > 1 {
            // Each place has 32 bytes, the instructions from the eighth on.
            for place in 0..65536 {
                let at = ring + 32 * place;
                // SAFETY: none: the trace is the kernel's, in memory from its first place to its last.
                if unsafe { (at as *const u8).read_volatile() } == 0 {
                    break;
                }
                // SAFETY: none, which is what the cheat is about.
                unsafe { ((at + 8) as *mut u64).write_volatile(1) };
            }
        }
        DONE.fetch_add(1, Relaxed);
        Some(dawdle(buddy, pages))
    }
}
