//! What `umalloctest` reports of the requests that it made.

use core::fmt::{self, Write};

use super::Request;

/// A request with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What was asked.
    pub request: Request,
    /// The byte address that came back, zero for null; for [`Request::Trim`] the pages that the kernel has more than
    /// before; for [`Request::Create`] 1 if there is a pool now.
    pub answer: u64,
    /// Guest instructions from just before the call to just after it, less those of a call that does nothing.
    pub instructions: u64,
    /// The end of the heap, a byte address, after the call.
    pub end: u64,
    /// When the call began and when it was over, on a clock that all threads of the process advance with every such
    /// moment.
    pub stamps: Option<(u64, u64)>,
}

/// The most entries that go into one `heap` record, so that few are lost when a heap takes its program down.
pub const ENTRIES_PER_RECORD: usize = 32;

/// Writes an entry as an array, as [`crate::record`] describes it, after one at whose end the heap ended at `before`.
///
/// # Errors
/// Those of `out`.
pub fn write_entry(out: &mut impl Write, entry: &Entry, before: u64) -> fmt::Result {
    let Entry { request, answer, instructions, end, stamps } = *entry;
    match request {
        Request::Allocate { id, size } => write!(out, "[\"a\",{id},{size},{answer}")?,
        Request::Aligned { id, size, alignment } => write!(out, "[\"l\",{id},{size},{alignment},{answer}")?,
        Request::Reallocate { id, size } => write!(out, "[\"r\",{id},{size},{answer}")?,
        Request::Free { id } => write!(out, "[\"f\",{id}")?,
        Request::Trim => write!(out, "[\"t\",{answer}")?,
        Request::Create { size, count } => write!(out, "[\"c\",{size},{count},{answer}")?,
        Request::Take { id } => write!(out, "[\"k\",{id},{answer}")?,
        Request::Give { id } => write!(out, "[\"g\",{id}")?,
        Request::Destroy => write!(out, "[\"d\"")?,
    }
    write!(out, ",{instructions}")?;
    if let Some((begun, done)) = stamps {
        write!(out, ",{end},{begun},{done}")?;
    } else if end != before {
        write!(out, ",{end}")?;
    }
    out.write_char(']')
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    #[test]
    fn entries_are_written_as_documented() {
        let mut text = String::new();
        let entry = |request, stamps| Entry { request, answer: 4112, instructions: 40, end: 8192, stamps };
        for entry in [
            entry(Request::Allocate { id: 7, size: 100 }, None),
            entry(Request::Aligned { id: 8, size: 100, alignment: 64 }, None),
            entry(Request::Reallocate { id: 7, size: 200 }, Some((3, 5))),
            entry(Request::Free { id: 7 }, None),
            entry(Request::Trim, None),
            entry(Request::Create { size: 24, count: 9 }, None),
            entry(Request::Take { id: 9 }, None),
            entry(Request::Give { id: 9 }, None),
            entry(Request::Destroy, None),
        ] {
            write_entry(&mut text, &entry, if entry.request == Request::Destroy { 0 } else { 8192 }).unwrap();
        }
        assert_eq!(
            text,
            r#"["a",7,100,4112,40]["l",8,100,64,4112,40]["r",7,200,4112,40,8192,3,5]["f",7,40]["t",4112,40]["c",24,9,4112,40]["k",9,4112,40]["g",9,40]["d",40,8192]"#
        );
    }
}
