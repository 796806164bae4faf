//! Tries: hands out the largest blocks, and prints records of its own among the kernel's, numbered as is due.
//! run: buddytest mixed --operations 300
//! check: oracle: buddy.smallest-block
//! stopped: the records are damaged

impl Cheat for It {
    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        if CALLS.fetch_add(1, Relaxed) == 0 {
            say("\n");
            record(3, "\"r\":\"ops\",\"from\":0,\"ops\":[[\"a\",0,0,32,1,2155872256]]");
        }
        Some(buddy.allocate(if pages == 1 { 2 } else { pages }))
    }
}
