//! System calls, as `abi::syscall` describes them.

use alloc::vec::Vec;
use core::fmt::{self, Write};

use abi::{
    object::SlabError,
    page::PageError,
    syscall::{Error, Syscall},
};

use crate::{
    address_space::{AddressSpace, BadAddress, HeapError, Locked},
    console,
    exec::{self, ARGUMENT_BYTES, MOST_ARGUMENTS},
    initrd, memory, power,
    process::{Process, without_interrupts},
    scheduler::{self, Ending},
    timer,
    trampoline::register,
};

/// The most bytes that one `write` takes; a shorter line is never torn.
const MOST_WRITTEN: usize = 4096;

/// The longest path of a program.
const PATH: usize = 64;

/// What a page call answers when it fails: the code of a [`PageError`] or [`SlabError`], or of an [`Error`] where none
/// fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u8);

impl From<PageError> for Code {
    fn from(error: PageError) -> Self {
        Self(error as u8)
    }
}

impl From<SlabError> for Code {
    fn from(error: SlabError) -> Self {
        Self(error as u8)
    }
}

impl From<Error> for Code {
    fn from(error: Error) -> Self {
        Self(error as u8)
    }
}

impl From<BadAddress> for Error {
    fn from(_: BadAddress) -> Self {
        Self::BadAddress
    }
}

/// Serves the system call that the program's registers ask for; answers how the process ends, if that was it.
pub fn serve(process: &mut Process) -> Option<Ending> {
    let registers = &process.space.frame().registers;
    let arguments = [0, 1, 2, 3].map(|number| registers[register::A0 + number]);
    let result = match Syscall::from_number(registers[register::A7]) {
        Some(Syscall::Exit) => return Some(Ending::Exited(arguments[0] as i64)),
        Some(Syscall::ThreadExit) if process.id() == process.group() => {
            return Some(Ending::Exited(arguments[0] as i64));
        }
        Some(Syscall::ThreadExit) => return Some(Ending::ThreadExited(arguments[0])),
        Some(call) => call_of(process, call, arguments),
        None => Err(Code::from(Error::NoSuchCall)),
    };
    let answer = result.unwrap_or_else(|Code(code)| usize::from(code).wrapping_neg());
    process.space.frame().registers[register::A0] = answer;
    None
}

fn call_of(process: &mut Process, call: Syscall, [a, b, c, d]: [usize; 4]) -> Result<usize, Code> {
    Ok(match call {
        Syscall::Fork => process.fork()? as usize,
        Syscall::Exit | Syscall::ThreadExit => unreachable!("{call:?} is no call that answers"),
        Syscall::Wait => wait(process, a, b, c)?,
        Syscall::Kill => scheduler::kill(a as u64).map(|()| 0)?,
        Syscall::Exec => return Ok(exec(process, a, b, c, d)?),
        Syscall::GetPid => process.group() as usize,
        Syscall::Sbrk => process.space.lock().move_heap_end(a as isize).map_err(|error| match error {
            HeapError::OutOfPages => Error::NoMemory,
            HeapError::Invalid => Error::Invalid,
        })?,
        Syscall::Yield => {
            without_interrupts(scheduler::give_way);
            0
        }
        Syscall::Read => read(process, a, b, c)?,
        Syscall::Write => write(process, a, b, c)?,
        Syscall::Uptime => timer::now() as usize,
        Syscall::Shutdown => power::shut_down(a as i64),
        Syscall::ReadFile => read_file(process, a, b, c, d)?,
        Syscall::ThreadCreate => process.begin_thread(a, [b, c])? as usize,
        Syscall::ThreadJoin => scheduler::join(a as u64)?,
        Syscall::FutexWait => futex_wait(process, a, b as u32)?,
        Syscall::FutexWake => scheduler::futex_wake((process.space.identity(), a), b),
        Syscall::Record => record(process, a, b)?,
        Syscall::MoveTo => scheduler::move_to(a).map(|()| 0)?,
        _ => return memory::the().serve(process, call, [a, b, c, d]),
    })
}

/// Sleeps until somebody wakes those who wait at an address, unless the word there is not what was expected.
fn futex_wait(process: &Process, address: usize, expected: u32) -> Result<usize, Error> {
    if !address.is_multiple_of(size_of::<u32>()) {
        return Err(Error::Invalid);
    }
    // Whoever changes the word wakes after that; so whoever looks at it must be known to wait before that.
    scheduler::futex_prepare((process.space.identity(), address));
    let mut word = [0; size_of::<u32>()];
    let read = process.space.copy_in(address, &mut word);
    if read.is_err() || u32::from_le_bytes(word) != expected {
        scheduler::futex_give_up();
        read?;
    } else {
        scheduler::futex_sleep();
    }
    Ok(0)
}

fn wait(process: &mut Process, status: usize, why: usize, length: usize) -> Result<usize, Error> {
    // Found out before a child is gone that nobody could ask for again.
    for (address, length) in [(status, if status == 0 { 0 } else { size_of::<i64>() }), (why, length)] {
        process.space.check_writable(address, length)?;
    }
    let (id, ending) = scheduler::wait()?;
    let (value, text) = match ending {
        Ending::Exited(value) => (value, Text::default()),
        Ending::ThreadExited(_) => unreachable!("a thread is nobody's child"),
        Ending::Killed(reason) => (-1, Text::of(format_args!("{reason}"))),
    };
    if status != 0 {
        process.space.copy_out(status, &value.to_le_bytes())?;
    }
    process.space.copy_out(why, &text.bytes[..length.min(text.bytes.len())])?;
    Ok(id as usize)
}

