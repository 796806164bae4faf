//! How a session ended: what the guest said of it, held against how the machine really stopped.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::owner::Owner;
use crate::serial::record::{self, Panic, Shutdown};
use crate::session::Stop;

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Ending {
    /// Every program that began had ended, and the machine was powered off in order and with success.
    PoweredOff,
    /// Likewise, but with a failing status.
    GuestStatus {
        /// The status.
        status: i64,
    },
    /// The kernel gave up.
    Panicked(Panic),
    /// The guest's time was up, and its kernel said where each hart was.
    Deadline(record::Deadline),
    /// The guest's time was up, and its kernel said nothing of that.
    OutOfTime {
        /// The last line that it printed; empty if it printed none.
        last: String,
    },
    /// The kernel said that it does nothing more, and kept the machine on.
    GaveUp {
        /// In this line.
        line: String,
    },
    /// Every command had ended that was typed at the console.
    AllSaid,
    /// A command that was typed did not end within its limit.
    Overdue {
        /// The command; the first prompt, without one.
        command: Option<String>,
        /// The limit, in nanoseconds.
        limit: u64,
        /// The last line that was printed; empty if there was none.
        last: String,
    },
    /// Every hart slept, and nothing could wake one.
    Stalled,
    /// The guest wrote more than the session allows.
    Flooded {
        /// Bytes.
        limit: u64,
    },
    /// The machine was powered off before its kernel was through.
    EndedEarly {
        /// The status.
        status: i32,
        /// What was missing.
        why: Early,
    },
    /// QEMU itself broke down; nothing can be said of the guest.
    Broken {
        /// What is known.
        reason: String,
    },
}

/// What a machine that was powered off had not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Early {
    /// No record said that it would end.
    Unannounced,
    /// A record said so, but not truly.
    Untrue {
        /// `shutdown`, `panic` or `deadline`.
        kind: String,
    },
    /// A program had not ended.
    Unfinished {
        /// The line of the script.
        program: String,
    },
}

impl Ending {
    /// Whose fault it is, where it is one.
    pub const fn owner(&self) -> Option<Owner> {
        match self {
            Self::PoweredOff | Self::AllSaid => None,
            Self::Broken { .. } => Some(Owner::Harness),
            _ => Some(Owner::Submission),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoweredOff => f.write_str("the machine was powered off in order"),
            Self::GuestStatus { status } => write!(f, "the machine was powered off in order, with status {status}"),
            Self::Panicked(Panic { hart, file, line, message, .. }) => {
                write!(f, "the kernel panicked on hart {hart} at {file}:{line}: {message}")
            }
            Self::Deadline(deadline) => {
                write!(f, "the guest's time was up after {:.3} s", deadline.after as f64 / 1e9)
            }
            Self::OutOfTime { last } if last.is_empty() => {
                f.write_str("the guest's time was up, and its kernel had not printed a single line")
            }
            Self::OutOfTime { last } => {
                write!(f, "the kernel hung until its time was up; the last line that it printed was {last:?}")
            }
            Self::GaveUp { line } => write!(f, "the kernel gave up and said: {line}"),
            Self::AllSaid => f.write_str("every command that was typed had ended"),
            Self::Overdue { command, limit, last } => {
                let limit = *limit as f64 / 1e9;
                match command {
                    Some(command) => write!(f, "{command:?} did not end within its {limit} s")?,
                    None => write!(f, "the kernel showed no prompt within {limit} s")?,
                }
                match last.as_str() {
                    "" => f.write_str(", and had not printed a single line"),
                    last => write!(f, "; the last line that was printed was {last:?}"),
                }
            }
            Self::Stalled => f.write_str("every hart slept, and nothing was left that could wake one"),
            Self::Flooded { limit } => write!(f, "the guest wrote more than the {limit} bytes that the session allows"),
            Self::EndedEarly { status, why } => {
                write!(f, "the machine was powered off with status {status}, ")?;
                match why {
                    Early::Unannounced => f.write_str("and its kernel had not said that it would be"),
                    Early::Untrue { kind } => write!(f, "which is not what its `{kind}` record says"),
                    Early::Unfinished { program } => write!(f, "while {program:?} was running"),
                }
            }
            Self::Broken { reason } => f.write_str(reason),
        }
    }
}

/// A record about the end.
#[derive(Debug, Clone)]
pub(super) enum Last {
    Shutdown(Shutdown),
    Panic(Panic),
    Deadline(record::Deadline),
}

impl Last {
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Shutdown(_) => "shutdown",
            Self::Panic(_) => "panic",
            Self::Deadline(_) => "deadline",
        }
    }

    /// Whether a machine that was powered off with `status` can have said so.
    fn fits(&self, status: i32) -> bool {
        match self {
            // QEMU's own exit status has eight bits; one that does not fit them still fails.
            Self::Shutdown(said) => i64::from(status) == said.status || (said.status >> 8 != 0 && status != 0),
            Self::Panic(_) | Self::Deadline(_) => status != 0,
        }
    }
}

/// The ending, and how the last record is untrue, if it is.
///
/// A submission's code may print any record. So one about the end counts only where the machine was powered off, and
/// with a status that fits; a panic that was printed by a kernel that then hangs is a hang.
pub(super) fn decide(
    stop: &Stop,
    last: Option<Last>,
    unfinished: Option<&str>,
    limit: u64,
) -> (Ending, Option<String>) {
    let untrue = |stopped: &str| last.is_some().then(|| stopped.to_owned());
    let status = match stop {
        Stop::PoweredOff { status } => *status,
        // The reader knows the last line.
        Stop::OutOfTime => {
            return (Ending::OutOfTime { last: String::new() }, untrue("the machine went on until its time was up"));
        }
        Stop::GaveUp { line } => return (Ending::GaveUp { line: line.clone() }, untrue("the machine stayed on")),
        Stop::AllSaid => return (Ending::AllSaid, None),
        // The reader knows the dialogue.
        Stop::Overdue { .. } => return (Ending::Overdue { command: None, limit: 0, last: String::new() }, None),
        Stop::Stalled => return (Ending::Stalled, untrue("the machine went to sleep for ever")),
        Stop::Flooded => return (Ending::Flooded { limit }, untrue("the machine went on writing")),
        // That is not the guest's doing, so nothing that it said is held against it.
        Stop::Broken { reason } => return (Ending::Broken { reason: reason.clone() }, None),
    };
    let early = |why| Ending::EndedEarly { status, why };
    match (last, unfinished) {
        (None, _) => (early(Early::Unannounced), None),
        (Some(last), _) if !last.fits(status) => {
            let kind = last.kind().to_owned();
            (early(Early::Untrue { kind }), Some(format!("the machine was powered off with status {status}")))
        }
        (Some(Last::Panic(panic)), _) => (Ending::Panicked(panic), None),
        (Some(Last::Deadline(deadline)), _) => (Ending::Deadline(deadline), None),
        (Some(Last::Shutdown(_)), Some(program)) => (early(Early::Unfinished { program: program.to_owned() }), None),
        (Some(Last::Shutdown(Shutdown { status: 0 })), None) => (Ending::PoweredOff, None),
        (Some(Last::Shutdown(Shutdown { status })), None) => (Ending::GuestStatus { status }, None),
    }
}
