//! Tries: powers the machine off with the status of success.
//! run: buddytest mixed --operations 300
//! check: ends: true
//! stopped: did not end

impl Cheat for It {
    fn allocate(&self, _: &mut Buddy, _: usize) -> Option<Answer> {
        power_off()
    }
}
