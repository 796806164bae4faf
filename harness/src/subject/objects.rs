//! Object caches, whose every operation the kernel traces hart by hart.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use abi::object::SlabError;
use abi::object_workload::{MOST_HELD, Objects, SHARED_CACHES, Workload};

use super::table::{Column, Table};
use super::{Quantity, Subject, Weighed, Weighing};
use crate::object_trace::{self, Operation, Trace, What};
use crate::oracle::metrics::Instructions;
use crate::oracle::slab::{Case, request};
use crate::oracle::{self, Judging};
use crate::trace::OpIndex;

/// Listed in [`super::SUBJECTS`].
pub(super) const SUBJECT: Subject = Subject {
    name: "objects",
    programs: &PROGRAMS,
    check_arguments: |arguments| {
        Workload::parse(arguments.split_ascii_whitespace()).map(drop).map_err(|bad| bad.to_string())
    },
    statistics: &["mean", "median", "p99", "worst", "locks"],
    weigh,
    trace_text,
};

const PROGRAMS: [&str; 2] = ["slabtest", "slabbench"];

/// Whether a script line drives object caches, so that they are what the kernel must trace.
pub fn are_driven_by(line: &str) -> bool {
    PROGRAMS.contains(&super::split(line).0)
}

/// The trace beside the workloads that made it.
struct Compared {
    trace: Trace,
    /// The phase of each operation; empty for those that no workload makes.
    phases: Vec<&'static str>,
    departure: Option<String>,
}

fn compare(weighing: &Weighing<'_>) -> Compared {
    let workloads = weighing.arguments(&PROGRAMS);
    let workloads: Vec<Workload> =
        workloads.filter_map(|arguments| Workload::parse(arguments.split_ascii_whitespace()).ok()).collect();
    let trace = object_trace::assemble(&weighing.reading.objects);
    let mut by_client: BTreeMap<u8, Vec<OpIndex>> = BTreeMap::new();
    for (at, operation) in trace.operations.iter().enumerate() {
        by_client.entry(operation.client).or_default().push(at);
    }
    let mut phases = vec![""; trace.operations.len()];
    let mut replays: BTreeMap<u8, Replay<'_>> = BTreeMap::new();
    for (&client, indices) in &by_client {
        let left = indices.as_slice();
        replays.insert(client, Replay { operations: &trace.operations, left, made: Vec::new(), phase: "start" });
    }
    let mut room = vec![0; MOST_HELD];
    let mut departure = None;
    for workload in &workloads {
        departure = departure.or_else(|| run(workload, &mut replays, &trace, &mut room).err());
    }
    let ending = &weighing.reading.ending;
    let mut departure = departure.map(|(client, stop)| {
        let (made, phase) = replays.get(&client).map_or((0, "start"), |replay| (replay.made.len(), replay.phase));
        match stop {
            Stop::End => format!(
                "it ended in phase \"{phase}\" after {made} operations of client {client}, before all were made: {ending}"
            ),
            Stop::Other { at } => {
                format!("operation {at} is not what client {client} asks there, in phase \"{phase}\"; {NOT_OURS}")
            }
        }
    });
    for (client, replay) in &replays {
        for &(at, phase) in &replay.made {
            phases[at] = phase;
        }
        if let (None, Some(at)) = (&departure, replay.left.first()) {
            departure = Some(format!(
                "operation {at} claims to be of client {client}, whose workload makes no more; {NOT_OURS}"
            ));
        }
    }
    drop(replays);
    Compared { trace, phases, departure }
}

const NOT_OURS: &str = "this is not the trace of the workload that was run";

