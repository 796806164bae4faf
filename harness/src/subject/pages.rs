//! Page allocators: a pool of the kernel's, whose every operation the kernel traces.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use abi::page::KERNEL_CLIENT;
use abi::workload::Workload;

use super::{Quantity, Subject, Weighed, Weighing};
use crate::oracle::extents::fragmentation;
use crate::oracle::metrics::{self, STATISTICS};
use crate::oracle::requests::{self, Comparison, Departure, Request};
use crate::oracle::{self, Case, Judging};
use crate::serial::reading::Reading;
use crate::trace::What;

/// Listed in [`super::SUBJECTS`].
pub(super) const SUBJECT: Subject = Subject {
    name: "pages",
    programs: &["buddytest", "buddybench", "extenttest", EXTENT_BENCH],
    check_arguments: |arguments| {
        Workload::parse(arguments.split_ascii_whitespace()).map(drop).map_err(|bad| bad.to_string())
    },
    statistics: &STATISTICS,
    weigh,
    trace_text,
};

/// The program that drives an allocator of extents for its figures: beside them belongs what its choices cost.
const EXTENT_BENCH: &str = "extentbench";

fn compare(weighing: &Weighing<'_>) -> Comparison {
    let workloads: Vec<Workload> = weighing
        .arguments(SUBJECT.programs)
        .filter_map(|arguments| Workload::parse(arguments.split_ascii_whitespace()).ok())
        .collect();
    requests::compare(&workloads, &weighing.reading.trace)
}

fn weigh(weighing: &Weighing<'_>) -> Weighed {
    let reading = weighing.reading;
    let Comparison { phases, departures } = compare(weighing);
    let Some(traced) = &reading.traced else {
        let departure = Some(format!("no allocator was traced; {}", reading.ending));
        return Weighed { departure, ..Weighed::default() };
    };
    let case = Case { pool: &traced.pool, operations: &reading.trace, phases: &phases };
    let mut judgements = BTreeMap::new();
    for oracle in weighing.oracles.iter().filter_map(|name| oracle::find(name)) {
        let Judging::Pages(judge) = oracle.judging else { continue };
        judgements.insert(oracle.name, judge(&case));
    }
    let is_extent_bench = weighing.arguments(&[EXTENT_BENCH]).next().is_some();
    let tables = is_extent_bench.then(|| fragmentation::table(&case)).into_iter().collect();
    let phases = metrics::by_phase(&reading.trace, &phases);
    let figures = phases.iter().flat_map(|(phase, instructions)| {
        let quantity = |statistic: &&str| {
            let value = instructions.get(statistic)?;
            Some((format!("{phase}.{statistic}"), Quantity { value, unit: "guest instructions" }))
        };
        STATISTICS.iter().filter_map(quantity).collect::<Vec<_>>()
    });
    Weighed {
        operations: reading.trace.iter().filter(|operation| operation.client != KERNEL_CLIENT).count() as u64,
        departure: departures.first().map(|departure| departed(departure, reading)),
        figures: figures.collect(),
        phases: phases.into_iter().map(|(phase, figures)| (phase.to_owned(), figures)).collect(),
        judgements,
        tables,
    }
}

fn departed(departure: &Departure, reading: &Reading) -> String {
    const NOT_OURS: &str = "this is not the trace of the workload that was run";
    match departure {
        Departure::Missing { client, made, phase } => format!(
            "it ended in phase \"{phase}\" after {made} operations of client {client}, before all were made: {}",
            reading.ending
        ),
        Departure::Other { at, client, due } => {
            let due = match due {
                Request::Allocate(pages) => format!("allocate {pages} pages"),
                Request::Free(address, pages) => format!("free {pages} pages at {address:#x}"),
                Request::Statistics => "statistics".to_owned(),
            };
            format!("operation {at} is not what client {client} asks there, which is \"{due}\"; {NOT_OURS}")
        }
        Departure::Surplus { at, client } => {
            format!("operation {at} claims to be of client {client}, whose workload makes no more; {NOT_OURS}")
        }
    }
}

fn trace_text(weighing: &Weighing<'_>) -> Option<String> {
    let trace = &weighing.reading.trace;
    if trace.is_empty() {
        return None;
    }
    let phases = compare(weighing).phases;
    let mut text = String::from("# number  client hart instructions  operation  (phase, where it changes)\n");
    let mut phase = "";
    for (at, operation) in trace.iter().enumerate() {
        let client = match operation.client {
            KERNEL_CLIENT => "kernel".to_owned(),
            client => client.to_string(),
        };
        let what = match operation.what {
            What::Allocate { pages, answer: Ok(address) } => format!("allocate {pages} -> {address:#x}"),
            What::Allocate { pages, answer: Err(error) } => format!("allocate {pages} -> {error}"),
            What::Free { address, pages, answer: Ok(()) } => format!("free {pages} at {address:#x}"),
            What::Free { address, pages, answer: Err(error) } => format!("free {pages} at {address:#x} -> {error}"),
            What::Statistics(said) => format!("statistics -> {} free in {:?}", said.free_pages, said.free_blocks),
        };
        let changed = if phases[at].is_empty() || phases[at] == phase { "" } else { phases[at] };
        phase = if phases[at].is_empty() { phase } else { phases[at] };
        let note = if changed.is_empty() { String::new() } else { format!("  ({changed})") };
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "{at:>8} {client:>8} {:>4} {:>12}  {what}{note}", operation.hart, operation.instructions);
    }
    Some(text)
}
