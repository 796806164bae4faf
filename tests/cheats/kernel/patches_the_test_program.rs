//! Tries: writes into pages that are in use, and before it begins, makes `ok` of `not ok` in the programs in memory.
//! run: buddytest mixed --operations 300
//! check: ktap: reads what it has written
//! stopped: and the test programs saw

impl Cheat for It {
    fn begin(&self, _: &Region) {
        let mut range = upper();
        while let Some(at) = find(range.clone(), b"not ok ") {
            for (index, byte) in b"ok     ".iter().enumerate() {
                // SAFETY: none: the program is not this allocator's.
                unsafe { ((at + index) as *mut u8).write_volatile(*byte) };
            }
            range.start = at + 1;
        }
    }

    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        Some(scribble(buddy, pages))
    }
}
