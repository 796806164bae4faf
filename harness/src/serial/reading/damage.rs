//! What can be wrong with a transcript itself, rather than with what it tells.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A flaw with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The transcript's line, from one.
    pub line: u64,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// What is wrong with a line, or between it and the lines before.
///
/// A flaw is no proof of forgery: a kernel that prints without its console lock, or dies in the middle of a line,
/// shows the same ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Flaw {
    /// Records with running numbers from `first` on are missing before this one.
    Missing {
        /// The number of the first.
        first: u64,
        /// How many.
        count: u64,
    },
    /// A record with a running number that an earlier one had.
    Repeated {
        /// The number.
        number: u64,
        /// The number that was due.
        due: u64,
    },
    /// A record's mark, and no record after it.
    Unreadable {
        /// Why.
        why: String,
    },
    /// A record that breaks off with the end of the transcript.
    CutOff,
    /// A line longer than is kept.
    TooLong {
        /// Bytes that are missing at its end.
        dropped: u64,
        /// It is a record.
        record: bool,
    },
    /// The first record is no `boot`.
    NoBoot {
        /// What it is.
        kind: String,
    },
    /// A record that a boot has once, for the second time.
    Again {
        /// `boot` or `pool`.
        kind: String,
    },
    /// A record after the one that said that the machine ends.
    AfterTheEnd {
        /// What it is.
        kind: String,
        /// The line of the last record.
        end: u64,
    },
    /// A record about the end that is not what happened to the machine.
    Untrue {
        /// `shutdown`, `panic` or `deadline`.
        kind: String,
        /// How the machine stopped, as a phrase.
        stopped: String,
    },
    /// A program ends that is not the one that began last, or none began.
    EndWithoutStart {
        /// The line of the script, as the record has it.
        program: String,
    },
    /// A program begins while another has not ended.
    StartWithoutEnd {
        /// The line of the script.
        program: String,
    },
    /// Operations are missing from the trace.
    TraceGap {
        /// The number that was due.
        due: u64,
        /// The number that came.
        from: u64,
    },
    /// Operations with numbers that earlier ones had.
    TraceRepeated {
        /// The number that was due.
        due: u64,
        /// The number that came.
        from: u64,
    },
    /// The kernel's trace buffer overflowed.
    TraceLost {
        /// How many operations.
        operations: u64,
    },
}

impl Flaw {
    /// Whether the records cannot be relied on after it. Long console lines and what a machine that was stopped
    /// in the middle leaves behind take nothing away from what was reported before.
    pub const fn is_of_records(&self) -> bool {
        !matches!(self, Self::CutOff | Self::TooLong { record: false, .. })
    }

    /// Whether operations are missing from the trace because of it.
    pub const fn is_of_trace(&self) -> bool {
        matches!(self, Self::TraceGap { .. } | Self::TraceRepeated { .. } | Self::TraceLost { .. })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.flaw)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { first, count: 1 } => write!(f, "record {first} is missing"),
            Self::Missing { first, count } => {
                write!(f, "records {first} to {} are missing", first.saturating_add(count - 1))
            }
            Self::Repeated { number, due } => {
                write!(f, "record {number} was there before; record {due} was due")
            }
            Self::Unreadable { why } => write!(f, "a record's mark, but {why}"),
            Self::CutOff => f.write_str("a record that breaks off with the end of the output"),
            Self::TooLong { dropped, .. } => write!(f, "the line is too long, and {dropped} bytes of it were left out"),
            Self::NoBoot { kind } => write!(f, "the first record is `{kind}`, not `boot`"),
            Self::Again { kind } => write!(f, "a second `{kind}` record; a boot has one"),
            Self::AfterTheEnd { kind, end } => {
                write!(f, "a `{kind}` record, though line {end} said that the machine ends")
            }
            Self::Untrue { kind, stopped } => write!(f, "a `{kind}` record, but {stopped}"),
            Self::EndWithoutStart { program } => write!(f, "{program:?} ends, which did not run"),
            Self::StartWithoutEnd { program } => write!(f, "{program:?} begins before the program before it has ended"),
            Self::TraceGap { due, from } => {
                write!(f, "the trace goes on with operation {from}, but operation {due} was due")
            }
            Self::TraceRepeated { due, from } => {
                write!(f, "the trace goes back to operation {from}; operation {due} was due")
            }
            Self::TraceLost { operations } => {
                write!(f, "the kernel's trace buffer was full, and {operations} operations were not traced")
            }
        }
    }
}
