//! Printing whole lines and records.

use core::fmt::{self, Write};

use crate::call;

/// Text that is put together before it is passed on, since the kernel keeps only what comes at once together.
#[derive(Debug)]
pub struct Text<const ROOM: usize> {
    bytes: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> Text<ROOM> {
    /// No text yet.
    pub const fn new() -> Self {
        Self { bytes: [0; ROOM], length: 0 }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or("?")
    }

    /// Forgets the text.
    pub fn clear(&mut self) {
        self.length = 0;
    }
}

impl<const ROOM: usize> Default for Text<ROOM> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const ROOM: usize> Write for Text<ROOM> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

/// Bytes of a line that come out in one piece; a longer one comes in several.
const LINE: usize = 1024;

struct Line(Text<LINE>);

impl Line {
    fn flush(&mut self) {
        let mut rest = self.0.as_str().as_bytes();
        while !rest.is_empty() {
            let Ok(written) = call::write(1, rest) else { break };
            rest = &rest[written..];
        }
        self.0.clear();
    }
}

impl Write for Line {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while self.0.write_str(text).is_err() {
            self.flush();
            let (piece, rest) = text.split_at(text.floor_char_boundary(LINE));
            self.0.write_str(piece)?;
            text = rest;
        }
        Ok(())
    }
}

/// Prints a line; used by [`println!`](crate::println).
pub fn line(arguments: fmt::Arguments<'_>) {
    let mut line = Line(Text::new());
    // The console takes everything; an error would be one of a `Display`.
    let _ = line.write_fmt(arguments);
    let _ = line.write_str("\n");
    line.flush();
}

/// Prints a line on the console, in one piece.
#[macro_export]
macro_rules! println {
    ($($arguments:tt)*) => { $crate::print::line(format_args!($($arguments)*)) };
}

/// Prints a record; used by [`record!`](crate::record).
///
/// # Panics
/// When it is too long.
pub fn record(arguments: fmt::Arguments<'_>) {
    let mut text = Text::<2048>::new();
    text.write_fmt(arguments).expect("a record of a program has up to 2048 bytes");
    call::record(text.as_str());
}

/// Prints a record, given the fields after its running number.
#[macro_export]
macro_rules! record {
    ($($arguments:tt)*) => { $crate::print::record(format_args!($($arguments)*)) };
}
