//! From the bytes of a serial line to its lines.

use std::borrow::Cow;

use abi::record::MARK;

/// The most bytes that are kept of one line. The longest record that a kernel prints, 64 operations, is a twentieth
/// of it; a longer line is cut, and says how much is missing.
pub const LINE_LIMIT: usize = 128 << 10;

/// What a line is, by what it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Console text.
    Text,
    /// It began with [`MARK`].
    Record,
}

/// One line, or the part of one from a record's mark or a lone carriage return on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line's number, from one, as an editor counts it: by line feeds. Parts of one line share it.
    pub number: u64,
    /// What it is.
    pub kind: Kind,
    /// The text, without mark, line end and terminal control sequences. Text has its control characters made visible
    /// ([`visible`]); a record has them still, since its reader must refuse them.
    pub text: String,
    /// Bytes that were cut off at [`LINE_LIMIT`].
    pub dropped: u64,
    /// False for a last line that has no line end.
    pub ended: bool,
}

/// Cuts bytes into lines, however they are cut into pieces themselves.
///
/// Line ends are `\n` and `\r\n`; a `\r` elsewhere begins a new part, since a terminal would write over what came
/// before it. A record's mark begins a new part wherever it stands. Terminal control sequences (ECMA-48) are left
/// out; of those that break off, the text of a control string is kept.
#[derive(Debug)]
pub struct Framer {
    number: u64,
    kind: Kind,
    kept: Vec<u8>,
    dropped: u64,
    /// Whether the part has begun: a part without text counts only when a line feed ends it.
    begun: bool,
    /// Whether a part of the current line was given already.
    given: bool,
    /// Whether a carriage return came last, which may belong to a line feed.
    returned: bool,
    sequence: Sequence,
}

