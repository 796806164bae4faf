//! The first program: runs every line of the script in turn, and reports how it ended.
//!
//! The machine is then shut down with status 0, or with 1 if a program was killed, failed or could not be run.

#![no_std]
#![no_main]

use abi::record::Escaped;
use ulib::{
    Arguments,
    call::{self, Ended, Fork},
    println, record,
};

ulib::program!(main);

/// The longest script.
const SCRIPT: usize = 8192;

/// The most words on a line.
const WORDS: usize = 32;

fn main(_: Arguments) -> i64 {
    let mut room = [0; SCRIPT];
    let length = call::read(3, &mut room).unwrap_or_else(|error| {
        println!("init: there is no script in the initrd: {error:?}");
        call::shutdown(1)
    });
    if length == SCRIPT {
        println!("init: the script is longer than {SCRIPT} bytes");
        call::shutdown(1);
    }
    let script = str::from_utf8(&room[..length]).unwrap_or_else(|error| {
        println!("init: the script is no UTF-8: {error}");
        call::shutdown(1)
    });
    let mut good = true;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        good &= run(line);
    }
    call::shutdown(i64::from(!good))
}

/// Runs one line; answers whether the program ended well.
fn run(line: &str) -> bool {
    let before = call::free_pages();
    let at = call::uptime();
    record!("\"r\":\"start\",\"program\":\"{}\",\"at\":{at},\"free_pages\":{before}", Escaped(line));
    let ended = match call::fork() {
        Ok(Fork::Child) => become_program(line),
        Ok(Fork::Parent(child)) => wait_for(child),
        Err(error) => {
            println!("init: {line} cannot be started: {error:?}");
            record!(
                "\"r\":\"end\",\"program\":\"{}\",\"status\":{CANNOT_RUN},\"at\":{at},\"free_pages\":{before}",
                Escaped(line)
            );
            return false;
        }
    };
    let (after, at) = (call::free_pages(), call::uptime());
    match ended.killed() {
        Some(why) => record!(
            "\"r\":\"end\",\"program\":\"{}\",\"killed\":\"{}\",\"at\":{at},\"free_pages\":{after}",
            Escaped(line),
            Escaped(why)
        ),
        None => record!(
            "\"r\":\"end\",\"program\":\"{}\",\"status\":{},\"at\":{at},\"free_pages\":{after}",
            Escaped(line),
            ended.status
        ),
    }
    let good = ended.killed().is_none() && ended.status == 0;
    if !good {
        println!("init: {line} {ended}");
    }
    if after < before {
        println!("init: {line} leaked {} pages", before - after);
    } else if after > before {
        println!("init: {line} left {} more pages free than it found", after - before);
    }
    good
}

/// The status of a process whose program could not be run, as a shell's.
const CANNOT_RUN: i64 = 127;

fn become_program(line: &str) -> ! {
    let mut words = [""; WORDS];
    let mut count = 0;
    for word in line.split_whitespace() {
        let Some(room) = words.get_mut(count) else {
            println!("init: {line} has more than {WORDS} words");
            call::exit(CANNOT_RUN);
        };
        *room = word;
        count += 1;
    }
    let mut path = ulib::print::Text::<64>::new();
    let error = match core::fmt::Write::write_fmt(&mut path, format_args!("bin/{}", words[0])) {
        Ok(()) => call::exec(path.as_str(), &words[..count]),
        Err(_) => abi::syscall::Error::NotFound,
    };
    println!("init: {} cannot be run: {error:?}", words[0]);
    call::exit(CANNOT_RUN)
}

/// Waits for that child, and for orphans that have ended meanwhile.
fn wait_for(child: u64) -> Ended {
    loop {
        let ended = call::wait().expect("the child is there");
        if ended.id == child {
            return ended;
        }
    }
}
