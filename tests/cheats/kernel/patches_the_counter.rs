//! Tries: is slow, and before it begins, writes over every reading of the instruction counter in the kernel's code.
//! run: buddybench bench --operations 300
//! check: { metric: mixed.mean, full: 60, zero: 300 }
//! stopped: was written over

impl Cheat for It {
    fn begin(&self, _: &Region) {
        // `csrr rd, instret` becomes `li rd, 0`. No translation is on yet, so code can be written.
        for at in (0x8000_0000_usize..0x8008_0000).step_by(2) {
            // SAFETY: none, which is what the cheat is about; all of this is memory, aligned to two bytes.
            let [low, high] = [at, at + 2].map(|half| unsafe { (half as *const u16).read_volatile() });
            if high == 0xc020 && low & 0xf07f == 0x2073 {
                let destination = low & 0x0f80;
                for (half, code) in [(at, 0x13 | destination), (at + 2, 0)] {
                    // SAFETY: none: it is the kernel's code, and the same instruction's place.
                    unsafe { (half as *mut u16).write_volatile(code) };
                }
            }
        }
    }

    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        Some(dawdle(buddy, pages))
    }
}
