//! Tries: is slow, and before it begins, writes over every reading of the instruction counter in the kernel's code.
//! run: buddybench bench --operations 300
//! check: { metric: mixed.mean, full: 60, zero: 300 }
//! stopped: was written over

impl Cheat for It {
    fn begin(&self, _: &Region) {
        // `csrr rd, instret` becomes `li rd, 0`. No translation is on yet, so code can be written.
        for at in (0x8000_0000_usize..0x8008_0000).step_by(2) {
            let low = unsafe { (at as *const u16).read_volatile() };
            let high = unsafe { ((at + 2) as *const u16).read_volatile() };
            if high == 0xc020 && low & 0xf07f == 0x2073 {
                let destination = low & 0x0f80;
                unsafe { (at as *mut u16).write_volatile(0x13 | destination) };
                unsafe { ((at + 2) as *mut u16).write_volatile(0) };
            }
        }
    }

    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        Some(dawdle(buddy, pages))
    }
}
