//! A buffer cache that several harts use.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use abi::buffer_workload::{Buffers, Scenario, Workload};

use super::{Quantity, Subject, Weighed, Weighing, locks};
use crate::buffer_trace::{Operation, What};
use crate::list_trace::Lock;
use crate::oracle::buffers::Case;
use crate::oracle::{self, Judging};
use crate::trace::OpIndex;

/// Listed in [`super::SUBJECTS`].
pub(super) const SUBJECT: Subject = Subject {
    name: "buffers",
    programs: &["buffertest"],
    check_arguments: |arguments| {
        Workload::parse(arguments.split_ascii_whitespace()).map(drop).map_err(|bad| bad.to_string())
    },
    statistics: &["hottest"],
    weigh,
    trace_text,
};

/// The trace in order of begins, beside the workloads that made it.
struct Compared {
    operations: Vec<Operation>,
    /// The phase of each; empty for those that no workload makes.
    phases: Vec<&'static str>,
    departure: Option<String>,
}

fn compare(weighing: &Weighing<'_>) -> Compared {
    let workloads = weighing.arguments(SUBJECT.programs);
    let workloads: Vec<Workload> =
        workloads.filter_map(|arguments| Workload::parse(arguments.split_ascii_whitespace()).ok()).collect();
    let mut operations = weighing.reading.buffers.clone();
    operations.sort_by_key(|operation| operation.begin);
    let mut by_client: BTreeMap<u8, Vec<OpIndex>> = BTreeMap::new();
    for (at, operation) in operations.iter().enumerate() {
        by_client.entry(operation.client).or_default().push(at);
    }
    for client in 0..workloads.iter().map(|workload| workload.clients).max().unwrap_or(0) {
        by_client.entry(client).or_default();
    }
    let mut phases = vec![""; operations.len()];
    let mut departure = None;
    for (&client, indices) in &by_client {
        let mut replay = Replay { operations: &operations, left: indices, phase: "start", phases: &mut phases };
        let due = workloads.iter().filter(|workload| client < workload.clients);
        let stop = due.map(|workload| workload.run(client, &mut replay)).find_map(Result::err);
        let (phase, made) = (replay.phase, indices.len() - replay.left.len());
        let found = match (stop, replay.left.first()) {
            (Some(Stop::End), _) => Some(format!(
                "it ended in phase \"{phase}\" after {made} operations of client {client}, before all were made: {}",
                weighing.reading.ending
            )),
            (Some(Stop::Other { at, due }), _) => {
                Some(format!("operation {at} is not what client {client} asks there, which is \"{due}\"; {NOT_OURS}"))
            }
            (None, Some(at)) => Some(format!(
                "operation {at} claims to be of client {client}, whose workload makes no more; {NOT_OURS}"
            )),
            (None, None) => None,
        };
        departure = departure.or(found);
    }
    Compared { operations, phases, departure }
}

const NOT_OURS: &str = "this is not the trace of the workload that was run";

fn weigh(weighing: &Weighing<'_>) -> Weighed {
    let reading = weighing.reading;
    if reading.buffers.is_empty() {
        let departure = Some(format!("no buffers were traced; {}", reading.ending));
        return Weighed { departure, ..Weighed::default() };
    }
    let Compared { operations, phases, departure } = compare(weighing);
    let case = Case { operations: &operations, phases: &phases };
    let mut judgements = BTreeMap::new();
    for oracle in weighing.oracles.iter().filter_map(|name| oracle::find(name)) {
        let Judging::Buffers(judge) = oracle.judging else { continue };
        judgements.insert(oracle.name, judge(&case));
    }
    let locks: Vec<Lock> = reading.locks.iter().filter(|lock| lock.of == "buffers").cloned().collect();
    let mut figures = BTreeMap::new();
    // Locks that nobody counted are not locks that nobody took.
    if let Some(most) = locks.iter().map(|lock| lock.total().acquisitions).max().filter(|&most| most > 0) {
        let asked = |operation: &&Operation| matches!(operation.what, What::Read { .. } | What::Release);
        let asked = operations.iter().filter(asked).count().max(1);
        let value = most as f64 / asked as f64;
        let unit = "acquisitions of the busiest lock per bread or brelse";
        figures.insert("locks.hottest".to_owned(), Quantity { value, unit });
    }
    Weighed {
        operations: operations.len() as u64,
        departure,
        phases: BTreeMap::new(),
        figures,
        judgements,
        tables: if measures(weighing) { locks::tables(&locks, operations.len()) } else { Vec::new() },
    }
}

/// Whether a workload is one whose locks are worth a table.
fn measures(weighing: &Weighing<'_>) -> bool {
    weighing.arguments(SUBJECT.programs).any(|arguments| arguments.starts_with(Scenario::Warm.word()))
}

fn trace_text(weighing: &Weighing<'_>) -> Option<String> {
    if weighing.reading.buffers.is_empty() {
        return None;
    }
    let Compared { operations, phases, .. } = compare(weighing);
    let mut text = String::from("# number  client  begin    end  block      buffer  operation  (phase)\n");
    for (at, (operation, phase)) in operations.iter().zip(&phases).enumerate() {
        let Operation { client, begin, end, block, buffer, what } = operation;
        let what = match what {
            What::Read { content } => format!("read -> {content:#x}"),
            What::Write { content } => format!("write {content:#x}"),
            What::Release => "release".to_owned(),
            What::Pin => "pin".to_owned(),
            What::Unpin => "unpin".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{at:>8} {client:>7} {begin:>6} {end:>6} {block:>6} {buffer:#11x}  {what}  ({phase})");
    }
    Some(text)
}

/// One client's part of a trace, answering its workload from what is recorded.
struct Replay<'a> {
    operations: &'a [Operation],
    left: &'a [OpIndex],
    phase: &'static str,
    phases: &'a mut [&'static str],
}

