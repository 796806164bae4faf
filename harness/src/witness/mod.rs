//! What a boot looked like from outside, where no code of a submission reaches: which instructions the machine
//! executed, how many, and how often it passed the [marks](abi::mark) of trusted code.
//!
//! The witness is a [plugin](library) of QEMU's. What the guest reports is held against what it [saw](Seen): code that
//! is none of the image's, records and results that trusted code never printed, operations that it never noted, a
//! machine that something else powered off. And figures are worked out again from the instructions that the witness
//! counted.

mod files;
pub mod library;
pub mod marks;
pub mod memory;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi::mark::{self, Meter};
use abi::object::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::serial::ktap::Status;
use crate::serial::reading::Reading;
use crate::session::Stop;
use marks::Image;

mod text;

/// What a boot is watched with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    /// The plugin.
    pub library: PathBuf,
    /// What it is told.
    pub input: PathBuf,
    /// What it tells, in a file of this boot's own.
    pub output: PathBuf,
    /// The kinds of marks that the image has.
    marks: Arc<[u64]>,
}

/// What every boot of an image is watched with, but for what it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watching {
    library: PathBuf,
    input: PathBuf,
    marks: Arc<[u64]>,
}

impl Watching {
    /// Has a kernel and its programs, where they are known, watched; `None` where they have no marks. The file `input`
    /// is made for that.
    ///
    /// # Errors
    /// When one of them cannot be read as an ELF file, or the file cannot be written.
    pub fn prepare<'a>(
        library: &Path,
        kernel: &[u8],
        programs: Option<impl IntoIterator<Item = &'a [u8]>>,
        input: PathBuf,
    ) -> io::Result<Option<Self>> {
        let Some(image) = Image::of(kernel, programs).map_err(io::Error::other)? else { return Ok(None) };
        files::write_input(&input, &image)?;
        let marks = image.marks.iter().map(|mark| mark.kind).collect();
        Ok(Some(Self { library: library.to_owned(), input, marks }))
    }

    /// For one boot, which tells it there.
    pub fn of_boot(&self, output: PathBuf) -> Station {
        let Self { library, input, marks } = self.clone();
        Station { library, input, output, marks }
    }
}

impl Station {
    /// Makes the file anew for what is told, before each boot.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn reset(&self) -> io::Result<()> {
        files::prepare_output(&self.output)
    }

    /// The option of QEMU's that loads the plugin.
    pub fn option(&self) -> String {
        let [library, input, output] = [&self.library, &self.input, &self.output].map(|path| library::option(path));
        format!("{library},input={input},output={output}")
    }

    /// Instructions that the running machine has executed so far.
    pub fn instructions(&self) -> Option<u64> {
        files::instructions(&self.output).ok()
    }

    /// What was seen of a machine that has stopped; `None` when the plugin had to leave something out.
    pub fn seen(&self) -> Option<Seen> {
        files::read_output(&self.output, self.marks.iter().copied()).ok()
    }
}

/// What the witness saw of a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Instructions that were executed. A little too many: an instruction that traps or speaks to a device takes those
    /// behind it in its block of translated code along.
    pub instructions: u64,
    /// Code that was about to run, and is in no file of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Foreign>,
    /// The kinds of marks that the image has.
    pub marks: Vec<u64>,
    /// How often each was passed, by kind.
    pub counts: Vec<u64>,
    /// Operations that trusted code noted down, in order.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub noted: Vec<Noted>,
}

/// Code that is none of the image's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Foreign {
    /// Instructions of that sort that were translated.
    pub count: u64,
    /// The first one's address.
    pub address: u64,
    /// Where that is in memory.
    pub physical: u64,
    /// There is code of the kernel's at that place, and it was written over.
    pub changed: bool,
}

/// An operation that trusted code noted down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// On this hart.
    pub hart: u8,
    /// By this [`Meter`].
    pub meter: u8,
    /// Instructions that it took, as the witness counts them.
    pub instructions: u64,
}

impl Seen {
    fn count(&self, kind: u64) -> u64 {
        usize::try_from(kind).ok().and_then(|kind| self.counts.get(kind)).copied().unwrap_or(0)
    }

    fn has(&self, kind: u64) -> bool {
        self.marks.contains(&kind)
    }

    fn noted_by(&self, meter: Meter) -> impl Iterator<Item = &Noted> {
        self.noted.iter().filter(move |noted| noted.meter == meter as u8)
    }

