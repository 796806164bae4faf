//! Page lists that all harts share, whose every operation the kernel traces without a lock.

mod bursts;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use abi::list_workload::{BURSTS, Lists, MOST_HELD, Scenario, Workload};

use super::{Quantity, Subject, Weighed, Weighing, locks};
use crate::list_trace::{Lock, Operation, What};
use crate::oracle::lists::Case;
use crate::oracle::metrics::Instructions;
use crate::oracle::{self, Judging};
use crate::trace::OpIndex;

/// Listed in [`super::SUBJECTS`].
pub(super) const SUBJECT: Subject = Subject {
    name: "lists",
    programs: &["kmemtest"],
    check_arguments: |arguments| {
        Workload::parse(arguments.split_ascii_whitespace()).map(drop).map_err(|bad| bad.to_string())
    },
    statistics: &["mean", "median", "p99", "worst", "shared"],
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
    let mut operations = weighing.reading.lists.clone();
    operations.sort_by_key(|operation| operation.begin);
    let mut by_client: BTreeMap<u8, Vec<OpIndex>> = BTreeMap::new();
    for (at, operation) in operations.iter().enumerate() {
        by_client.entry(operation.client).or_default().push(at);
    }
    let clients = workloads.iter().map(Workload::counter).max().unwrap_or(0);
    // What the kernel asks for itself follows no workload.
    by_client.remove(&KERNEL);
    // Every client that there must be, and every one that there is.
    for client in 0..=clients {
        by_client.entry(client).or_default();
    }
    let mut compared = Compared { phases: vec![""; operations.len()], operations: Vec::new(), departure: None };
    let mut room = vec![0; MOST_HELD];
    for (&client, indices) in &by_client {
        let phases = &mut compared.phases;
        let mut replay = Replay { operations: &operations, left: indices, made: 0, phase: "start", phases };
        let due = workloads.iter().filter(|workload| client <= workload.counter());
        let stop = due.map(|workload| workload.run(client, &mut replay, &mut room)).find_map(Result::err);
        let (made, phase, surplus) = (replay.made, replay.phase, replay.left.first());
        let departure = match stop {
            Some(Stop::End) => Some(format!(
                "it ended in phase \"{phase}\" after {made} operations of client {client}, before all were made: {}",
                weighing.reading.ending
            )),
            Some(Stop::Other { at, due }) => {
                Some(format!("operation {at} is not what client {client} asks there, which is \"{due}\"; {NOT_OURS}"))
            }
            None => surplus.map(|at| {
                format!("operation {at} claims to be of client {client}, whose workload makes no more; {NOT_OURS}")
            }),
        };
        compared.departure = compared.departure.or(departure);
    }
    compared.operations = operations;
    compared
}

/// The number under which a kernel's own operations are traced.
const KERNEL: u8 = u8::MAX;

const NOT_OURS: &str = "this is not the trace of the workload that was run";

fn weigh(weighing: &Weighing<'_>) -> Weighed {
    let reading = weighing.reading;
    let Some(traced) = &reading.traced else {
        let departure = Some(format!("no lists were traced; {}", reading.ending));
        return Weighed { departure, ..Weighed::default() };
    };
    let Compared { operations, phases, departure } = compare(weighing);
    let taken: Vec<Lock> = reading.locks.iter().filter(|lock| lock.of == "lists").cloned().collect();
    let case = Case { regions: &traced.pool.regions, operations: &operations, phases: &phases, locks: &taken };
    let mut judgements = BTreeMap::new();
    for oracle in weighing.oracles.iter().filter_map(|name| oracle::find(name)) {
        let Judging::Lists(judge) = oracle.judging else { continue };
        judgements.insert(oracle.name, judge(&case));
    }
    let mut figures = BTreeMap::new();
    // Without an orderly end there are no counts, which is not the same as locks that nobody took.
    if !taken.is_empty() {
        let shared = Quantity { value: case.shared_locks(), unit: "acquisitions of shared locks per operation" };
        figures.insert("locks.shared".to_owned(), shared);
    }
    if let Some(figure) = bursts::shared(&operations, &phases, &taken) {
        figures.insert(format!("{BURSTS}.shared"), figure);
    }
    let instructions = by_phase(&operations, &phases);
    for (phase, instructions) in &instructions {
        for statistic in oracle::metrics::STATISTICS {
            let value = instructions.get(statistic).unwrap_or_default();
            figures.insert(format!("{phase}.{statistic}"), Quantity { value, unit: "guest instructions" });
        }
    }
    Weighed {
        operations: operations.len() as u64,
        departure,
        // Those of a session with several harts are no figures of one operation, but for the median.
        phases: if reading.boot.as_ref().is_some_and(|boot| boot.harts == 1) { instructions } else { BTreeMap::new() },
        figures,
        judgements,
        tables: if measures(weighing) { locks::tables(&reading.locks, operations.len()) } else { Vec::new() },
    }
}

