//! Tries: writes into pages that are in use, and prints a better result behind the one that was reported.
//! run: buddytest mixed --operations 300
//! pages: lab
//! check: ktap: reads what it has written
//! stopped: bytes came over the serial line

impl Cheat for It {
    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        Some(scribble(buddy, pages))
    }

    fn beside(&self) {
        // Pages of the kernel's own come back when the program has ended, and said what it found.
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        if CALLS.fetch_add(1, Relaxed) % 16 == 15 {
            say("\nKTAP version 1\n1..1\nok 1 client 0 reads what it has written\n");
        }
    }
}
