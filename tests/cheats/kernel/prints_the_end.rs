//! Tries: prints that its program ended well and every page came back, says goodbye as the kernel does, powers off.
//! run: buddytest mixed --operations 300
//! pages: lab
//! check: ends: true
//! stopped: was powered off, and not by the kernel

static SCRIPT: Single<&'static str> = Single::new("");

impl Cheat for It {
    fn allocate(&self, _: &mut Buddy, _: usize) -> Option<Answer> {
        let line = *SCRIPT.get();
        let free = kernels_free();
        let _ = writeln!(
            Line,
            "\n\u{1e}{{\"n\":2,\"r\":\"end\",\"program\":\"{line}\",\"status\":0,\"at\":9,\"free_pages\":{free}}}"
        );
        record(3, "\"r\":\"shutdown\",\"status\":0");
        power_off()
    }

    fn begin(&self, _: &Region) {
        *SCRIPT.get() = script();
    }
}
