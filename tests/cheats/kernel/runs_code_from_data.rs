//! Tries: is slow, and turns the instruction counter back, with code that it has written into memory as numbers.
//! run: buddybench bench --operations 300
//! check: { metric: mixed.mean, full: 60, zero: 300 }
//! stopped: that is in no file

static CODE: Single<[u32; 2]> = Single::new([0xc020_2573, 0x0000_8067]); // csrr a0, instret; ret

impl Cheat for It {
    fn begin(&self, _: &Region) {
        // Before there is any translation, all memory can be executed.
        // SAFETY: none: they are numbers, which happen to be two instructions that answer as such a function does.
        let read: extern "C" fn() -> usize = unsafe { core::mem::transmute(CODE.get().as_ptr()) };
        core::hint::black_box(read());
    }

    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        Some(dawdle(buddy, pages))
    }
}
