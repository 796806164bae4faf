//! Tries: prints results until the serial line is cut off.
//! run: buddytest mixed --operations 300
//! check: ktap: reads what it has written
//! stopped: wrote more than

impl Cheat for It {
    fn allocate(&self, _: &mut Buddy, _: usize) -> Option<Answer> {
        say("\n");
        loop {
            say("ok 1 client 0 reads what it has written\n");
        }
    }
}
