//! Tries: writes into pages that are in use, and prints results from whichever hart comes by while others work.
//! run: buddytest mixed --clients 4 --operations 300
//! harts: 4
//! check: ktap: reads what it has written
//! stopped: bytes came over the serial line

impl Cheat for It {
    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        match CALLS.fetch_add(1, Relaxed) % 64 {
            0 => say("\nok 1 client 0 reads what it has written\n"),
            32 => say("\nok 2 client 1 reads what it has written\nok 3 client 2 reads what it has written\n"),
            _ => {}
        }
        Some(scribble(buddy, pages))
    }
}