    /// Why what a boot reported is not what happened, if it is not. `sent`: bytes that came over the serial line.
    ///
    /// Of a machine that was stopped from outside only its code can be judged: what it was about to report is missing.
    pub fn disputes(&self, reading: &Reading, stop: &Stop, sent: u64) -> Option<String> {
        if let Some(Foreign { address, physical, changed, .. }) = self.foreign {
            return Some(match changed {
                true => format!("code of the kernel at {physical:#x} was written over, and then run"),
                false => format!("code was run at {address:#x} that is in no file of the kernel and its programs"),
            });
        }
        if !matches!(stop, Stop::PoweredOff { .. }) {
            return None;
        }
        let different = |kind: u64, told: u64, what: &str, by: &str| {
            let seen = self.count(kind);
            (self.has(kind) && told != seen).then(|| format!("{told} {what}, and {by} {seen}"))
        };
        if self.has(mark::POWERED_OFF) && self.count(mark::POWERED_OFF) == 0 {
            return Some("the machine was powered off, and not by the kernel's own code for that".to_owned());
        }
        let results = |status: Status| {
            let leaves = reading.ktap.iter().flat_map(|document| document.what.leaves());
            leaves.filter(|(_, test)| test.status == status).count() as u64
        };
        let failed = results(Status::Failed);
        different(mark::SENT, sent, "bytes came over the serial line", "the kernel's own code sent")
            .or_else(|| different(mark::RECORD, reading.records, "records were printed", "trusted code printed"))
            .or_else(|| self.other_operations(reading))
            .or_else(|| different(mark::PASSED, results(Status::Passed), "checks passed", "the test programs saw"))
            .or_else(|| different(mark::FAILED, failed, "checks failed", "the test programs saw"))
            .or_else(|| {
                let damaged = self.count(mark::DAMAGED);
                let kept_quiet = damaged > 0 && failed == 0 && !reading.ktap.is_empty();
                kept_quiet.then(|| format!("memory was found damaged {damaged} times, and every check passed"))
            })
    }

    fn other_operations(&self, reading: &Reading) -> Option<String> {
        if !reading.trace_is_whole() {
            return None;
        }
        let pages = reading.trace.len() + reading.lists.len() + reading.buffers.len();
        let objects = reading.objects.iter().filter(|(_, event)| is_operation(event.kind)).count();
        let heap: usize = reading.heap.iter().map(|heap| heap.what.entries.len()).sum();
        [(Meter::Pages, pages), (Meter::Objects, objects), (Meter::Heap, heap)].into_iter().find_map(|(meter, told)| {
            let seen = self.noted_by(meter).count();
            let different = self.has(meter.noted()) && seen != told;
            different.then(|| format!("the trace has {told} operations, and trusted code noted {seen}"))
        })
    }

    /// What was reported, with the instructions of each operation as they were counted from outside; `None` where
    /// trusted code did not note as many operations.
    pub fn recount(&self, reading: &Reading) -> Option<Reading> {
        let mut counted = reading.clone();
        let mut pages = self.noted_by(Meter::Pages);
        for operation in &mut counted.trace {
            operation.instructions = pages.next()?.instructions;
        }
        let by_hart = |meter| {
            let mut queues: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
            for noted in self.noted_by(meter) {
                queues.entry(noted.hart).or_default().push(noted.instructions);
            }
            queues.into_iter().map(|(hart, queue)| (hart, queue.into_iter())).collect::<BTreeMap<_, _>>()
        };
        let mut lists = by_hart(Meter::Pages);
        for operation in &mut counted.lists {
            operation.instructions = lists.get_mut(&operation.hart)?.next()?;
        }
        let mut objects = by_hart(Meter::Objects);
        for (hart, event) in counted.objects.iter_mut().filter(|(_, event)| is_operation(event.kind)) {
            event.instructions = objects.get_mut(hart)?.next()?;
        }
        let mut heap = self.noted_by(Meter::Heap);
        for entry in counted.heap.iter_mut().flat_map(|heap| &mut heap.what.entries) {
            entry.instructions = heap.next()?.instructions;
        }
        Some(counted)
    }
}

/// Whether an event is an operation of a test program, rather than what belongs to one or happened beneath it.
fn is_operation(kind: u8) -> bool {
    use Kind::{Allocate, Create, Destroy, Free, Info, Shrink};
    [Create, Destroy, Shrink, Allocate, Free, Info].iter().any(|operation| *operation as u8 == kind)
}

#[cfg(test)]
mod tests;
