//! The heap of a program: every request to it is reported by the program that makes them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;

use abi::heap::rep::Reader;
use abi::heap::workload::{FROM_HEAP, FROM_POOL, Part, Scenario, Workload};
use abi::heap::{Client, Expect, Request};

use super::table::{Column, Table};
use super::{Quantity, Subject, Weighed, Weighing};
use crate::oracle::heap::{Case, Operation, asked, judge};
use crate::oracle::{self, Judging};
use crate::serial::reading::Reading;
use crate::serial::record::Heap;

/// Listed in [`super::SUBJECTS`].
pub(super) const SUBJECT: Subject = Subject {
    name: "heap",
    programs: &["umalloctest"],
    check_arguments: |arguments| {
        Workload::parse(arguments.split_ascii_whitespace()).map(drop).map_err(|bad| bad.to_string())
    },
    statistics: &["mean", "utilisation", "speedup"],
    weigh,
    trace_text,
};

/// A page, to count free memory in.
const PAGE: u64 = abi::page::PAGE_SIZE;

/// The parts of a workload as they were reported, and where that departs from what the seed draws.
struct Parts {
    cases: Vec<(Part, Case)>,
    departure: Option<String>,
}

fn weigh(weighing: &Weighing<'_>) -> Weighed {
    let Parts { cases, departure } = read(weighing);
    let (traces, plain): (Vec<_>, Vec<_>) = cases.iter().partition(|(part, _)| matches!(part, Part::Trace(_)));
    let mut weighed = Weighed {
        operations: cases.iter().map(|(_, case)| case.operations.len() as u64).sum(),
        departure,
        ..Weighed::default()
    };
    measure_traces(&traces, &replayed(weighing), &mut weighed);
    if let Some((_, case)) = plain.iter().find(|(part, _)| *part == Part::Whole(Scenario::Pool)) {
        measure_pool(case, &mut weighed.figures);
    }
    let cases: Vec<Case> = cases.into_iter().map(|(_, case)| case).collect();
    for oracle in weighing.oracles.iter().filter_map(|name| oracle::find(name)) {
        let Judging::Heap(judge) = oracle.judging else { continue };
        weighed.judgements.insert(oracle.name, judge(&cases));
    }
    weighed
}

/// The program's word for replaying a file.
const REPLAY: &str = "replay";

/// Where a trace with that name lies in the initrd.
pub fn trace_file(name: &str) -> String {
    format!("traces/{name}.rep")
}

/// What a script needs to replay such a file, if it replays the lab's own traces.
pub fn replay(script: &[String], name: &str) -> Option<String> {
    let parse = |line: &String| {
        let (program, arguments) = super::split(line);
        SUBJECT.programs.contains(&program).then(|| Workload::parse(arguments.split_ascii_whitespace()).ok())?
    };
    let traces = script.iter().filter_map(parse).any(|workload| workload.scenario == Scenario::Traces);
    traces.then(|| format!("{} {REPLAY} {name}", SUBJECT.programs[0]))
}

/// Reads a trace to its end.
///
/// # Errors
/// The first line that makes no sense, and what was expected there.
pub fn check_trace(text: &str) -> Result<(), String> {
    let mut reader = Reader::new(text).map_err(|bad| bad.to_string())?;
    while reader.next_request().map_err(|bad| bad.to_string())?.is_some() {}
    Ok(())
}

/// What was reported of traces from files. They are what the program says they are: nothing is scored by them.
fn replayed(weighing: &Weighing<'_>) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for record in &weighing.reading.heap {
        let program = record.program.and_then(|index| weighing.reading.programs.get(index));
        let mut words = program.into_iter().flat_map(|program| program.script.split_ascii_whitespace());
        if words.nth(1) != Some(REPLAY) {
            continue;
        }
        let Heap { part, client, from, start, entries } = &record.what;
        if cases.last().is_none_or(|case| case.part != *part) {
            let (part, operations) = (part.clone(), Vec::new());
            cases.push(Case { part, clients: 1, start: *start, memory: u64::MAX, operations });
        }
        let operation =
            |(number, &entry)| Operation { client: *client, number, phase: "", expect: Expect::Nothing, entry };
        if let Some(case) = cases.last_mut() {
            case.operations.extend((*from..).zip(entries).map(operation));
        }
    }
    cases
}