/// Whether a workload is one whose locks are worth a table.
fn measures(weighing: &Weighing<'_>) -> bool {
    weighing.arguments(SUBJECT.programs).any(|arguments| arguments.starts_with(Scenario::Bench.word()))
}

fn by_phase(operations: &[Operation], phases: &[&'static str]) -> BTreeMap<String, Instructions> {
    let mut each: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    for (operation, phase) in operations.iter().zip(phases) {
        if !phase.is_empty() && !matches!(operation.what, What::Count(_)) {
            each.entry(phase).or_default().push(operation.instructions);
        }
    }
    each.into_iter().filter_map(|(phase, each)| Some((phase.to_owned(), Instructions::of(each)?))).collect()
}

fn trace_text(weighing: &Weighing<'_>) -> Option<String> {
    if weighing.reading.lists.is_empty() {
        return None;
    }
    let Compared { operations, phases, .. } = compare(weighing);
    let mut text = String::from("# number  client hart  begin    end instructions  operation  (phase)\n");
    for (at, (operation, phase)) in operations.iter().zip(&phases).enumerate() {
        let Operation { client, hart, instructions, begin, end, what, .. } = operation;
        let what = match what {
            What::Allocate(Some(address)) => format!("allocate -> {address:#x}"),
            What::Allocate(None) => "allocate -> no page".to_owned(),
            What::Free(address) => format!("free {address:#x}"),
            What::Count(pages) => format!("count -> {pages}"),
        };
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "{at:>8} {client:>8} {hart:>4} {begin:>6} {end:>6} {instructions:>12}  {what}  ({phase})");
    }
    Some(text)
}

/// One client's part of a trace, answering its workload from what is recorded.
struct Replay<'a> {
    operations: &'a [Operation],
    left: &'a [OpIndex],
    made: usize,
    phase: &'static str,
    phases: &'a mut [&'static str],
}

enum Stop {
    End,
    Other { at: OpIndex, due: String },
}

impl Replay<'_> {
    /// The next recorded operation, when it is the one that is due.
    fn next<T>(&mut self, due: impl Fn() -> String, answer: impl FnOnce(&What) -> Option<T>) -> Result<T, Stop> {
        let (&at, left) = self.left.split_first().ok_or(Stop::End)?;
        let answer = answer(&self.operations[at].what).ok_or_else(|| Stop::Other { at, due: due() })?;
        self.phases[at] = self.phase;
        self.left = left;
        self.made += 1;
        Ok(answer)
    }
}