/// How far into a terminal control sequence the bytes have come.
#[derive(Debug, Clone, Copy)]
enum Sequence {
    /// In none.
    None,
    /// After ESC, or after ESC and intermediate bytes.
    Escape { intermediate: bool },
    /// In a control sequence, after its introducer `ESC [`.
    Control,
    /// In a control string (OSC, DCS, APC, PM, SOS), whose text is kept until its terminator comes.
    String { kept: usize, dropped: u64, escaped: bool },
}

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// At the start of a transcript.
    pub fn new() -> Self {
        Self {
            number: 1,
            kind: Kind::Text,
            kept: Vec::new(),
            dropped: 0,
            begun: false,
            given: false,
            returned: false,
            sequence: Sequence::None,
        }
    }

    /// Takes the next bytes, and gives the lines that they complete.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(Line)) {
        let mut rest = bytes;
        while let [byte, after @ ..] = rest {
            // Nearly all bytes are plain text, which needs no look at each.
            let plain = if matches!(self.sequence, Sequence::None) && !self.returned { plain(rest) } else { 0 };
            if plain > 0 {
                self.keep(&rest[..plain]);
                rest = &rest[plain..];
            } else {
                self.byte(*byte, &mut line);
                rest = after;
            }
        }
    }

    /// The bytes of the line that has not ended, as far as they came, without mark and terminal control sequences.
    pub fn pending(&self) -> &[u8] {
        &self.kept
    }

    /// Gives the last line, if it has no line end.
    pub fn finish(mut self, mut line: impl FnMut(Line)) {
        if self.begun {
            self.end_part(false, &mut line);
        }
    }

    fn byte(&mut self, byte: u8, line: &mut impl FnMut(Line)) {
        if byte == b'\n' {
            // What follows the last part may have been a control sequence only.
            if self.begun || !self.given {
                self.end_part(true, line);
            }
            self.number += 1;
            self.given = false;
            self.returned = false;
            self.sequence = Sequence::None;
            return;
        }
        if byte == b'\r' {
            self.sequence = Sequence::None;
            self.returned = true;
            return;
        }
        if byte == MARK as u8 || (self.returned && self.begun) {
            // Only a part with something in it is worth a line of its own.
            if self.begun {
                self.end_part(true, line);
            }
            self.returned = false;
        }
        if byte == MARK as u8 {
            self.kind = Kind::Record;
            self.begun = true;
            return;
        }
        self.returned = false;
        self.within(byte);
    }

    /// A byte that neither begins nor ends a part.
    fn within(&mut self, byte: u8) {
        match self.sequence {
            Sequence::None if byte == ESCAPE => self.sequence = Sequence::Escape { intermediate: false },
            Sequence::None => self.keep(&[byte]),
            Sequence::Escape { intermediate } => match byte {
                ESCAPE => self.sequence = Sequence::Escape { intermediate: false },
                0x20..=0x2f => self.sequence = Sequence::Escape { intermediate: true },
                b'[' if !intermediate => self.sequence = Sequence::Control,
                b']' | b'P' | b'X' | b'^' | b'_' if !intermediate => {
                    self.sequence = Sequence::String { kept: self.kept.len(), dropped: self.dropped, escaped: false };
                }
                0x30..=0x7e => self.sequence = Sequence::None,
                _ => self.resume(byte),
            },
            Sequence::Control => match byte {
                ESCAPE => self.sequence = Sequence::Escape { intermediate: false },
                0x20..=0x3f => {}
                0x40..=0x7e => self.sequence = Sequence::None,
                _ => self.resume(byte),
            },
            Sequence::String { kept, dropped, escaped } => match byte {
                b'\\' | BELL if escaped || byte == BELL => {
                    self.kept.truncate(kept);
                    self.dropped = dropped;
                    self.sequence = Sequence::None;
                }
                _ if escaped => {
                    // Another sequence began: this string broke off, and its text stays.
                    self.sequence = Sequence::Escape { intermediate: false };
                    self.within(byte);
                }
                ESCAPE => self.sequence = Sequence::String { kept, dropped, escaped: true },
                _ => self.keep(&[byte]),
            },
        }
    }

    /// The sequence broke off, and the byte is none of it.
    fn resume(&mut self, byte: u8) {
        self.sequence = Sequence::None;
        self.keep(&[byte]);
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.begun = true;
        let (kept, dropped) = bytes.split_at(bytes.len().min(LINE_LIMIT - self.kept.len()));
        self.kept.extend_from_slice(kept);
        self.dropped += dropped.len() as u64;
    }

    fn end_part(&mut self, ended: bool, line: &mut impl FnMut(Line)) {
        let text = String::from_utf8_lossy(&self.kept);
        let text = match self.kind {
            Kind::Text => visible(&text).into_owned(),
            Kind::Record => text.into_owned(),
        };
        line(Line { number: self.number, kind: self.kind, text, dropped: self.dropped, ended });
        self.kind = Kind::Text;
        self.kept.clear();
        self.dropped = 0;
        self.begun = false;
        self.given = true;
        self.returned = false;
        self.sequence = Sequence::None;
    }
}

/// How many bytes there are before the first that could end a line, begin a record or begin a sequence.
fn plain(bytes: &[u8]) -> usize {
    let special = |&byte: &u8| matches!(byte, b'\n' | b'\r' | ESCAPE) || byte == MARK as u8;
    bytes.iter().position(special).unwrap_or(bytes.len())
}

/// The lines of a whole transcript.
pub fn lines(bytes: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut framer = Framer::new();
    framer.push(bytes, |line| lines.push(line));
    framer.finish(|line| lines.push(line));
    lines
}

/// Text in which every character that a terminal or an editor would act on, rather than show, has become one that
/// it shows: C0 controls and DEL their pictures (U+2400 on), C1 controls and those that turn the direction of
/// writing round U+FFFD. Tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let acts = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .map(|c| match c {
            '\u{7f}' => '\u{2421}',
            '\0'..='\u{1f}' if c != '\t' => char::from_u32(0x2400 + c as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
            c if acts(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests;
