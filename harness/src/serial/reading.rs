//! A transcript, read: what the guest reported, what it printed, how it ended, and what of it cannot be trusted.

use std::ops::Range;

mod damage;
mod ending;
mod reader;

pub use damage::{Damage, Flaw};
pub use ending::{Early, Ending};

use abi::object::Event;

use super::ktap::Document;
use super::record::{self, Metric, Outcome, TracedPool};
use crate::buffer_trace;
use crate::list_trace;
use crate::session::sections::{self, Section};
use crate::session::{Glimpse, Stop, Transcript};
use crate::space_trace;
use crate::trace::Operation;
use crate::witness::{Seen, memory};

/// Everything that a transcript says.
///
/// All of it comes from code that a submission can reach, so nothing here is more than a claim. What the harness
/// knows for itself is how the machine stopped; [`Reading::ending`] believes a record about the end only where both
/// agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// How it ended.
    pub ending: Ending,
    /// What the kernel said when it was up; `None` when it never was.
    pub boot: Option<record::Boot>,
    /// The allocator that was traced.
    pub traced: Option<TracedPool>,
    /// Its operations, in order, up to the first gap.
    pub trace: Vec<Operation>,
    /// The operations of page lists that all harts share, each hart's in order, up to the first gap.
    pub lists: Vec<list_trace::Operation>,
    /// How locks were used.
    pub locks: Vec<list_trace::Lock>,
    /// The operations of a buffer cache, each client's in order, up to the first gap.
    pub buffers: Vec<buffer_trace::Operation>,
    /// The operations of processes that share memory, in order, up to the first gap.
    pub spaces: Vec<space_trace::Operation>,
    /// What happened to object caches, each hart's in order, up to the first gap; with the hart.
    pub objects: Vec<(u8, Event)>,
    /// The programs of the script, in order.
    pub programs: Vec<Program>,
    /// Workloads that are complete.
    pub done: Vec<Placed<record::Done>>,
    /// Requests to the heaps of programs.
    pub heap: Vec<Placed<record::Heap>>,
    /// Figures of kernels that trace nothing.
    pub metrics: Vec<Placed<Metric>>,
    /// Results of the guest's own checks; a document ends with its program.
    pub ktap: Vec<Placed<Document>>,
    /// Records of kinds that are not known here.
    pub others: Vec<Placed<Unknown>>,
    /// All other lines.
    pub console: Vec<Placed<String>>,
    /// What each command printed that was typed at the console, in order.
    pub sections: Vec<Section>,
    /// What is wrong with the transcript itself, in order of lines.
    pub damage: Vec<Damage>,
    /// Records that were read.
    pub records: u64,
    /// Where its harts were before it was ended, if it was ended for taking too long.
    pub glimpses: Vec<Vec<Glimpse>>,
    /// What was seen of the boot from outside, if anybody watched.
    pub seen: Option<Seen>,
    /// Why what is reported here is not what was seen, if it is not.
    pub dispute: Option<String>,
}

impl Reading {
    /// Reads a transcript.
    pub fn of(transcript: &Transcript) -> Self {
        let mut reading = reader::read(&transcript.serial, &transcript.stop, transcript.boot.output_limit);
        reading.sections = sections::of(transcript);
        let sent = transcript.serial.len() as u64;
        let seen = transcript.seen.as_ref();
        reading.dispute = seen
            .and_then(|seen| seen.disputes(&reading, &transcript.stop, sent))
            .or_else(|| memory::dispute(&reading, &transcript.stop, &transcript.found));
        reading.seen = seen.cloned();
        reading.glimpses.clone_from(&transcript.glimpses);
        if let (Ending::Overdue { command, limit, .. }, Some(dialogue)) =
            (&mut reading.ending, &transcript.boot.dialogue)
        {
            let due = match transcript.stop {
                Stop::Overdue { command: Some(command) } => dialogue.commands.get(command),
                _ => None,
            };
            *command = due.map(|due| due.name.clone());
            *limit = due.map_or(dialogue.ready, |due| due.limit);
        }
        reading
    }

    /// What a command printed, if it was typed.
    pub fn section(&self, command: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.command == command)
    }

    /// What a serial line says whose machine was powered off with success.
    #[cfg(test)]
    pub fn of_serial(text: &str) -> Self {
        reader::read(text.as_bytes(), &crate::session::Stop::PoweredOff { status: 0 }, 1000)
    }

    /// The programs that began and did not end.
    pub fn unfinished(&self) -> impl Iterator<Item = &Program> {
        self.programs.iter().filter(|program| program.end.is_none())
    }

    /// The first flaw after which the records prove nothing in favour of the guest.
    pub fn distrust(&self) -> Option<&Damage> {
        self.damage.iter().find(|damage| damage.flaw.is_of_records())
    }

    /// Whether [`trace`](Self::trace) has every operation that the kernel said it traced.
    pub fn trace_is_whole(&self) -> bool {
        !self.damage.iter().any(|damage| damage.flaw.is_of_trace())
    }
}

/// Something with its place in the transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed<T> {
    /// The line, from one.
    pub line: u64,
    /// The program that ran, as an index of [`Reading::programs`].
    pub program: Option<usize>,
    /// What stands there.
    pub what: T,
}

/// A program of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The line of the transcript where it began.
    pub line: u64,
    /// The line of the script.
    pub script: String,
    /// Free pages of the kernel's own pool before it.
    pub free_pages: u64,
    /// How it ended, if it did.
    pub end: Option<ProgramEnd>,
    /// The operations that were reported while it ran, as a range of [`Reading::trace`].
    pub trace: Range<usize>,
}

/// The end of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramEnd {
    /// The line of the transcript.
    pub line: u64,
    /// Its status, or why it was killed.
    pub outcome: Outcome,
    /// Free pages of the kernel's own pool after it.
    pub free_pages: u64,
}

/// A record of a kind that is not known here.
#[derive(Debug, Clone, PartialEq)]
pub struct Unknown {
    /// Its `r`.
    pub kind: String,
    /// All its fields.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

#[cfg(test)]
mod tests;