enum Stop {
    End,
    Other { at: OpIndex, due: String },
}

impl Replay<'_> {
    /// Goes on if the next recorded operation is the one that is due.
    fn next(&mut self, due: &str, block: u64, is_due: impl FnOnce(&What) -> bool) -> Result<(), Stop> {
        let (&at, left) = self.left.split_first().ok_or(Stop::End)?;
        let operation = &self.operations[at];
        if operation.block != block || !is_due(&operation.what) {
            return Err(Stop::Other { at, due: format!("{due} block {block}") });
        }
        self.phases[at] = self.phase;
        self.left = left;
        Ok(())
    }
}

impl Buffers for Replay<'_> {
    type Stop = Stop;

    fn phase(&mut self, name: &'static str) -> Result<(), Stop> {
        self.phase = name;
        Ok(())
    }

    fn read(&mut self, block: u64) -> Result<(), Stop> {
        self.next("bread", block, |what| matches!(what, What::Read { .. }))
    }

    fn write(&mut self, block: u64, content: u64, _: bool) -> Result<(), Stop> {
        self.next("write", block, |what| *what == What::Write { content })
    }

    fn release(&mut self, block: u64) -> Result<(), Stop> {
        self.next("brelse", block, |what| *what == What::Release)
    }

    fn pin(&mut self, block: u64) -> Result<(), Stop> {
        self.next("bpin", block, |what| *what == What::Pin)
    }

    fn unpin(&mut self, block: u64) -> Result<(), Stop> {
        self.next("bunpin", block, |what| *what == What::Unpin)
    }
}

#[cfg(test)]
mod tests {
    use abi::buffer_workload::initial;

    use super::*;
    use crate::serial::reading::Reading;

    const SCRIPT: &str = "buffertest mixed --clients 2 --operations 20 --seed 3";

    /// A cache that is right, as one client after the other uses it.
    struct Right<'a> {
        client: u8,
        held: &'a mut BTreeMap<u64, u64>,
        trace: &'a mut Vec<Operation>,
    }

    impl Right<'_> {
        fn note(&mut self, block: u64, what: What) {
            let begin = 2 * self.trace.len() as u64;
            let Self { client, .. } = *self;
            self.trace.push(Operation { client, begin, end: begin + 1, block, buffer: 64 * block, what });
        }
    }

    impl Buffers for Right<'_> {
        type Stop = std::convert::Infallible;
        fn phase(&mut self, _: &'static str) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn read(&mut self, block: u64) -> Result<(), Self::Stop> {
            let content = self.held.get(&block).copied().unwrap_or(initial(block));
            self.note(block, What::Read { content });
            Ok(())
        }
        fn write(&mut self, block: u64, content: u64, _: bool) -> Result<(), Self::Stop> {
            self.held.insert(block, content);
            self.note(block, What::Write { content });
            Ok(())
        }
        fn release(&mut self, block: u64) -> Result<(), Self::Stop> {
            self.note(block, What::Release);
            Ok(())
        }
        fn pin(&mut self, block: u64) -> Result<(), Self::Stop> {
            self.note(block, What::Pin);
            Ok(())
        }
        fn unpin(&mut self, block: u64) -> Result<(), Self::Stop> {
            self.note(block, What::Unpin);
            Ok(())
        }
    }

    fn right() -> Reading {
        let workload = Workload::parse(SCRIPT.split_ascii_whitespace().skip(1)).unwrap();
        let (mut held, mut trace) = (BTreeMap::new(), Vec::new());
        for client in 0..workload.clients {
            let Ok(()) = workload.run(client, &mut Right { client, held: &mut held, trace: &mut trace });
        }
        Reading { buffers: trace, ..Reading::of_serial("") }
    }

    fn weighed(reading: &Reading) -> Weighed {
        weigh(&Weighing { script: &[SCRIPT.to_owned()], reading, oracles: &["buffers"] })
    }

    #[test]
    fn a_right_trace_is_its_workloads_and_breaks_no_rule() {
        let weighed = weighed(&right());
        assert_eq!(weighed.departure, None);
        assert!(weighed.judgements["buffers"].is_telling() && weighed.judgements["buffers"].groups.is_empty());
        assert!(!weighed.figures.contains_key("locks.hottest"), "no lock was reported");
    }

    #[test]
    fn a_trace_that_was_cut_off_made_up_or_goes_on_departs_from_its_workloads() {
        let departure = |change: fn(&mut Vec<Operation>)| {
            let mut reading = right();
            change(&mut reading.buffers);
            weighed(&reading).departure.unwrap_or_default()
        };
        assert!(departure(|trace| trace.truncate(trace.len() - 1)).contains("before all were made"));
        assert!(
            departure(|trace| trace.retain(|operation| operation.begin != 6))
                .contains("is not what client 0 asks there")
        );
        let surplus = |trace: &mut Vec<Operation>| {
            let last = trace[trace.len() - 1];
            trace.push(Operation { begin: last.end + 1, end: last.end + 2, ..last });
        };
        assert!(departure(surplus).contains("of client 1, whose workload makes no more"));
        assert!(departure(Vec::clear).contains("no buffers were traced"));
    }
}
