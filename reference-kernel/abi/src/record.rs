//! The machine-readable lines of the serial line.
//!
//! A record is one line: U+001E, then one JSON object, as in RFC 7464 (JSON text sequences). Its first
//! field `n` counts the records of a boot from zero, so that a lost, cut or interleaved record is noticed;
//! its second field `r` says what it is. Unknown fields are ignored by readers, unknown kinds kept.
//!
//! | `r` | other fields | printed |
//! | --- | --- | --- |
//! | `boot` | `format`, `kernel`, `harts`, `memory_pages`, `pages` (`trusted`, `lab` or `stack`) | first |
//! | `pool` | `pool`, `allocator`, `max_order`, `origin` (byte address from which blocks are aligned to their size; zero if it is not said), `regions`: `[[start, pages, managed start, managed pages], …]` (starts are byte addresses) | once, for the one pool that is traced: the arena where there is one, else the kernel's own |
//! | `start` | `program`: the script line, `at` (nanoseconds since the machine started), `free_pages` | by `init`, before each program |
//! | `ops` | `from`: number of the first operation, `ops`: see below | as traces are drained |
//! | `objects` | `hart`, `from`: number of its first event, `events`: see [`crate::object`] | as traces are drained |
//! | `heap` | `part` (of the workload), `client`, `from`: number of the client's first request among these, `start` of the heap and its `end` before these (byte addresses), `ops`: see below | by `umalloctest`, as it goes |
//! | `lists` | `hart`, `from`: number of the first operation among those of the hart, `ops`: see below | as traces are drained, for page lists that all harts share |
//! | `buffers` | `client`, `from`: number of the client's first operation among these, `ops`: see below | by drivers of a buffer cache, when the workload is complete |
//! | `spaces` | `from`: number of the first operation among these, `ops`: see below | by drivers of processes, as it goes |
//! | `lock` | `of` (`kernel`, `lists` or `buffers`), `name`, `harts`: `[[acquisitions, contended, instructions held], …]` | before `shutdown`, by kernels that count |
//! | `metric` | `name`, `value`, `unit` | by kernels that trace nothing |
//! | `done` | `client`, `operations` | by a test program's process when its workload is complete |
//! | `end` | `program`, `status` (or `killed`: why), `at`, `free_pages` | by `init`, after each program |
//! | `shutdown` | `status` | last, when the machine is powered off in order |
//! | `panic` | `hart`, `file`, `line`, `message`, `backtrace`: `["0x…", …]` | last, when the kernel gives up |
//! | `deadline` | `after` (nanoseconds), `harts`: `[{"hart", "pc", "backtrace"}, …]` | last, when the guest's time is up |
//! | `lost` | `operations` | when the kernel's trace buffer overflowed |
//!
//! One operation is an array that begins with a letter:
//!
//! - `["a", client, hart, instructions, pages, address]`, or the word of a
//!   [`PageError`](crate::page::PageError) in place of the address;
//! - `["f", client, hart, instructions, pages, address, "ok"]`, or the word of an error in place of `"ok"`;
//! - `["s", client, hart, instructions, free pages, managed pages, [free blocks of order 0, of order 1, …]]`.
//!
//! One event is an array: the letter of a [`Kind`](crate::object::Kind), then `client, cache, error, flags, locks,
//! instructions, begin, end, a, b`, all numbers, as [`Event`](crate::object::Event) has them.
//!
//! One request to a heap, likewise ([`crate::heap::record`]). The heap's end follows where it is another than after the
//! request before; the end and two stamps where several threads make requests:
//!
//! - `["a", block, size, address, instructions]`, and `"r"` for a reallocation;
//! - `["l", block, size, alignment, address, instructions]`;
//! - `["f", block, instructions]`;
//! - `["t", pages that the kernel got back, instructions]`;
//! - `["c", size, count, 1 if there is a pool now, instructions]`, `["k", block, address, instructions]`,
//!   `["g", block, instructions]` and `["d", instructions]` for pools.
//!
//! Those of a `lists` record have no order but their stamps, which come from one counter for all harts:
//!
//! - `["a", client, instructions, begin, end, address]`, with zero for the address when there was no page;
//! - `["f", client, instructions, begin, end, address]`;
//! - `["c", client, instructions, begin, end, free pages]`;
//!
//! and one element more where it is known which locks of the lists the operation took: the sum of 2ⁿ for those whose
//! `lock` record is the nth of the lists' ones, from zero. Those from the 64th on are left out.
//!
//! Those of a `buffers` record, likewise: `["r", begin, end, block, buffer, content]` when a buffer was got, with its
//! byte address and the word that the block holds at both ends (zero if they differ); `"w"` when a word was written
//! there, `"x"` when it was released, `"p"` and `"u"` when it was pinned and unpinned.
//!
//! Those of a `spaces` record are in order, each `[letter, process, place, value, answer, frame]`, with zero for what
//! it does not have. A place is a number ([`Place`](crate::space_workload::Place)); an answer is 0 (done), 1 (refused)
//! or 2 (died); a frame is the physical address where the place is now, with 1 added if the process may write there,
//! or, when the order was not carried out, the number of free pages, counted up to 64. `"f"` is a fork, with the child
//! in place of the place, and `"m"` tells where a page of the child is; `"s"` is a store, `"r"` what the kernel copied
//! there, `"l"` a look; `"x"` an exit and `"w"` a wait. The driver's own:
//! `"c"`, the value being the free pages; `"t"` when it took all pages but so many, and `"g"` when it gave them back.
//!
//! Which phase of a workload an operation belongs to is not said: the host draws the workload again and knows.

