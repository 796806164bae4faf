//! Tests of the kernel from a program's point of view: `usertests [NAME…]`, all of them if none is named.

#![no_std]
#![no_main]

mod calls;
mod faults;
mod memory;
mod processes;
mod threads;

use core::fmt::{self, Write};

use ulib::{
    Arguments,
    call::{self, Ended, Fork},
    ktap::Report,
    print::Text,
    println,
};

ulib::program!(main);

/// Why a test failed.
type Failure = Text<112>;

type Test = (&'static str, fn() -> Result<(), Failure>);

fn failure(why: fmt::Arguments<'_>) -> Failure {
    let mut text = Text::new();
    // What is too long is cut.
    let _ = text.write_fmt(why);
    text
}

/// Fails the test with a sentence unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)*) => {
        if !$condition {
            return Err($crate::failure(format_args!($($why)*)));
        }
    };
}

/// Fails the test unless a call answered what it should.
macro_rules! ensure_answer {
    ($call:expr, $expected:expr) => {{
        let (answer, expected) = ($call, $expected);
        ensure!(answer == expected, "{} answered {answer:?}, and not {expected:?}", stringify!($call));
    }};
}

pub(crate) use {ensure, ensure_answer};

fn main(arguments: Arguments) -> i64 {
    if arguments.iter().nth(1) == Some(processes::ECHO) {
        return processes::echo(arguments);
    }
    let chosen = |name: &str| arguments.iter().count() < 2 || arguments.iter().skip(1).any(|argument| argument == name);
    let all = || [calls::TESTS, processes::TESTS, threads::TESTS, memory::TESTS, faults::TESTS].into_iter().flatten();
    let planned = all().filter(|(name, _)| chosen(name)).count();
    let mut report = Report::begin(planned);
    for (name, test) in all().filter(|(name, _)| chosen(name)) {
        let before = call::free_pages();
        let result = test().and_then(|()| all_pages_come_back(before));
        report.result(name, result.as_ref().copied().map_err(|why| why.as_str()));
    }
    if planned == 0 {
        println!("usertests: there is no test of that name");
        return 2;
    }
    report.status()
}

/// Waits a while for processes that nobody waits for to be gone, since `init` clears up after them in its own time.
fn all_pages_come_back(before: usize) -> Result<(), Failure> {
    const PATIENCE: u64 = 2_000_000_000;
    let start = call::uptime();
    loop {
        let after = call::free_pages();
        if after == before {
            return Ok(());
        }
        ensure!(call::uptime() - start < PATIENCE, "there were {before} free pages before, and {after} after");
        call::yield_now();
    }
}

/// Runs something in a child process; answers how that ended.
fn in_child(child: impl FnOnce() -> i64) -> Result<Ended, Failure> {
    match call::fork() {
        Ok(Fork::Child) => call::exit(child()),
        Ok(Fork::Parent(id)) => {
            let ended = call::wait();
            match ended {
                Ok(ended) if ended.id == id => Ok(ended),
                Ok(ended) => Err(failure(format_args!("wait answered child {}, and not {id}", ended.id))),
                Err(error) => Err(failure(format_args!("wait answered {error:?}"))),
            }
        }
        Err(error) => Err(failure(format_args!("fork answered {error:?}"))),
    }
}

/// Fails the test unless a child exited with that status.
fn ensure_status(ended: Ended, status: i64) -> Result<(), Failure> {
    ensure!(ended.killed().is_none() && ended.status == status, "the child {ended}, and not with status {status}");
    Ok(())
}
