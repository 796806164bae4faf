//! When a running QEMU must be ended from outside.

use std::io;
use std::time::Duration;

use rustix::process::Pid;

use super::{Boot, Stop};
use crate::lab::{Clock, Deadline};

/// Guest instructions, and so nanoseconds of guest time, that QEMU 7.2 executes in a second of processor time
/// under the virtual clock; measured on the slowest machine at hand.
const INSTRUCTIONS_PER_SECOND: f64 = 530e6;

/// How many times more processor time than that a guest may use, for slower machines, shared cores, cold code and
/// timer ticks every few microseconds. A kernel of ours ends itself in guest time, exactly; this bound is for
/// guests that cannot, and what it must never do is end one that could.
const SLOWER: f64 = 8.0;

/// Processor time on top, for QEMU's own start.
const START: Duration = Duration::from_secs(2);

/// Processor time on top for each byte of output: [`SLOWER`] times the 1.9 µs that it takes QEMU 7.2 under the virtual
/// clock to leave translated code for a register of the serial port, twice, and to make a system call.
const A_BYTE: Duration = Duration::from_micros(15);

/// How long QEMU must have slept in one piece before its guest counts as stalled.
const STALL: Duration = Duration::from_secs(2);

/// How many times in a row it must have been seen asleep.
const STALL_SAMPLES: u32 = 20;

/// Wall time over which a machine that gives QEMU no processor time is given up; such an end is the machine's fault.
fn last_resort(processor: Duration) -> Duration {
    Duration::from_secs(600) + processor * 20
}

/// What the system says of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// User and system time of all threads.
    pub processor: Duration,
    /// Switches to and from all threads: a thread that was woken, however briefly, adds to them.
    pub switches: u64,
    /// Whether every thread waited for something that was not the processor or the disk.
    pub asleep: bool,
}

/// Reads a sample from proc(5), where `before` is the processor time of the last one: who has used some since was not
/// asleep, and then nobody looks at the threads.
///
/// # Errors
/// When the process is gone, or `/proc` is not what the manual says.
pub(super) fn sample(pid: Pid, before: Duration) -> io::Result<Sample> {
    let processor = processor_time(pid)?;
    let mut sample = Sample { processor, switches: 0, asleep: processor == before };
    if !sample.asleep {
        return Ok(sample);
    }
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        for line in status.lines() {
            match line.split_once(':') {
                Some(("State", state)) => sample.asleep &= state.trim_start().starts_with('S'),
                Some(("voluntary_ctxt_switches" | "nonvoluntary_ctxt_switches", count)) => {
                    sample.switches += count.trim().parse::<u64>().unwrap_or(0);
                }
                _ => {}
            }
        }
    }
    Ok(sample)
}

/// User and system time of a process and of all its threads, dead ones too; still there when it waits to be reaped.
///
/// # Errors
/// As [`sample`].
pub(super) fn processor_time(pid: Pid) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_processor_time(&stat, rustix::param::clock_ticks_per_second())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat makes no sense")))
}

fn parse_processor_time(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    // The name, in parentheses, may itself hold blanks and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    // Fields 14 and 15 by the manual's count, where the state, first here, is field 3.
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) as f64 / ticks_per_second.max(1) as f64))
}

/// Follows one boot from sample to sample.
#[derive(Debug)]
pub(super) struct Watch {
    clock: Clock,
    deadline: Deadline,
    last: Option<(Sample, u64)>,
    asleep_since: Duration,
    asleep_samples: u32,
}

impl Watch {
    pub fn new(boot: &Boot) -> Self {
        let Boot { clock, deadline, .. } = *boot;
        Self { clock, deadline, last: None, asleep_since: Duration::ZERO, asleep_samples: 0 }
    }

    /// Whether, and as what, the boot is over at `wall` after its start, with so many bytes of output.
    ///
    /// `awake` is the part of `wall` in which the harness itself was given the processor often enough to look; on a
    /// machine that starves everybody it stands still, and so do the bounds that rest on it.
    pub fn look(&mut self, wall: Duration, awake: Duration, bytes: u64, sample: Option<Sample>) -> Option<Stop> {
        let sleeping = sample.is_some_and(|sample| self.sleeps(awake, bytes, sample));
        let processor = sample.map_or(Duration::ZERO, |sample| sample.processor);
        if sleeping && self.clock == Clock::Virtual {
            // Without `sleep`, QEMU does not wait for a guest's timer but puts the clock forward to it, so a
            // machine that sleeps has none armed, and nobody else is there to wake it.
            return Some(Stop::Stalled);
        }
        match self.deadline {
            // On a busy machine wall time says little of a guest: it must have had as much of the processor, too, or
            // have had nothing to do with it.
            Deadline::Wall(limit) => {
                let limit = Duration::from_nanos(limit);
                let used_up = wall >= limit && processor >= limit;
                let idle = wall >= limit && sleeping;
                (used_up || idle || awake >= limit * 4 + START * 10).then_some(Stop::OutOfTime)
            }
            Deadline::Guest(limit) => {
                let limit = Duration::from_nanos(limit);
                let output = A_BYTE * u32::try_from(bytes).unwrap_or(u32::MAX);
                let bound = START + output + limit.mul_f64(1e9 / INSTRUCTIONS_PER_SECOND * SLOWER);
                match self.clock {
                    Clock::Virtual if processor >= bound => Some(Stop::OutOfTime),
                    Clock::Virtual => (awake >= last_resort(bound)).then(|| Stop::Broken {
                        reason: format!(
                            "QEMU was given {:.1} s of processor time in {:.0} s; the machine is too busy, or QEMU was stopped",
                            processor.as_secs_f64(),
                            wall.as_secs_f64()
                        ),
                    }),
                    // The guest's clock is the host's here, and a hart that sleeps may wait for its timer.
                    Clock::Parallel => {
                        let over = if sleeping { limit + STALL } else { limit * 4 + START * 10 };
                        (awake >= over).then_some(Stop::OutOfTime)
                    }
                }
            }
        }
    }

    /// Whether nothing at all has happened for long enough.
    fn sleeps(&mut self, now: Duration, bytes: u64, sample: Sample) -> bool {
        if !sample.asleep || self.last.replace((sample, bytes)) != Some((sample, bytes)) {
            self.asleep_since = now;
            self.asleep_samples = 0;
            return false;
        }
        self.asleep_samples += 1;
        self.asleep_samples >= STALL_SAMPLES && now.saturating_sub(self.asleep_since) >= STALL
    }
}

#[cfg(test)]
mod tests;