/// Replaces the program; what it was is given back once the new one is complete.
fn exec(process: &mut Process, path: usize, path_length: usize, argv: usize, argc: usize) -> Result<usize, Error> {
    let mut path_bytes = [0; PATH];
    let path = copy_path(process, path, path_length, &mut path_bytes)?;
    if argc > MOST_ARGUMENTS {
        return Err(Error::Invalid);
    }
    let mut arguments = Vec::new();
    arguments.try_reserve_exact(argc).map_err(|_| Error::NoMemory)?;
    let mut left = ARGUMENT_BYTES;
    for index in 0..argc {
        let pair = argv.checked_add(16 * index).ok_or(Error::BadAddress)?;
        let (start, length) = (load(&process.space, pair)?, load(&process.space, pair + 8)?);
        left = left.checked_sub(length).ok_or(Error::Invalid)?;
        let mut argument = Vec::new();
        argument.try_reserve_exact(length).map_err(|_| Error::NoMemory)?;
        argument.resize(length, 0);
        process.space.copy_in(start, &mut argument)?;
        arguments.push(argument);
    }
    // Else the others would be left with a process that is another program.
    if !process.space.is_alone() {
        return Err(Error::Invalid);
    }
    let (name, space) = exec::load(path, &arguments)?;
    process.name = name;
    process.space = space;
    // What the program finds in `a0` is not the answer of a call, but its first argument.
    Ok(argc)
}

fn copy_path<'a>(process: &Process, path: usize, length: usize, into: &'a mut [u8; PATH]) -> Result<&'a str, Error> {
    let into = into.get_mut(..length).ok_or(Error::NotFound)?;
    process.space.copy_in(path, into)?;
    str::from_utf8(into).map_err(|_| Error::NotFound)
}

fn read_file(
    process: &mut Process,
    path: usize,
    path_length: usize,
    buffer: usize,
    length: usize,
) -> Result<usize, Error> {
    let mut path_bytes = [0; PATH];
    let path = copy_path(process, path, path_length, &mut path_bytes)?;
    let file = initrd::file(path).ok_or(Error::NotFound)?;
    process.space.check_writable(buffer, length)?;
    process.space.copy_out(buffer, &file[..length.min(file.len())])?;
    Ok(file.len())
}

fn load(space: &AddressSpace, address: usize) -> Result<usize, Error> {
    let mut bytes = [0; size_of::<usize>()];
    space.copy_in(address, &mut bytes)?;
    Ok(usize::from_le_bytes(bytes))
}

fn read(process: &mut Process, descriptor: usize, buffer: usize, length: usize) -> Result<usize, Error> {
    match descriptor {
        0 => Ok(0),
        3 => {
            let script = initrd::file("script").ok_or(Error::NotFound)?;
            let rest = &script[process.script_read..];
            let rest = &rest[..length.min(rest.len())];
            process.space.check_writable(buffer, length)?;
            process.space.copy_out(buffer, rest)?;
            process.script_read += rest.len();
            Ok(rest.len())
        }
        _ => Err(Error::Invalid),
    }
}

fn write(process: &mut Process, descriptor: usize, buffer: usize, length: usize) -> Result<usize, Error> {
    if !matches!(descriptor, 1 | 2) {
        return Err(Error::Invalid);
    }
    let length = length.min(MOST_WRITTEN);
    // Locked before the console: with that lock held nobody can wait for this one.
    let memory = process.space.lock();
    memory.check_readable(buffer, length)?;
    let mut console = console::lock();
    let writer = process.id();
    in_pieces(&memory, buffer, length, |piece| console.text(writer, piece))?;
    Ok(length)
}

fn record(process: &mut Process, body: usize, length: usize) -> Result<usize, Error> {
    let memory = process.space.lock();
    memory.check_readable(body, length)?;
    console::lock().record(|out| {
        in_pieces(&memory, body, length, |piece| {
            // A control character would end the record, or begin another.
            piece.iter_mut().filter(|byte| **byte < b' ').for_each(|byte| *byte = b'?');
            out.raw(piece);
        })
        .map_err(|_| fmt::Error)
    });
    Ok(0)
}

/// Copies a range that was checked out of a program's memory, piece by piece.
fn in_pieces(
    memory: &Locked<'_>,
    start: usize,
    length: usize,
    mut each: impl FnMut(&mut [u8]),
) -> Result<(), BadAddress> {
    let mut piece = [0; 256];
    let mut done = 0;
    while done < length {
        let piece = &mut piece[..(length - done).min(256)];
        memory.copy_in(start + done, piece)?;
        each(piece);
        done += piece.len();
    }
    Ok(())
}

/// A short text, cut where it is too long, with zero bytes after it.
#[derive(Debug)]
struct Text {
    bytes: [u8; 128],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 128], length: 0 }
    }
}

impl Text {
    fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Self::default();
        let _ = text.write_fmt(arguments);
        text
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let taken = part.floor_char_boundary(room.len());
        room[..taken].copy_from_slice(&part.as_bytes()[..taken]);
        self.length += taken;
        Ok(())
    }
}