/// Figures of the traces, one by one in a table, and over all of them: each counts the same, however long it is.
fn measure_traces(traces: &[&(Part, Case)], given: &[Case], weighed: &mut Weighed) {
    const INSTRUCTIONS: &str = "guest instructions";
    if traces.is_empty() {
        return;
    }
    let mut table = Table::new(
        "trace",
        [
            Column::new("requests", 0),
            Column::new("peak KiB", 1),
            Column::new("heap KiB", 1),
            Column::new("utilisation %", 1).compared(),
            Column::new("instructions", 1).compared(),
        ],
    );
    let (mut utilisations, mut means) = (0.0, 0.0);
    let row = |case: &Case| {
        let judged = judge(case);
        let utilisation = 100.0 * judged.peak as f64 / judged.heap as f64;
        let kibibytes = |bytes: u64| bytes as f64 / 1024.0;
        let requests = case.operations.len() as f64;
        [requests, kibibytes(judged.peak), kibibytes(judged.heap), utilisation, mean(case.operations.iter())]
    };
    for (part, case) in traces {
        let figures @ [.., utilisation, mean] = row(case);
        table.push(part.word(), figures);
        for (statistic, value, unit) in [("utilisation", utilisation, "%"), ("mean", mean, INSTRUCTIONS)] {
            if value.is_finite() {
                weighed.figures.insert(format!("{}.{statistic}", part.word()), Quantity { value, unit });
            }
        }
        utilisations += utilisation;
        means += mean;
    }
    let count = traces.len() as f64;
    let (utilisation, mean) = (utilisations / count, means / count);
    table.push("all", [f64::NAN, f64::NAN, f64::NAN, utilisation, mean]);
    if utilisation.is_finite() && mean.is_finite() {
        weighed.figures.insert("traces.utilisation".to_owned(), Quantity { value: utilisation, unit: "%" });
        weighed.figures.insert("traces.mean".to_owned(), Quantity { value: mean, unit: INSTRUCTIONS });
    }
    for case in given {
        table.push(format!("{} (given)", case.part), row(case));
    }
    weighed.tables.push(table);
}

/// How fast a pool is beside the heap on the same sizes.
fn measure_pool(case: &Case, figures: &mut BTreeMap<String, Quantity>) {
    let of = |phase: &str| mean(case.operations.iter().filter(|operation| operation.phase == phase));
    let (pool, heap) = (of(FROM_POOL), of(FROM_HEAP));
    // A pool that takes no instructions at all took no requests either.
    if pool > 0.0 && heap.is_finite() {
        figures.insert("pool.speedup".to_owned(), Quantity { value: heap / pool, unit: "times umalloc" });
    }
}

/// Instructions a request; not a number without any.
fn mean<'a>(operations: impl Iterator<Item = &'a Operation>) -> f64 {
    let (mut count, mut sum) = (0u64, 0u64);
    for operation in operations {
        count += 1;
        sum = sum.saturating_add(operation.entry.instructions);
    }
    sum as f64 / count as f64
}

/// Puts what was reported beside what the seed draws.
fn read(weighing: &Weighing<'_>) -> Parts {
    let reading = weighing.reading;
    let mut parts = Parts { cases: Vec::new(), departure: None };
    let mut after = 0;
    for line in weighing.script.iter().filter(|line| SUBJECT.programs.contains(&super::split(line).0)) {
        let Ok(workload) = Workload::parse(super::split(line).1.split_ascii_whitespace()) else { continue };
        let ran = reading.programs.iter().enumerate().skip(after).find(|(_, program)| program.script == *line);
        let Some((index, program)) = ran else {
            parts.departure.get_or_insert_with(|| format!("{line:?} did not run; {}", reading.ending));
            continue;
        };
        after = index + 1;
        for part in workload.parts() {
            let mut case = Case {
                part: part.word().to_owned(),
                clients: workload.clients,
                start: 0,
                memory: program.free_pages.saturating_mul(PAGE),
                operations: Vec::new(),
            };
            for client in 0..workload.clients {
                let drawn = draw(&workload, part, client);
                if let Err(departure) = read_client(reading, index, &drawn, client, &mut case) {
                    parts.departure.get_or_insert(departure);
                }
            }
            if !case.operations.is_empty() {
                parts.cases.push((part, case));
            }
        }
    }
    parts
}

