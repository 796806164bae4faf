//! What one boot proves: its transcript read, its trace beside the workloads that made it, and what the oracles
//! find in it. Each is worked out once, however many checks ask.

use crate::figures::Figures;
use crate::lab::console::Command;
use crate::lab::{Rule, SessionId};
use crate::oracle::{Findings, Judgement};
use crate::owner::Owner;
use crate::serial::reading::Reading;
use crate::subject::{self, Quantity, Weighed, Weighing};

/// One boot, weighed.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The boot.
    pub boot: SessionId,
    /// The script that it ran.
    pub script: Vec<String>,
    /// What its transcript says.
    pub reading: &'a Reading,
    /// What that proves of what was under test.
    pub weighed: Weighed,
    /// What was read off the console.
    pub figures: Figures,
    /// The kernel was asked for a trace, or traces whatever it is asked.
    pub traced: bool,
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
    pub fn weigh(
        boot: SessionId,
        script: Vec<String>,
        typed: &[Command],
        reading: &'a Reading,
        oracles: &[&str],
        traced: bool,
    ) -> Self {
        let mut weighed = subject::weigh(&Weighing { script: &script, reading, oracles });
        let figures = Figures::read(typed, reading);
        weighed.figures.extend(figures.found.clone());
        weighed.tables.extend(figures.table.clone());
        let traced = traced && script.iter().any(|line| subject::draws(line));
        Self { boot, script, reading, weighed, figures, traced }
    }

    /// What an oracle's rules find in the trace.
    pub fn findings(&self, rule: &Rule) -> Option<&Findings> {
        self.weighed.judgements.get(rule.oracle.as_str())?.groups.get(rule.group.as_str())
    }

    /// Why the trace is too thin for a rule to be proven by it.
    pub fn doubt_of_substance(&self, rule: &Rule) -> Option<Doubt> {
        let judgement = self.weighed.judgements.get(rule.oracle.as_str())?;
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
        if let Some(doubt) = self.doubt_of_witness() {
            return Some(doubt);
        }
        if !reading.trace_is_whole() {
            return submission(format!("session {}: operations are missing from the trace", self.boot));
        }
        let departure = self.weighed.departure.as_ref()?;
        submission(format!("session {}: {departure}", self.boot))
    }

    /// Why what was reported is not what happened, as whoever watched from outside saw it.
    pub fn doubt_of_witness(&self) -> Option<Doubt> {
        let dispute = self.reading.dispute.as_ref()?;
        let reason = format!("session {}: what the guest reports is not what was seen of it: {dispute}", self.boot);
        Some(Doubt { owner: Owner::Submission, reason })
    }

    /// Whether somebody watched from outside, and saw what was reported.
    pub fn is_witnessed(&self) -> bool {
        self.reading.seen.is_some() && self.reading.dispute.is_none()
    }

    /// A figure, worked out again from the instructions that were counted from outside. None without a witness, and
    /// none with several harts, on which an operation is not one piece.
    pub fn counted(&self, metric: &str) -> Option<Quantity> {
        let seen = self.reading.seen.as_ref().filter(|seen| seen.noted.iter().all(|noted| noted.hart == 0))?;
        let recounted = seen.recount(self.reading)?;
        let weighed = subject::weigh(&Weighing { script: &self.script, reading: &recounted, oracles: &[] });
        weighed.figures.get(metric).copied()
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
        if let Some(doubt) = self.doubt_of_witness() {
            return Some(doubt);
        }
        ending.owner().and_then(|_| submission(format!("session {boot}: {ending}")))
    }
}
