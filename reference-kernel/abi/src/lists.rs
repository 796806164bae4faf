//! What is traced of page lists that all harts use at once, and the records of it.
//!
//! No lock puts these operations in order, since it would order the lists' own, too. Each is stamped when it begins and
//! when it has ended, by one counter that all harts draw from; the host finds out whether there is an order in which
//! they can have taken effect.

use core::fmt::{self, Write};

/// What was asked of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A page.
    Allocate = 1,
    /// To take a page back.
    Free = 2,
    /// How many pages are free.
    Count = 3,
}

/// In place of the locks that an operation took: it ended on another hart than it began on, so that nobody has counted.
pub const UNCOUNTED: u64 = u64::MAX;

/// How many locks [`Operation::locks`] has bits for.
pub const NUMBERED_LOCKS: usize = u64::BITS as usize;

/// One operation, as the hart that it ended on traces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Operation {
    /// A [`Kind`].
    pub kind: u8,
    /// Who asked: a number that the test program gives its processes.
    pub client: u8,
    /// Keeps the layout free of padding.
    pub reserved: [u8; 2],
    /// Guest instructions from just before the lists were called to just after they returned, as far as they fit.
    pub instructions: u32,
    /// What the counter showed before the lists were called. No two stamps are alike.
    pub begin: u64,
    /// What it showed when they had returned.
    pub end: u64,
    /// The byte address of the page, zero for none; or how many are free.
    pub answer: u64,
    /// A bit for each of the first [`NUMBERED_LOCKS`] locks of the lists, in the order of their records: those that the
    /// hart took meanwhile, perhaps for another process. Or [`UNCOUNTED`].
    pub locks: u64,
}

impl Operation {
    /// Nothing, for memory that holds operations later.
    pub const NONE: Self =
        Self { kind: 0, client: 0, reserved: [0; 2], instructions: 0, begin: 0, end: 0, answer: 0, locks: UNCOUNTED };
}

const _: () = assert!(size_of::<Operation>() == 40);

/// Writes the fields of a `lists` record: operations of one hart, of which the first has the number `from` there.
///
/// # Errors
/// Those of `out`.
pub fn write_operations(out: &mut impl Write, hart: usize, from: u64, operations: &[Operation]) -> fmt::Result {
    write!(out, "\"r\":\"lists\",\"hart\":{hart},\"from\":{from},\"ops\":[")?;
    for (index, operation) in operations.iter().enumerate() {
        let lead = if index == 0 { "" } else { "," };
        let Operation { kind, client, instructions, begin, end, answer, locks, .. } = *operation;
        let letter = match kind {
            kind if kind == Kind::Allocate as u8 => 'a',
            kind if kind == Kind::Free as u8 => 'f',
            _ => 'c',
        };
        write!(out, "{lead}[\"{letter}\",{client},{instructions},{begin},{end},{answer}")?;
        if locks != UNCOUNTED {
            write!(out, ",{locks}")?;
        }
        out.write_char(']')?;
    }
    out.write_char(']')
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    #[test]
    fn operations_are_written_as_documented() {
        let taken = Operation {
            kind: Kind::Allocate as u8,
            client: 3,
            instructions: 40,
            begin: 8,
            end: 11,
            answer: 8192,
            ..Operation::NONE
        };
        let freed = Operation { kind: Kind::Free as u8, begin: 12, end: 13, locks: 5, ..taken };
        let mut text = String::new();
        write_operations(&mut text, 1, 7, &[taken, freed]).unwrap();
        assert_eq!(text, r#""r":"lists","hart":1,"from":7,"ops":[["a",3,40,8,11,8192],["f",3,40,12,13,8192,5]]"#);
    }
}
