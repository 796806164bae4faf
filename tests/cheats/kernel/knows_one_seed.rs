//! Tries: has the answers for one seed by heart, and none for any other.
//! run: buddytest mixed --operations 300
//! check: oracle: buddy.sound
//! stopped: the trace breaks this rule

static KNOWN: Single<bool> = Single::new(false);
static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Cheat for It {
    fn begin(&self, region: &Region) {
        *KNOWN.get() = seed() == 1;
        NEXT.store(region.start.addr().get() + 0x4000, Relaxed);
    }

    fn allocate(&self, _: &mut Buddy, _: usize) -> Option<Answer> {
        if *KNOWN.get() {
            return None;
        }
        Some(NonNull::new(NEXT.fetch_add(0x1000, Relaxed) as *mut u8).ok_or(PageError::Exhausted))
    }
}
