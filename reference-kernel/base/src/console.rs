//! The console: whole lines and whole records on the serial line, whoever writes them.

use core::fmt::{self, Write};

use abi::record::{Escaped, MARK};

use crate::{
    hart,
    spin::{SpinGuard, SpinLock},
    timer,
    uart::Uart,
};

/// The console's state, behind its lock.
#[derive(Debug)]
pub struct Console {
    uart: Uart,
    /// The process that wrote the line that has no end yet.
    unfinished: Option<u64>,
    /// Records printed so far.
    records: u64,
}

static CONSOLE: SpinLock<Console> =
    SpinLock::new("console", Console { uart: Uart::new(), unfinished: None, records: 0 });

/// How long the last words of the kernel wait for another hart to finish its line: a thousand naps of a microsecond,
/// which is more than the longest record takes.
const NAPS: usize = 1000;
const NAP: u64 = 1000;

/// The console, for as long as the guard is kept.
pub fn lock() -> SpinGuard<'static, Console> {
    CONSOLE.lock()
}

/// Sets the serial line up.
pub fn set_up() {
    lock().uart.set_up();
}

/// Waits a while for whoever holds the console to finish its line, unless that is this hart itself.
pub fn let_others_finish() {
    for _ in 0..NAPS {
        if !CONSOLE.is_held() || CONSOLE.is_held_by(hart::this().id()) {
            break;
        }
        timer::nap(NAP);
    }
}

/// The console, whoever holds it.
///
/// # Safety
/// The machine is about to stop, and no other hart runs any more.
pub unsafe fn seize() -> &'static mut Console {
    // SAFETY: every field of the console is plain data; the worst is a line cut short, or a number used twice.
    unsafe { CONSOLE.seize() }
}

impl Console {
    /// Writes some of a process's text, on a line of its own if another one's is unfinished.
    pub fn text(&mut self, writer: u64, text: &[u8]) {
        let Some(&last) = text.last() else { return };
        if self.unfinished.is_some_and(|other| other != writer) {
            self.uart.send(b"\n");
        }
        self.uart.send(text);
        self.unfinished = (last != b'\n').then_some(writer);
    }

    /// Writes a whole line of the kernel's.
    pub fn line(&mut self, line: fmt::Arguments<'_>) {
        self.start_line();
        // The console takes everything; an error would be one of a `Display`.
        let _ = self.write_fmt(line);
        self.uart.send(b"\n");
    }

    /// Writes a record, whose fields after the running number `fields` writes.
    pub fn record(&mut self, fields: impl FnOnce(&mut Self) -> fmt::Result) {
        self.start_line();
        let number = self.records;
        self.records += 1;
        abi::grader_mark!(abi::mark::RECORD);
        let _ = write!(self, "{MARK}{{\"n\":{number},");
        let _ = fields(self);
        self.uart.send(b"}\n");
    }

    /// Sends bytes that belong to a record.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.uart.send(bytes);
    }

    fn start_line(&mut self) {
        if self.unfinished.take().is_some() {
            self.uart.send(b"\n");
        }
    }
}

/// Writing text without regard to lines, for the inside of [`Console::line`] and [`Console::record`].
impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.uart.send(text.as_bytes());
        Ok(())
    }
}

/// Writes a whole line of the kernel's.
pub fn line(line: fmt::Arguments<'_>) {
    lock().line(line);
}

/// What something displays, as the inside of a JSON string.
#[derive(Debug)]
pub struct Quoted<T>(pub T);

impl<T: fmt::Display> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl Write for Escaping<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                write!(self.0, "{}", Escaped(text))
            }
        }
        write!(Escaping(f), "{}", self.0)
    }
}