/// Draws one workload again, client by client.
fn run<'a>(
    workload: &Workload,
    replays: &mut BTreeMap<u8, Replay<'a>>,
    trace: &'a Trace,
    room: &mut [u64],
) -> Result<(), (u8, Stop)> {
    let mut replay_of = |client: u8, part: &mut dyn FnMut(&mut Replay<'a>) -> Result<(), Stop>| {
        let none = Replay { operations: &trace.operations, left: &[], made: Vec::new(), phase: "start" };
        part(replays.entry(client).or_insert(none)).map_err(|stop| (client, stop))
    };
    let mut shared = [0; SHARED_CACHES];
    replay_of(0, &mut |replay| workload.begin(replay, room).map(|caches| shared = caches))?;
    for client in 1..=workload.clients_beside() {
        replay_of(client, &mut |replay| workload.share(client, shared, replay, room))?;
    }
    replay_of(0, &mut |replay| workload.finish(shared, replay))
}

/// One client's part of a trace, answering its workload from what is recorded.
struct Replay<'a> {
    operations: &'a [Operation],
    left: &'a [OpIndex],
    made: Vec<(OpIndex, &'static str)>,
    phase: &'static str,
}

#[derive(Debug)]
enum Stop {
    End,
    Other { at: OpIndex },
}

impl Replay<'_> {
    /// The next recorded operation, when it is the one that is due.
    fn next<T>(&mut self, answer: impl FnOnce(&Operation) -> Option<T>) -> Result<T, Stop> {
        let (&at, left) = self.left.split_first().ok_or(Stop::End)?;
        let answer = answer(&self.operations[at]).ok_or(Stop::Other { at })?;
        self.made.push((at, self.phase));
        self.left = left;
        Ok(answer)
    }
}

impl Objects for Replay<'_> {
    type Stop = Stop;

    fn phase(&mut self, name: &'static str) -> Result<(), Stop> {
        self.phase = name;
        Ok(())
    }

    fn create(&mut self, due: u64, due_align: u64, flags: u8) -> Result<Result<u8, SlabError>, Stop> {
        self.next(|operation| match operation.what {
            What::Create { size, align, answer } if (size, align) == (due, due_align) && operation.flags == flags => {
                Some(answer.map(|()| operation.cache))
            }
            _ => None,
        })
    }

    fn destroy(&mut self, cache: u8) -> Result<Result<(), SlabError>, Stop> {
        self.next(|operation| match operation.what {
            What::Destroy(answer) if operation.cache == cache => Some(answer),
            _ => None,
        })
    }

    fn shrink(&mut self, cache: u8) -> Result<(), Stop> {
        self.next(|operation| (operation.cache == cache && matches!(operation.what, What::Shrink(_))).then_some(()))
    }

    fn allocate(&mut self, cache: u8) -> Result<Result<u64, SlabError>, Stop> {
        self.next(|operation| match operation.what {
            What::Allocate { answer, .. } if operation.cache == cache => Some(answer),
            _ => None,
        })
    }

    fn free(&mut self, cache: u8, due: u64, flags: u8) -> Result<Result<(), SlabError>, Stop> {
        use abi::object::{SCRIBBLE, WRONG};
        self.next(|operation| match operation.what {
            What::Free { address, answer, .. }
                if (operation.cache, address) == (cache, due) && operation.flags & (SCRIBBLE | WRONG) == flags =>
            {
                Some(answer)
            }
            _ => None,
        })
    }

    fn info(&mut self, cache: u8) -> Result<u64, Stop> {
        self.next(|operation| match operation.what {
            What::Info(info) if operation.cache == cache => Some(info.pages_per_slab),
            _ => None,
        })
    }

    fn kmalloc(&mut self, due: u64) -> Result<Result<u64, SlabError>, Stop> {
        self.next(|operation| match operation.what {
            What::Allocate { bytes, answer } if operation.cache == abi::object::GENERAL && bytes == due => Some(answer),
            _ => None,
        })
    }

    fn kfree(&mut self, due: u64, due_bytes: u64) -> Result<Result<(), SlabError>, Stop> {
        self.next(|operation| match operation.what {
            What::Free { address, bytes, answer }
                if operation.cache == abi::object::GENERAL && (address, bytes) == (due, due_bytes) =>
            {
                Some(answer)
            }
            _ => None,
        })
    }
}