impl Lists for Replay<'_> {
    type Stop = Stop;

    fn phase(&mut self, name: &'static str) -> Result<(), Stop> {
        self.phase = name;
        Ok(())
    }

    fn move_to(&mut self, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn allocate(&mut self) -> Result<Option<u64>, Stop> {
        self.next(
            || "allocate".to_owned(),
            |what| match what {
                What::Allocate(answer) => Some(*answer),
                _ => None,
            },
        )
    }

    fn free(&mut self, due: u64) -> Result<(), Stop> {
        self.next(|| format!("free {due:#x}"), |what| (*what == What::Free(due)).then_some(()))
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.next(|| "count the free pages".to_owned(), |what| matches!(what, What::Count(_)).then_some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::reading::Reading;
    use crate::serial::record::TracedPool;
    use crate::trace::{Pool, Region};

    const SCRIPT: &str = "kmemtest scarce --clients 2 --operations 40 --seed 3";

    /// Lists that are right, which write down what they do, a client after the other.
    struct Right<'a> {
        client: u8,
        free: &'a mut Vec<u64>,
        trace: &'a mut Vec<Operation>,
    }

    impl Right<'_> {
        fn note(&mut self, what: What) {
            let begin = 2 * self.trace.len() as u64;
            let Self { client, .. } = *self;
            let locks = None;
            self.trace.push(Operation { client, hart: 0, instructions: 20, begin, end: begin + 1, what, locks });
        }
    }

    impl Lists for Right<'_> {
        type Stop = std::convert::Infallible;
        fn phase(&mut self, _: &'static str) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn move_to(&mut self, _: u64) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn allocate(&mut self) -> Result<Option<u64>, Self::Stop> {
            let page = self.free.pop();
            self.note(What::Allocate(page));
            Ok(page)
        }
        fn free(&mut self, address: u64) -> Result<(), Self::Stop> {
            self.free.push(address);
            self.note(What::Free(address));
            Ok(())
        }
        fn count(&mut self) -> Result<(), Self::Stop> {
            let free = self.free.len() as u64;
            self.note(What::Count(free));
            Ok(())
        }
    }

    /// What a boot reported whose lists are right.
    fn right() -> Reading {
        let workload = Workload::parse(SCRIPT.split_ascii_whitespace().skip(1)).unwrap();
        let (mut free, mut trace) = ((8..16).map(|page| page * 4096).collect(), Vec::new());
        let mut room = vec![0; MOST_HELD];
        for client in 0..=workload.counter() {
            let Ok(()) = workload.run(client, &mut Right { client, free: &mut free, trace: &mut trace }, &mut room);
        }
        let region = Region { start: 8 * 4096, pages: 8, managed_start: 8 * 4096, managed_pages: 8 };
        let pool = Pool { name: "arena".into(), max_order: 0, origin: 0, regions: vec![region] };
        let traced = Some(TracedPool { pool, allocator: "per_hart".into() });
        Reading { traced, lists: trace, ..Reading::of_serial("") }
    }

    fn weighed(reading: &Reading) -> Weighed {
        weigh(&Weighing { script: &[SCRIPT.to_owned()], reading, oracles: &["lists"] })
    }

    #[test]
    fn a_right_trace_is_its_workloads_and_breaks_no_rule() {
        let weighed = weighed(&right());
        assert_eq!(weighed.departure, None);
        assert!(weighed.judgements["lists"].is_telling() && weighed.judgements["lists"].groups.is_empty());
        assert!(!weighed.figures.contains_key("locks.shared"), "no lock was reported");
    }

    #[test]
    fn a_trace_that_was_cut_off_made_up_or_goes_on_departs_from_its_workloads() {
        let departure = |change: fn(&mut Vec<Operation>)| {
            let mut reading = right();
            change(&mut reading.lists);
            weighed(&reading).departure.unwrap_or_default()
        };
        assert!(
            departure(|trace| trace.truncate(trace.len() - 1))
                .contains("after 19 operations of client 2, before all were made")
        );
        assert!(
            departure(|trace| trace.retain(|operation| operation.begin != 6))
                .contains("is not what client 0 asks there")
        );
        assert!(departure(|trace| trace.retain(|operation| operation.client != 1)).contains("of client 1"));
        let surplus = |trace: &mut Vec<Operation>| {
            let last = trace[trace.len() - 1];
            trace.push(Operation { begin: last.end + 1, end: last.end + 2, ..last });
        };
        assert!(departure(surplus).contains("claims to be of client 2, whose workload makes no more"));
    }
}
