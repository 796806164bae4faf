//! The end of the guest's time: where every hart was, then power off.
//!
//! It is machine mode's timer interrupt on hart 0, so that a loop with interrupts off cannot hold it off.

use core::{
    fmt::Write,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use crate::{
    backtrace::Backtrace,
    console,
    ending::{self, Claim},
    hart,
    machine::{self, Interrupted},
    memory, power, stop, timer,
};

/// The deadline in nanoseconds of guest time.
static AFTER: AtomicU64 = AtomicU64::new(u64::MAX);

/// Whether a panic or a shutdown that had begun before was given more time.
static EXTENDED: AtomicBool = AtomicBool::new(false);

/// What a panic or a shutdown under way gets on top, in nanoseconds: ample for a full trace buffer.
const EXTENSION: u64 = 5_000_000_000;

/// Sets the deadline, in nanoseconds since the machine started. There must be no translation yet.
pub fn set(after: u64) {
    AFTER.store(after, Relaxed);
    machine::set_timer(timer::ticks(after));
}

/// Says where every hart is, and powers off; in machine mode.
pub fn reached(interrupted: Interrupted) {
    let me = hart::this().id();
    if ending::claim(me) != Claim::Granted && !EXTENDED.swap(true, Relaxed) {
        machine::set_timer(timer::ticks(timer::now().saturating_add(EXTENSION)));
        return;
    }
    // As long as it is pending, no nap would last.
    machine::set_timer(u64::MAX);
    console::let_others_finish();
    stop::others();
    // SAFETY: the machine is about to stop, and the other harts have.
    let console = unsafe { console::seize() };
    let after = AFTER.load(Relaxed);
    let report = |hart| if hart == me { Some(interrupted) } else { stop::report(hart) };
    console.line(format_args!("deadline: {after} ns of guest time are up"));
    for hart in 0..stop::harts() {
        let Some(at) = report(hart) else {
            console.line(format_args!("hart {hart}: has not started, or does not answer"));
            continue;
        };
        let mode = if at.user { "in a program" } else { "in the kernel" };
        let backtrace = Backtrace::follow(at.frame, at.satp);
        console.line(format_args!("hart {hart}: {mode}, pc {:#x}{}", at.pc, backtrace.in_words()));
    }
    // SAFETY: as above.
    unsafe { memory::the().print_rest(console) };
    console.record(|out| {
        write!(out, "\"r\":\"deadline\",\"after\":{after},\"harts\":[")?;
        let mut lead = "";
        for hart in 0..stop::harts() {
            let Some(at) = report(hart) else { continue };
            let backtrace = Backtrace::follow(at.frame, at.satp);
            write!(out, "{lead}{{\"hart\":{hart},\"pc\":\"{:#x}\",\"backtrace\":{backtrace}}}", at.pc)?;
            lead = ",";
        }
        out.write_str("]")
    });
    power::off(power::DEADLINE)
}
