//! Processes: how they begin, take turns, and end.

use core::arch::asm;

use abi::syscall::Error;
use ulib::{
    Arguments,
    call::{self, Fork},
};

use crate::{Failure, Test, ensure, ensure_answer, ensure_status, failure, in_child};

pub const TESTS: &[Test] = &[
    ("fork-copies-memory", fork_copies),
    ("exit-status-reaches-the-parent", statuses),
    ("wait-without-children", no_children),
    ("exec-passes-arguments", exec_arguments),
    ("exec-that-fails-changes-nothing", exec_failures),
    ("kill-ends-a-loop", kill_loop),
    ("kill-ends-a-wait", kill_wait),
    ("kill-of-nobody", kill_nobody),
    ("registers-survive-preemption", registers),
    ("yield-lets-others-run", yields),
    ("orphans-are-cleared-up", orphans),
    ("as-many-forks-as-there-is-room-for", forks),
];

/// The argument that makes this program check its arguments.
pub const ECHO: &str = "--echo";

const ECHOED: [&str; 6] = ["usertests", ECHO, "", "two words", "\u{fc}", "last"];

/// What this program does as the target of `exec`: its status says whether its arguments are those expected.
pub fn echo(arguments: Arguments) -> i64 {
    if arguments.iter().eq(ECHOED) { 17 } else { 18 }
}

fn fork_copies() -> Result<(), Failure> {
    let mut value = 1u64;
    let shared = &raw mut value;
    // SAFETY: the pointer is to a local variable; volatile, so that it is really memory that is looked at.
    let ended = in_child(|| unsafe {
        let seen = shared.read_volatile();
        shared.write_volatile(2);
        (seen == 1 && shared.read_volatile() == 2) as i64
    })?;
    ensure_status(ended, 1)?;
    // SAFETY: as above.
    let seen = unsafe { shared.read_volatile() };
    ensure!(seen == 1, "what the child wrote is seen in the parent: {seen}");
    Ok(())
}

fn statuses() -> Result<(), Failure> {
    for status in [0, 1, 255, 256, -1, i64::MAX, i64::MIN] {
        ensure_status(in_child(|| status)?, status)?;
    }
    Ok(())
}

fn no_children() -> Result<(), Failure> {
    ensure!(call::wait().map(|ended| ended.id) == Err(Error::NotFound), "wait found a child");
    Ok(())
}

fn exec_arguments() -> Result<(), Failure> {
    let ended = in_child(|| {
        call::exec("bin/usertests", &ECHOED);
        1
    })?;
    ensure_status(ended, 17)
}

fn exec_failures() -> Result<(), Failure> {
    // 32 times this is more than all arguments together may be.
    const LONG: &str = "an argument that is just too long to be passed on so many times!!";
    let ended = in_child(|| {
        let failed = call::exec("bin/nothing", &[]) == Error::NotFound
            && call::exec("", &[]) == Error::NotFound
            && call::exec("script", &[]) == Error::NotExecutable
            && call::exec("bin/hello", &[""; 33]) == Error::Invalid
            && call::exec("bin/hello", &[LONG; 32]) == Error::Invalid;
        if failed { 5 } else { 6 }
    })?;
    ensure_status(ended, 5)
}

/// Starts a child that loops for ever.
fn looping_child() -> Result<u64, Failure> {
    match call::fork() {
        Ok(Fork::Child) => ulib::spin(),
        Ok(Fork::Parent(id)) => Ok(id),
        Err(error) => Err(failure(format_args!("fork answered {error:?}"))),
    }
}

fn kill_loop() -> Result<(), Failure> {
    let child = looping_child()?;
    call::yield_now();
    ensure_answer!(call::kill(child), Ok(()));
    let ended = call::wait().map_err(|error| failure(format_args!("wait answered {error:?}")))?;
    ensure!(ended.id == child && ended.status == -1, "child {child} was killed, and process {} {ended}", ended.id);
    let why = ended.killed().unwrap_or("");
    ensure!(why.starts_with("by process "), "the child was killed: {why:?}");
    Ok(())
}

fn kill_wait() -> Result<(), Failure> {
    const LONG: u64 = 4_000_000;
    let child = match call::fork() {
        Ok(Fork::Child) => {
            // Its child outlives it, and then ends by itself.
            let grandchild = call::fork();
            if grandchild == Ok(Fork::Child) {
                poll_for(LONG);
                call::exit(0)
            }
            let _ = call::wait();
            call::exit(i64::from(grandchild.is_err()))
        }
        Ok(Fork::Parent(id)) => id,
        Err(error) => return Err(failure(format_args!("fork answered {error:?}"))),
    };
    poll_for(LONG / 4);
    ensure_answer!(call::kill(child), Ok(()));
    let ended = call::wait().map_err(|error| failure(format_args!("wait answered {error:?}")))?;
    ensure!(ended.id == child && ended.status == -1, "child {child} was killed, and process {} {ended}", ended.id);
    Ok(())
}