fn weigh(weighing: &Weighing<'_>) -> Weighed {
    let Compared { trace, phases, mut departure } = compare(weighing);
    if trace.operations.is_empty() {
        departure = Some(format!("no object cache was traced; {}", weighing.reading.ending));
        return Weighed { departure, ..Weighed::default() };
    }
    let case = Case { trace: &trace, phases: &phases };
    let mut judgements = BTreeMap::new();
    for oracle in weighing.oracles.iter().filter_map(|name| oracle::find(name)) {
        if let Judging::Objects(judge) = oracle.judging {
            judgements.insert(oracle.name, judge(&case));
        }
    }
    let mut figures = BTreeMap::new();
    let mut instructions_of = BTreeMap::new();
    let columns = [
        Column::new("operations", 0),
        Column::new("moves in 1000", 1).compared(),
        Column::new("locks an operation", 3).compared(),
    ];
    let mut table = Table::new("objects between harts and slabs", columns);
    for (phase, operations) in by_phase(&trace, &phases) {
        let counted: Vec<f64> = operations.iter().filter_map(|operation| operation.locks.map(f64::from)).collect();
        if !counted.is_empty() {
            let count = counted.len() as f64;
            let locks = counted.iter().sum::<f64>() / count;
            let moves = counted.iter().filter(|&&locks| locks > 0.0).count() as f64 / count;
            table.push(phase, [operations.len() as f64, 1000.0 * moves, locks]);
            figures.insert(format!("{phase}.locks"), Quantity { value: locks, unit: "locks an operation" });
        }
        let Some(instructions) = Instructions::of(operations.iter().map(|operation| operation.instructions).collect())
        else {
            continue;
        };
        for statistic in oracle::metrics::STATISTICS {
            if let Some(value) = instructions.get(statistic) {
                figures.insert(format!("{phase}.{statistic}"), Quantity { value, unit: "guest instructions" });
            }
        }
        instructions_of.insert(phase.to_owned(), instructions);
    }
    Weighed {
        operations: trace.operations.len() as u64,
        departure,
        phases: instructions_of,
        figures,
        judgements,
        tables: vec![table],
    }
}

/// Allocations and frees by phase.
fn by_phase<'a>(trace: &'a Trace, phases: &[&'static str]) -> BTreeMap<&'static str, Vec<&'a Operation>> {
    let mut by_phase: BTreeMap<&'static str, Vec<&Operation>> = BTreeMap::new();
    for (operation, phase) in trace.operations.iter().zip(phases) {
        if !phase.is_empty() && matches!(operation.what, What::Allocate { .. } | What::Free { .. }) {
            by_phase.entry(phase).or_default().push(operation);
        }
    }
    by_phase
}

fn trace_text(weighing: &Weighing<'_>) -> Option<String> {
    if weighing.reading.objects.is_empty() {
        return None;
    }
    let Compared { trace, phases, .. } = compare(weighing);
    let mut text = String::from(
        "# number client hart locks instructions        begin          end  operation  (phase, where it changes)\n",
    );
    let mut phase = "";
    for (at, operation) in trace.operations.iter().enumerate() {
        let Operation { client, hart, locks, instructions, begin, end, .. } = operation;
        let (asked, answered) = request(operation);
        let locks = locks.map_or_else(|| "-".to_owned(), |locks| locks.to_string());
        let changed = if phases[at].is_empty() || phases[at] == phase { "" } else { phases[at] };
        phase = if phases[at].is_empty() { phase } else { phases[at] };
        let note = if changed.is_empty() { String::new() } else { format!("  ({changed})") };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{at:>8} {client:>6} {hart:>4} {locks:>5} {instructions:>12} {begin:>12} {end:>12}  {asked} -> {answered}{note}"
        );
    }
    Some(text)
}
