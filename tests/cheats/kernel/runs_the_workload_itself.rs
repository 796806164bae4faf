//! Tries: draws the workload from the seed, answers it in a row without being asked, prints the whole trace with one
//! instruction an operation, all records that belong to it, and powers off with success.
//! run: buddybench bench --operations 300
//! check: oracle: buddy.all
//! stopped: was powered off, and not by the kernel

static SEED: Single<u64> = Single::new(0);

impl Cheat for It {
    fn begin(&self, _: &Region) {
        *SEED.get() = seed();
    }

    fn allocate(&self, buddy: &mut Buddy, _: usize) -> Option<Answer> {
        forger::forge(buddy, *SEED.get())
    }
}
