//! Tries: prints the trace of a good run with another seed, as somebody does who has recorded one.
//! run: buddybench bench --operations 300
//! check: oracle: buddy.all
//! stopped: was powered off, and not by the kernel

static SEED: Single<u64> = Single::new(0);

impl Cheat for It {
    fn begin(&self, _: &Region) {
        *SEED.get() = seed().wrapping_add(1);
    }

    fn allocate(&self, buddy: &mut Buddy, _: usize) -> Option<Answer> {
        forger::forge(buddy, *SEED.get())
    }
}