/// Lets others run for so many nanoseconds.
fn poll_for(nanoseconds: u64) {
    let start = call::uptime();
    while call::uptime() - start < nanoseconds {
        call::yield_now();
    }
}

fn kill_nobody() -> Result<(), Failure> {
    for id in [0, 1 << 40, u64::MAX] {
        ensure_answer!(call::kill(id), Err(Error::NotFound));
    }
    Ok(())
}

fn registers() -> Result<(), Failure> {
    // Two processes with different values in every register that can hold one take turns for a while.
    let check = |seed: usize| -> usize {
        let wrong: usize;
        // SAFETY: the registers are declared; nothing else is touched.
        unsafe {
            asm!(
                "mv s2, t0", "addi s3, t0, 1", "addi s4, t0, 2", "addi s5, t0, 3", "addi s6, t0, 4", "addi s7, t0, 5",
                "addi s8, t0, 6", "addi s9, t0, 7", "addi s10, t0, 8", "addi s11, t0, 9", "addi t3, t0, 10",
                "addi t4, t0, 11", "addi t5, t0, 12", "addi t6, t0, 13", "addi a1, t0, 14", "addi a2, t0, 15",
                "addi a3, t0, 16", "addi a4, t0, 17", "addi a5, t0, 18", "addi a6, t0, 19", "addi a7, t0, 20",
                "1: addi t1, t1, -1",
                "bnez t1, 1b",
                "add t2, s2, s3", "add t2, t2, s4", "add t2, t2, s5", "add t2, t2, s6", "add t2, t2, s7",
                "add t2, t2, s8", "add t2, t2, s9", "add t2, t2, s10", "add t2, t2, s11", "add t2, t2, t3",
                "add t2, t2, t4", "add t2, t2, t5", "add t2, t2, t6", "add t2, t2, a1", "add t2, t2, a2",
                "add t2, t2, a3", "add t2, t2, a4", "add t2, t2, a5", "add t2, t2, a6", "add t2, t2, a7",
                "li t1, 21",
                "mul t0, t0, t1",
                "sub t2, t2, t0",
                "addi t2, t2, -210", // 0 + 1 + … + 20
                inout("t0") seed => _, inout("t1") 2_000_000usize => _, out("t2") wrong,
                out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _, out("s8") _,
                out("s9") _, out("s10") _, out("s11") _, out("t3") _, out("t4") _, out("t5") _, out("t6") _,
                out("a1") _, out("a2") _, out("a3") _, out("a4") _, out("a5") _, out("a6") _, out("a7") _,
                options(nostack),
            );
        }
        wrong
    };
    let child = match call::fork() {
        Ok(Fork::Child) => call::exit(i64::from(check(0x5555_0000) != 0)),
        Ok(Fork::Parent(id)) => id,
        Err(error) => return Err(failure(format_args!("fork answered {error:?}"))),
    };
    let wrong = check(0x1234_5678_0000);
    let ended = call::wait().map_err(|error| failure(format_args!("wait answered {error:?}")))?;
    ensure!(wrong == 0, "registers changed while another process ran");
    ensure!(ended.id == child, "another child ended");
    ensure_status(ended, 0)
}

fn yields() -> Result<(), Failure> {
    let child = looping_child()?;
    for _ in 0..5 {
        call::yield_now();
    }
    ensure_answer!(call::kill(child), Ok(()));
    ensure!(call::wait().is_ok_and(|ended| ended.id == child), "another child ended");
    Ok(())
}

fn orphans() -> Result<(), Failure> {
    // More in all than there can be processes, so that those not cleared up would be missed.
    for _ in 0..20 {
        let ended = in_child(|| {
            for _ in 0..6 {
                if call::fork() == Ok(Fork::Child) {
                    for _ in 0..3 {
                        call::yield_now();
                    }
                    call::exit(0);
                }
            }
            0
        })?;
        ensure_status(ended, 0)?;
        for _ in 0..20 {
            call::yield_now();
        }
    }
    Ok(())
}

fn forks() -> Result<(), Failure> {
    let mut children = [0; 128];
    let mut count = 0;
    let error = loop {
        match call::fork() {
            Ok(Fork::Child) => loop {
                call::yield_now();
            },
            Ok(Fork::Parent(child)) => children[count] = child,
            Err(error) => break error,
        }
        count += 1;
        ensure!(count < children.len(), "there are more than {count} processes");
    };
    for &child in &children[..count] {
        ensure_answer!(call::kill(child), Ok(()));
    }
    for _ in 0..count {
        ensure!(call::wait().is_ok(), "a child is missing");
    }
    ensure!(error == Error::NoMemory, "the last fork answered {error:?}");
    ensure!(count > 8, "there was room for {count} processes only");
    Ok(())
}
