//! What can be under test: which programs of a script drive it, and what the trace that they leave proves.
//!
//! A new subject is a file beside its siblings and one line in [`SUBJECTS`].

mod buffers;
pub mod heap;
mod lists;
mod locks;
pub mod objects;
mod pages;
mod spaces;
pub mod table;

use std::collections::BTreeMap;

use crate::oracle::Judgement;
use crate::oracle::metrics::Instructions;
use crate::serial::reading::Reading;
use table::Table;

/// One kind of thing under test.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// What lab authors and reports call it.
    pub name: &'static str,
    /// The programs that drive it; the harness adds its seed to their script lines.
    pub programs: &'static [&'static str],
    /// Why the arguments of one of the programs, its own name left out, make no sense.
    pub check_arguments: fn(&str) -> Result<(), String>,
    /// What the name of a `metric` can end in.
    pub statistics: &'static [&'static str],
    /// Weighs what a boot reported of it.
    pub weigh: fn(&Weighing<'_>) -> Weighed,
    /// Its trace as text, one operation a line with the number that findings name; `None` without a trace.
    pub trace_text: fn(&Weighing<'_>) -> Option<String>,
}

/// What there is to weigh of one boot.
#[derive(Debug, Clone, Copy)]
pub struct Weighing<'a> {
    /// The script that the boot was to run, seeds included.
    pub script: &'a [String],
    /// What its transcript says.
    pub reading: &'a Reading,
    /// The names of the oracles that checks ask.
    pub oracles: &'a [&'a str],
}

impl<'a> Weighing<'a> {
    /// The arguments of every script line that runs one of these programs, in order.
    pub fn arguments(&self, programs: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
        self.script.iter().filter_map(|line| {
            let (program, arguments) = split(line);
            programs.contains(&program).then_some(arguments)
        })
    }
}

/// What a boot proves of a subject.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weighed {
    /// Operations of test programs in the trace.
    pub operations: u64,
    /// Why the trace is not that of the workloads that were run, if it is not: nothing was traced, or it departs from
    /// what the seed draws.
    pub departure: Option<String>,
    /// Guest instructions per operation, by phase of the workloads.
    pub phases: BTreeMap<String, Instructions>,
    /// Every figure that a `metric` check can name.
    pub figures: BTreeMap<String, Quantity>,
    /// What the oracles say, by name.
    pub judgements: BTreeMap<&'static str, Judgement>,
    /// What reports show beside the checks.
    pub tables: Vec<Table>,
}

impl Weighed {
    /// Both together; the first departure counts.
    fn and(mut self, other: Self) -> Self {
        let Self { operations, departure, phases, figures, judgements, tables } = other;
        self.operations += operations;
        self.departure = self.departure.or(departure);
        self.phases.extend(phases);
        self.figures.extend(figures);
        self.judgements.extend(judgements);
        self.tables.extend(tables);
        self
    }
}

/// A figure with what it counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

/// Every subject there is.
pub const SUBJECTS: [Subject; 6] =
    [pages::SUBJECT, heap::SUBJECT, lists::SUBJECT, objects::SUBJECT, buffers::SUBJECT, spaces::SUBJECT];

/// Weighs a boot for every subject that its script drives.
pub fn weigh(weighing: &Weighing<'_>) -> Weighed {
    let driven = SUBJECTS.iter().filter(|subject| weighing.arguments(subject.programs).next().is_some());
    driven.map(|subject| (subject.weigh)(weighing)).fold(Weighed::default(), Weighed::and)
}

/// The traces of every subject as text.
pub fn trace_texts(weighing: &Weighing<'_>) -> impl Iterator<Item = String> {
    SUBJECTS.iter().filter_map(|subject| (subject.trace_text)(weighing))
}

/// Whether a script line runs a program that draws from a seed.
pub fn draws(line: &str) -> bool {
    SUBJECTS.iter().any(|subject| subject.programs.contains(&split(line).0))
}

/// A script line as its program and the rest.
fn split(line: &str) -> (&str, &str) {
    line.trim().split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((line.trim(), ""))
}
