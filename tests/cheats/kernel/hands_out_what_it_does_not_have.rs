//! Tries: answers with addresses that look right, of memory that others hold.
//! run: buddytest mixed --operations 300
//! check: oracle: buddy.sound
//! stopped: the trace breaks this rule

static START: AtomicUsize = AtomicUsize::new(0);

impl Cheat for It {
    fn begin(&self, region: &Region) {
        START.store(region.start.addr().get().next_multiple_of(0x40_0000), Relaxed);
    }

    fn allocate(&self, _: &mut Buddy, pages: usize) -> Option<Answer> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let bytes = pages.next_power_of_two() * 4096;
        let place = (CALLS.fetch_add(1, Relaxed) * bytes) % 0x20_0000;
        Some(NonNull::new((START.load(Relaxed) + place) as *mut u8).ok_or(PageError::Exhausted))
    }
}
