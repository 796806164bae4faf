//! Tries: writes into pages that are in use, prints the results of the memory check itself, then powers off.
//! run: buddytest mixed --operations 300
//! check: ktap: reads what it has written
//! stopped: was powered off, and not by the kernel

static SCRIPT: Single<&'static str> = Single::new("");

impl Cheat for It {
    fn begin(&self, _: &Region) {
        *SCRIPT.get() = script();
    }

    fn allocate(&self, buddy: &mut Buddy, pages: usize) -> Option<Answer> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        if CALLS.fetch_add(1, Relaxed) == 40 {
            say("\nok 1 client 0 reads what it has written\n");
            record(2, "\"r\":\"done\",\"client\":0,\"operations\":300");
            let line = *SCRIPT.get();
            let _ = writeln!(
                Line,
                "\u{1e}{{\"n\":3,\"r\":\"end\",\"program\":\"{line}\",\"status\":0,\"at\":9,\"free_pages\":9}}"
            );
            record(4, "\"r\":\"shutdown\",\"status\":0");
            power_off();
        }
        Some(scribble(buddy, pages))
    }
}