use core::fmt::{self, Write};

use crate::page::{Kind, Operation, PageError};

/// The version of this format.
pub const FORMAT: u32 = 1;

/// What a record's line begins with.
pub const MARK: char = '\u{1e}';

/// The most operations that go into one `ops` record, so that a line stays readable in an editor.
pub const OPERATIONS_PER_RECORD: usize = 64;

/// Text as the inside of a JSON string.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                c if (c as u32) < 0x20 => write!(f, "\\u{:04x}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Writes the fields of an `ops` record.
///
/// A [`Kind::Statistics`] entry takes the [`Kind::FreeBlocks`] entries after it; `operations` must not cut
/// such a group in two.
///
/// # Errors
/// Those of `out`.
pub fn write_operations(out: &mut impl Write, from: u64, operations: &[Operation]) -> fmt::Result {
    write!(out, "\"r\":\"ops\",\"from\":{from},\"ops\":[")?;
    let mut first = true;
    let mut rest = operations;
    while let [operation, after @ ..] = rest {
        if !first {
            out.write_char(',')?;
        }
        first = false;
        let Operation { kind, client, hart, error, instructions, pages, address, .. } = *operation;
        let error = PageError::from_code(error).map(PageError::word);
        rest = after;
        if kind == Kind::Allocate as u8 {
            write!(out, "[\"a\",{client},{hart},{instructions},{pages},")?;
            match error {
                None => write!(out, "{address}]")?,
                Some(word) => write!(out, "\"{word}\"]")?,
            }
        } else if kind == Kind::Free as u8 {
            let word = error.unwrap_or("ok");
            write!(out, "[\"f\",{client},{hart},{instructions},{pages},{address},\"{word}\"]")?;
        } else {
            write!(out, "[\"s\",{client},{hart},{instructions},{pages},{address},[")?;
            let mut separator = "";
            while let [Operation { kind, pages, .. }, after @ ..] = rest
                && *kind == Kind::FreeBlocks as u8
            {
                write!(out, "{separator}{pages}")?;
                separator = ",";
                rest = after;
            }
            out.write_str("]]")?;
        }
    }
    out.write_char(']')
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};

    fn operation(kind: Kind, pages: u64, address: u64) -> Operation {
        Operation {
            kind: kind as u8,
            client: 0,
            hart: 1,
            error: 0,
            order: 0,
            reserved: [0; 3],
            instructions: 40,
            pages,
            address,
        }
    }

    #[test]
    fn operations_are_written_as_documented() {
        let mut text = String::new();
        let refused = Operation { error: PageError::Exhausted as u8, ..operation(Kind::Allocate, 2, 0) };
        write_operations(
            &mut text,
            7,
            &[
                operation(Kind::Allocate, 1, 4096),
                refused,
                operation(Kind::Free, 1, 4096),
                operation(Kind::Statistics, 3, 4),
                operation(Kind::FreeBlocks, 1, 0),
                operation(Kind::FreeBlocks, 2, 0),
            ],
        )
        .unwrap();
        assert_eq!(
            text,
            r#""r":"ops","from":7,"ops":[["a",0,1,40,1,4096],["a",0,1,40,2,"exhausted"],["f",0,1,40,1,4096,"ok"],["s",0,1,40,3,4,[1,2]]]"#
        );
    }

    #[test]
    fn quotes_and_control_characters_cannot_end_a_string() {
        assert_eq!(Escaped("a\"b\\c\nd").to_string(), r#"a\"b\\c\u000ad"#);
    }
}
