//! What one boot proves: its transcript read, its trace beside the workloads that made it, and what the oracles
//! find in it. Each is worked out once, however many checks ask.

use std::collections::BTreeMap;

use abi::page::KERNEL_CLIENT;

use crate::lab::{Rule, SessionId};
use crate::oracle::metrics::{self, Instructions};
use crate::oracle::requests::{self, Departure, Request};
use crate::oracle::{self, Case, Findings, Judgement};
use crate::owner::Owner;
use crate::serial::reading::Reading;

/// One boot, weighed.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The boot.
    pub boot: SessionId,
    /// The script that it ran.
    pub script: Vec<String>,
    /// What its transcript says.
    pub reading: &'a Reading,
    /// Instructions by phase of the workloads.
    pub phases: BTreeMap<&'static str, Instructions>,
    departures: Vec<Departure>,
    judgements: BTreeMap<&'static str, Judgement>,
}

/// Why a boot proves nothing in the submission's favour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Whose fault that is.
    pub owner: Owner,
    /// In a sentence.
    pub reason: String,
}

impl<'a> Evidence<'a> {
    /// Weighs a transcript against the script that was to be run, for the oracles named.
    pub fn weigh(boot: SessionId, script: Vec<String>, reading: &'a Reading, oracles: &[&str]) -> Self {
        let workloads: Vec<_> = script.iter().filter_map(|line| oracle::workload_of(line)).collect();
        let comparison = requests::compare(&workloads, &reading.trace);
        let phases = metrics::by_phase(&reading.trace, &comparison.phases);
        let mut judgements = BTreeMap::new();
        if let Some(traced) = &reading.traced {
            let case = Case { pool: &traced.pool, operations: &reading.trace, phases: &comparison.phases };
            for oracle in oracles.iter().filter_map(|name| oracle::find(name)) {
                judgements.insert(oracle.name, (oracle.judge)(&case));
            }
        }
        Self { boot, script, phases, departures: comparison.departures, judgements, reading }
    }

    /// What an oracle's rules find in the trace.
    pub fn findings(&self, rule: &Rule) -> Option<&Findings> {
        self.judgements.get(rule.oracle.as_str())?.groups.get(rule.group.as_str())
    }

    /// Why the trace is too thin for a rule to be proven by it.
    pub fn doubt_of_substance(&self, rule: &Rule) -> Option<Doubt> {
        let judgement = self.judgements.get(rule.oracle.as_str())?;
        if judgement.is_telling() {
            return None;
        }
        let Judgement { due, met, .. } = judgement;
        let reason = format!(
            "session {}: of {due} requests that could be met, {met} were; that is too little to show that the rule holds",
            self.boot
        );
        Some(Doubt { owner: Owner::Submission, reason })
    }

    /// Why the trace proves nothing: it is missing, damaged, cut off, or not the workload's.
    pub fn doubt_of_trace(&self) -> Option<Doubt> {
        let reading = self.reading;
        let ending = &reading.ending;
        if ending.owner() == Some(Owner::Harness) {
            return Some(Doubt { owner: Owner::Harness, reason: format!("session {}: {ending}", self.boot) });
        }
        let submission = |reason| Some(Doubt { owner: Owner::Submission, reason });
        if let Some(damage) = reading.distrust() {
            return submission(format!("session {}: the records are damaged at {damage}", self.boot));
        }
        if !reading.trace_is_whole() {
            return submission(format!("session {}: operations are missing from the trace", self.boot));
        }
        if reading.traced.is_none() {
            return submission(format!("session {}: no allocator was traced; {ending}", self.boot));
        }
        self.departures.first().and_then(|departure| submission(self.departed(departure)))
    }

    fn departed(&self, departure: &Departure) -> String {
        let (boot, ending) = (&self.boot, &self.reading.ending);
        match departure {
            Departure::Missing { client, made, phase } => format!(
                "session {boot} ended in phase \"{phase}\" after {made} operations of client {client}, before all were made: {ending}"
            ),
            Departure::Other { at, client, due } => {
                let due = match due {
                    Request::Allocate(pages) => format!("allocate {pages} pages"),
                    Request::Free(address, pages) => format!("free {pages} pages at {address:#x}"),
                    Request::Statistics => "statistics".to_owned(),
                };
                format!(
                    "session {boot}: operation {at} is not what client {client} asks there, which is \"{due}\"; this is not the trace of the workload that was run"
                )
            }
            Departure::Surplus { at, client } => format!(
                "session {boot}: operation {at} claims to be of client {client}, whose workload makes no more; this is not the trace of the workload that was run"
            ),
        }
    }

    /// Why the programs of the script did not all end well.
    pub fn doubt_of_programs(&self) -> Option<Doubt> {
        use crate::serial::record::Outcome;
        let ending = &self.reading.ending;
        let boot = &self.boot;
        if ending.owner() == Some(Owner::Harness) {
            return Some(Doubt { owner: Owner::Harness, reason: format!("session {boot}: {ending}") });
        }
        let submission = |reason| Some(Doubt { owner: Owner::Submission, reason });
        for (line, program) in self.script.iter().zip(&self.reading.programs) {
            if *line != program.script {
                return submission(format!("session {boot}: ran {:?} where {line:?} was due", program.script));
            }
            let Some(end) = &program.end else {
                return submission(format!("session {boot}: {line:?} did not end; {ending}"));
            };
            match &end.outcome {
                Outcome::Exited(0) => {}
                Outcome::Exited(status) => {
                    return submission(format!("session {boot}: {line:?} ended with status {status}"));
                }
                Outcome::Killed(why) => return submission(format!("session {boot}: {line:?} was killed: {why}")),
            }
            if end.free_pages != program.free_pages {
                let (before, after) = (program.free_pages, end.free_pages);
                return submission(format!(
                    "session {boot}: {before} pages were free before {line:?} and {after} after it; all must come back"
                ));
            }
        }
        if self.reading.programs.len() != self.script.len() {
            let (ran, due) = (self.reading.programs.len(), self.script.len());
            return submission(format!("session {boot}: {ran} of {due} programs ran; {ending}"));
        }
        if let Some(damage) = self.reading.distrust() {
            return submission(format!("session {boot}: the records are damaged at {damage}"));
        }
        ending.owner().and_then(|_| submission(format!("session {boot}: {ending}")))
    }

    /// Operations of the test programs, the kernel's own left out.
    pub fn operations(&self) -> u64 {
        self.reading.trace.iter().filter(|operation| operation.client != KERNEL_CLIENT).count() as u64
    }
}
