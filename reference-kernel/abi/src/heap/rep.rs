//! Allocation traces as files, in the format of the malloc lab of Bryant and O'Hallaron.
//!
//! Numbers and requests, one a line: the suggested size of the heap (which nothing depends on), how many blocks are
//! numbered, how many requests there are, the trace's weight; then `a ID SIZE`, `r ID SIZE` and `f ID`.

use core::fmt;

use super::Request;

/// The most blocks that a trace can number.
pub const MOST_IDS: u32 = 65536;

/// What the four numbers at the beginning say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How many blocks are numbered, from zero.
    pub ids: u32,
    /// How many requests there are.
    pub operations: u64,
}

/// A line that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLine<'a> {
    /// Its number, from one.
    pub line: usize,
    /// What stands there; nothing at the end of the file.
    pub text: &'a str,
    /// What was expected.
    pub expected: Expected,
}

/// What was expected where a line makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// One of the four numbers.
    Number(&'static str),
    /// A request.
    Request,
    /// A block below so many.
    Block(u32),
    /// Another line, of so many.
    More(u64),
    /// The end of the file, after so many requests.
    End(u64),
}

impl fmt::Display for BadLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match self.expected {
            Expected::Number(what) => write!(f, "expected {what}, a number")?,
            Expected::Request => f.write_str("expected `a ID SIZE`, `r ID SIZE` or `f ID`")?,
            Expected::Block(ids) => write!(f, "expected a block from 0 to {}, as line 2 says", ids.saturating_sub(1))?,
            Expected::More(due) => write!(f, "expected more requests: line 3 says that there are {due}")?,
            Expected::End(due) => write!(f, "expected the end of the file: line 3 says that there are {due} requests")?,
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, ", and not {:?}", self.text) }
    }
}

/// A trace, read as far as the numbers at its beginning; its requests come one by one.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    lines: core::iter::Enumerate<core::str::Lines<'a>>,
    last: usize,
    /// The numbers at the beginning.
    pub header: Header,
    made: u64,
}

impl<'a> Reader<'a> {
    /// Reads the numbers at the beginning.
    ///
    /// # Errors
    /// The first line that makes no sense.
    pub fn new(text: &'a str) -> Result<Self, BadLine<'a>> {
        let header = Header { ids: 0, operations: 0 };
        let mut reader = Self { lines: text.lines().enumerate(), last: 0, header, made: 0 };
        reader.number("the suggested size of the heap", u64::MAX)?;
        reader.header.ids = reader.number("how many blocks there are, at most 65536", u64::from(MOST_IDS))? as u32;
        reader.header.operations = reader.number("how many requests there are", u64::MAX)?;
        reader.number("the weight", u64::MAX)?;
        Ok(reader)
    }

    fn next_line(&mut self) -> Option<(usize, &'a str)> {
        let (index, line) = self.lines.by_ref().find(|(_, line)| !line.trim().is_empty())?;
        self.last = index + 1;
        Some((index + 1, line.trim()))
    }

    fn number(&mut self, what: &'static str, most: u64) -> Result<u64, BadLine<'a>> {
        let (line, text) = self.next_line().unwrap_or((self.last + 1, ""));
        let number = text.parse().ok().filter(|&number| number <= most);
        number.ok_or(BadLine { line, text, expected: Expected::Number(what) })
    }

    /// The next request; none at the end.
    ///
    /// # Errors
    /// The first line that makes no sense.
    pub fn next_request(&mut self) -> Result<Option<Request>, BadLine<'a>> {
        let due = self.header.operations;
        let Some((line, text)) = self.next_line() else {
            let bad = BadLine { line: self.last + 1, text: "", expected: Expected::More(due) };
            return if self.made == due { Ok(None) } else { Err(bad) };
        };
        if self.made == due {
            return Err(BadLine { line, text, expected: Expected::End(due) });
        }
        self.made += 1;
        let bad = |expected| BadLine { line, text, expected };
        let mut words = text.split_ascii_whitespace();
        let letter = words.next();
        let id: u32 = words.next().and_then(|word| word.parse().ok()).ok_or(bad(Expected::Request))?;
        let mut size = || words.next().and_then(|word| word.parse().ok()).ok_or(bad(Expected::Request));
        let request = match letter {
            Some("a") => Request::Allocate { id, size: size()? },
            Some("r") => Request::Reallocate { id, size: size()? },
            Some("f") => Request::Free { id },
            _ => return Err(bad(Expected::Request)),
        };
        if words.next().is_some() {
            return Err(bad(Expected::Request));
        }
        if id >= self.header.ids { Err(bad(Expected::Block(self.header.ids))) } else { Ok(Some(request)) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    fn read(text: &str) -> Result<Vec<Request>, BadLine<'_>> {
        let mut reader = Reader::new(text)?;
        let mut requests = Vec::new();
        while let Some(request) = reader.next_request()? {
            requests.push(request);
        }
        Ok(requests)
    }

    #[test]
    fn a_trace_is_read_as_the_malloc_lab_writes_it() {
        let requests = read("20000\n2\n4\n1\na 0 512\na 1 128\nr 0 640\nf 1\n").unwrap();
        let expected = [
            Request::Allocate { id: 0, size: 512 },
            Request::Allocate { id: 1, size: 128 },
            Request::Reallocate { id: 0, size: 640 },
            Request::Free { id: 1 },
        ];
        assert_eq!(requests, expected);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named_with_what_was_expected() {
        for (text, complaint) in [
            ("", "line 1: expected the suggested size of the heap, a number"),
            ("1\nx\n", "line 2: expected how many blocks there are, at most 65536, a number, and not \"x\""),
            ("1\n1\n1\n1\nb 0 1\n", "line 5: expected `a ID SIZE`, `r ID SIZE` or `f ID`, and not \"b 0 1\""),
            ("1\n1\n1\n1\na 0\n", "line 5: expected `a ID SIZE`, `r ID SIZE` or `f ID`, and not \"a 0\""),
            ("1\n1\n1\n1\na 1 8\n", "line 5: expected a block from 0 to 0, as line 2 says, and not \"a 1 8\""),
            ("1\n1\n2\n1\na 0 8\n", "line 6: expected more requests: line 3 says that there are 2"),
            (
                "1\n1\n1\n1\na 0 8\n\nf 0\n",
                "line 7: expected the end of the file: line 3 says that there are 1 requests, and not \"f 0\"",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), complaint);
        }
    }
}
