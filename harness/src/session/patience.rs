//! How much time a guest was given on a machine that it shares with others.
//!
//! Under the parallel clock a guest's time is the host's, and so are its deadlines; but time in which a hart of it
//! stood in the line for a processor was not the guest's. The system counts that for every thread (proc(5),
//! `schedstat`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::Pid;

/// How much of the time counts where the system does not tell who waited.
const UNKNOWN: f64 = 0.25;

/// Time that a guest was given.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// What each thread has waited for a processor so far.
    waited: BTreeMap<u32, Duration>,
    awake: Duration,
    given: Duration,
}

impl Patience {
    /// Takes a look at the process's threads, `awake` after its start; time in which the harness itself was not given a
    /// processor is no part of that.
    pub fn look(&mut self, awake: Duration, pid: Pid) {
        let waited = waited(pid).ok();
        self.add(awake, waited);
    }

    fn add(&mut self, awake: Duration, waited: Option<BTreeMap<u32, Duration>>) {
        let step = awake.saturating_sub(self.awake);
        self.awake = awake;
        let Some(waited) = waited else {
            self.given += step.mul_f64(UNKNOWN);
            return;
        };
        // The hart that waited longest counts: it may hold the lock that all others spin for.
        let since =
            |(thread, total): (&u32, &Duration)| total.saturating_sub(*self.waited.get(thread).unwrap_or(total));
        let longest = waited.iter().map(since).max().unwrap_or_default();
        self.given += step.saturating_sub(longest);
        self.waited = waited;
    }

    /// Time that it was given since its start.
    pub const fn given(&self) -> Duration {
        self.given
    }
}

/// What each thread of a process has waited for a processor.
fn waited(pid: Pid) -> io::Result<BTreeMap<u32, Duration>> {
    let mut waited = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?;
        let text = fs::read_to_string(thread.path().join("schedstat"))?;
        let number = thread.file_name().to_string_lossy().parse().ok();
        let nanoseconds = text.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok());
        waited.extend(number.zip(nanoseconds.map(Duration::from_nanos)));
    }
    Ok(waited)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn threads(waited: &[u64]) -> Option<BTreeMap<u32, Duration>> {
        Some((0..).zip(waited.iter().map(|seconds| Duration::from_secs(*seconds))).collect())
    }

    #[test]
    fn time_in_which_a_hart_stood_in_line_is_not_the_guest_s() {
        let mut patience = Patience::default();
        patience.add(10 * SECOND, threads(&[0, 5, 2]));
        // How long they had waited before is not known.
        assert_eq!(patience.given(), 10 * SECOND);
        patience.add(20 * SECOND, threads(&[0, 9, 3]));
        assert_eq!(patience.given(), 16 * SECOND);
        patience.add(30 * SECOND, threads(&[0, 30, 3]));
        assert_eq!(patience.given(), 16 * SECOND);
    }

    #[test]
    fn a_system_that_does_not_tell_gets_the_guest_four_times_as_long() {
        let mut patience = Patience::default();
        patience.add(40 * SECOND, None);
        assert_eq!(patience.given(), 10 * SECOND);
    }

    #[test]
    fn this_system_tells() {
        let own = waited(rustix::process::getpid());
        assert!(own.is_ok_and(|threads| !threads.is_empty()));
    }
}