/// Adds what a client reported to its part, up to where it departs from what was drawn.
fn read_client(reading: &Reading, program: usize, drawn: &Drawn, client: u8, case: &mut Case) -> Result<(), String> {
    let part = case.part.clone();
    let of = || if case.clients > 1 { format!("thread {client} of part {part:?}") } else { format!("part {part:?}") };
    let mut due = drawn.requests.iter();
    let mut number = 0;
    let records = reading.heap.iter().filter(|record| record.program == Some(program));
    for record in records.map(|record| &record.what).filter(|record| record.part == part && record.client == client) {
        case.start = record.start;
        if record.from != number {
            return Err(format!(
                "after request {number} of {} the next one that was reported is {}",
                of(),
                record.from
            ));
        }
        for &entry in &record.entries {
            let Some(&(request, phase, expect)) = due.next() else {
                return Err(format!("request {number} of {} is one more than its workload makes", of()));
            };
            if request != entry.request {
                let (due, made) = (asked(&request), asked(&entry.request));
                return Err(format!(
                    "request {number} of {} is \"{made}\", and \"{due}\" is due there; these are not the requests of the workload that was run",
                    of()
                ));
            }
            case.operations.push(Operation { client, number, phase, expect, entry });
            number += 1;
        }
    }
    let Some((_, phase, _)) = due.next() else { return Ok(()) };
    // The heap lives in the program, and can take it down.
    let said = format!("umalloctest: {part} was killed");
    let line = reading.console.iter().find(|line| line.program == Some(program) && line.what.starts_with(&said));
    let why = line.map_or_else(|| reading.ending.to_string(), |line| line.what.clone());
    Err(format!(
        "{} ended in phase \"{phase}\" after {number} requests were reported, before all were made: {why}",
        of()
    ))
}

/// The requests of a client, each with its phase and what is expected in it.
struct Drawn {
    requests: Vec<(Request, &'static str, Expect)>,
    phase: (&'static str, Expect),
}

impl Client for Drawn {
    type Stop = Infallible;

    fn phase(&mut self, name: &'static str, expect: Expect) -> Result<(), Infallible> {
        self.phase = (name, expect);
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), Infallible> {
        self.requests.push((request, self.phase.0, self.phase.1));
        Ok(())
    }
}

fn draw(workload: &Workload, part: Part, client: u8) -> Drawn {
    let mut drawn = Drawn { requests: Vec::new(), phase: ("", Expect::Nothing) };
    workload.run(part, client, &mut drawn);
    drawn
}

fn trace_text(weighing: &Weighing<'_>) -> Option<String> {
    let parts = read(weighing).cases;
    if parts.is_empty() {
        return None;
    }
    let mut text = String::new();
    for (_, case) in &parts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# part {}: number  client  instructions  heap  request -> answer  (phase)", case.part);
        let mut phase = "";
        for operation in &case.operations {
            let Operation { client, number, entry, .. } = operation;
            let heap = entry.end.saturating_sub(case.start);
            let note = if operation.phase == phase { String::new() } else { format!("  ({})", operation.phase) };
            phase = operation.phase;
            let _ = writeln!(
                text,
                "{number:>8} {client:>3} {:>8} {heap:>10}  {} -> {:#x}{note}",
                entry.instructions,
                asked(&entry.request),
                entry.answer
            );
        }
    }
    Some(text)
}
