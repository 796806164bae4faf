//! Processes that share memory until one of them writes to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use abi::space_workload::{Answer, Place, Spaces, Workload};

use super::{Subject, Weighed, Weighing};
use crate::oracle::cow::{Case, order};
use crate::oracle::{self, Judging};
use crate::space_trace::{Operation, What};

/// Listed in [`super::SUBJECTS`].
pub(super) const SUBJECT: Subject = Subject {
    name: "processes",
    programs: &["forktest"],
    check_arguments: |arguments| {
        Workload::parse(arguments.split_ascii_whitespace()).map(drop).map_err(|bad| bad.to_string())
    },
    statistics: &[],
    weigh,
    trace_text,
};

/// The phase of each operation, and what the trace has that its workloads do not make.
struct Compared {
    phases: Vec<&'static str>,
    departure: Option<String>,
}

fn compare(weighing: &Weighing<'_>) -> Compared {
    let operations = &weighing.reading.spaces;
    let workloads = weighing.arguments(SUBJECT.programs);
    let mut workloads = workloads.filter_map(|arguments| Workload::parse(arguments.split_ascii_whitespace()).ok());
    let mut replay = Replay { operations, at: 0, phase: "start", phases: vec![""; operations.len()] };
    let stop = workloads.find_map(|workload| workload.run(&mut replay).err());
    let Replay { at, phase, phases, .. } = replay;
    let departure = match stop {
        Some(Stop::End) => Some(format!(
            "it ended in phase \"{phase}\" after {at} operations, before all were made: {}",
            weighing.reading.ending
        )),
        Some(Stop::Other { due }) => {
            Some(format!("operation {at} is not what is asked there, which is to {due}; {NOT_OURS}"))
        }
        Some(Stop::NotDone) => operations.get(at.saturating_sub(1)).map(|operation| {
            let (asked, answered) = order(operation);
            let process = operation.process;
            format!(
                "it ended in phase \"{phase}\" after {at} operations, for process {process} was told to {asked}: {answered}"
            )
        }),
        None => (at < operations.len())
            .then(|| format!("operation {at} claims to be of a workload that makes no more; {NOT_OURS}")),
    };
    Compared { phases, departure }
}

const NOT_OURS: &str = "this is not the trace of the workload that was run";

fn weigh(weighing: &Weighing<'_>) -> Weighed {
    let reading = weighing.reading;
    if reading.spaces.is_empty() {
        let departure = Some(format!("no processes were traced; {}", reading.ending));
        return Weighed { departure, ..Weighed::default() };
    }
    let Compared { phases, departure } = compare(weighing);
    let case = Case { operations: &reading.spaces, phases: &phases };
    let mut judgements = BTreeMap::new();
    for oracle in weighing.oracles.iter().filter_map(|name| oracle::find(name)) {
        let Judging::Spaces(judge) = oracle.judging else { continue };
        judgements.insert(oracle.name, judge(&case));
    }
    Weighed { operations: reading.spaces.len() as u64, departure, judgements, ..Weighed::default() }
}

fn trace_text(weighing: &Weighing<'_>) -> Option<String> {
    if weighing.reading.spaces.is_empty() {
        return None;
    }
    let Compared { phases, .. } = compare(weighing);
    let mut text = String::from("# number  process  order -> answer  (phase)\n");
    for (at, (operation, phase)) in weighing.reading.spaces.iter().zip(&phases).enumerate() {
        let (asked, answered) = order(operation);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{at:>8} {:>8}  {asked} -> {answered}  ({phase})", operation.process);
    }
    Some(text)
}

/// A trace, answering the workload from what is recorded.
struct Replay<'a> {
    operations: &'a [Operation],
    at: usize,
    phase: &'static str,
    phases: Vec<&'static str>,
}

enum Stop {
    End,
    Other { due: String },
    NotDone,
}

impl Replay<'_> {
    /// The next recorded operation, if it is the one that is due.
    fn next<T>(
        &mut self,
        process: u8,
        due: impl FnOnce() -> String,
        answer: impl FnOnce(&What) -> Option<T>,
    ) -> Result<T, Stop> {
        let operation = self.operations.get(self.at).ok_or(Stop::End)?;
        match answer(&operation.what) {
            Some(answer) if operation.process == process => {
                self.phases[self.at] = self.phase;
                self.at += 1;
                Ok(answer)
            }
            _ => Err(Stop::Other { due: due() }),
        }
    }
}

impl Spaces for Replay<'_> {
    type Stop = Stop;

    fn phase(&mut self, name: &'static str) -> Result<(), Stop> {
        self.phase = name;
        Ok(())
    }

    fn fork(&mut self, parent: u8, child: u8, pages: u8) -> Result<Answer, Stop> {
        let answer = self.next(
            parent,
            || format!("have process {parent} fork"),
            |what| match *what {
                What::Fork { child: forked, outcome } if forked == child => Some(outcome.answer),
                _ => None,
            },
        )?;
        if answer == Answer::Done {
            for page in 0..pages {
                self.next(
                    child,
                    || format!("tell where page {page} of process {child} is"),
                    |what| matches!(what, What::Mapped { place, .. } if *place == Place::Word(2 * page)).then_some(()),
                )?;
            }
        }
        Ok(answer)
    }

    fn store(&mut self, process: u8, place: Place, value: u64) -> Result<Answer, Stop> {
        self.next(
            process,
            || format!("have process {process} store to {place:?}"),
            |what| match *what {
                What::Store { place: told, value: stored, outcome } if (told, stored) == (place, value) => {
                    Some(outcome.answer)
                }
                _ => None,
            },
        )
    }

    fn receive(&mut self, process: u8, place: Place, value: u64) -> Result<Answer, Stop> {
        self.next(
            process,
            || format!("copy to {place:?} of process {process}"),
            |what| match *what {
                What::Receive { place: told, value: copied, outcome } if (told, copied) == (place, value) => {
                    Some(outcome.answer)
                }
                _ => None,
            },
        )
    }

    fn look(&mut self, process: u8, place: Place) -> Result<Answer, Stop> {
        self.next(
            process,
            || format!("have process {process} load from {place:?}"),
            |what| match *what {
                What::Look { place: told, outcome, .. } if told == place => Some(outcome.answer),
                _ => None,
            },
        )
    }

    fn exit(&mut self, process: u8) -> Result<(), Stop> {
        self.next(process, || format!("have process {process} exit"), |what| (*what == What::Exit).then_some(()))
    }

    fn wait(&mut self, parent: u8) -> Result<(), Stop> {
        self.next(parent, || format!("have process {parent} wait"), |what| (*what == What::Wait).then_some(()))
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.next(0, || "count the free pages".to_owned(), |what| matches!(what, What::Count { .. }).then_some(()))
    }

    fn leave(&mut self, pages: Option<u64>) -> Result<(), Stop> {
        let due = pages.map_or(What::GiveBack, |left| What::Take { left });
        self.next(0, || "take or give back free pages".to_owned(), |what| (*what == due).then_some(()))
    }

    fn stop(&mut self) -> Stop {
        Stop::NotDone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::reading::Reading;
    use crate::space_trace::Outcome;

    const SCRIPT: &str = "forktest bounds --operations 100 --pages 2 --seed 3";

    /// A kernel that kills and refuses where it must; what is in memory is for the oracle's own tests.
    #[derive(Default)]
    struct Right(Vec<Operation>);

    impl Right {
        fn note(&mut self, process: u8, what: What) {
            self.0.push(Operation { process, what });
        }

        fn reach(place: Place, by_kernel: bool) -> Outcome {
            let answer = match place {
                Place::Word(_) => Answer::Done,
                _ if by_kernel => Answer::Refused,
                _ => Answer::Died,
            };
            Outcome { answer, frame: 64 }
        }
    }

    impl Spaces for Right {
        type Stop = std::convert::Infallible;
        fn phase(&mut self, _: &'static str) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn fork(&mut self, parent: u8, child: u8, pages: u8) -> Result<Answer, Self::Stop> {
            self.note(parent, What::Fork { child, outcome: Outcome { answer: Answer::Done, frame: 0 } });
            for page in 0..pages {
                self.note(child, What::Mapped { place: Place::Word(2 * page), frame: 64 });
            }
            Ok(Answer::Done)
        }
        fn store(&mut self, process: u8, place: Place, value: u64) -> Result<Answer, Self::Stop> {
            let outcome = Self::reach(place, false);
            self.note(process, What::Store { place, value, outcome });
            Ok(outcome.answer)
        }
        fn receive(&mut self, process: u8, place: Place, value: u64) -> Result<Answer, Self::Stop> {
            let outcome = Self::reach(place, true);
            self.note(process, What::Receive { place, value, outcome });
            Ok(outcome.answer)
        }
        fn look(&mut self, process: u8, place: Place) -> Result<Answer, Self::Stop> {
            let outcome = Outcome { answer: Answer::Done, frame: 64 };
            self.note(process, What::Look { place, value: 1, outcome });
            Ok(Answer::Done)
        }
        fn exit(&mut self, process: u8) -> Result<(), Self::Stop> {
            self.note(process, What::Exit);
            Ok(())
        }
        fn wait(&mut self, parent: u8) -> Result<(), Self::Stop> {
            self.note(parent, What::Wait);
            Ok(())
        }
        fn count(&mut self) -> Result<(), Self::Stop> {
            self.note(0, What::Count { pages: 100 });
            Ok(())
        }
        fn leave(&mut self, pages: Option<u64>) -> Result<(), Self::Stop> {
            self.note(0, pages.map_or(What::GiveBack, |left| What::Take { left }));
            Ok(())
        }
        fn stop(&mut self) -> Self::Stop {
            unreachable!("this kernel does all that it must")
        }
    }

    fn departure(change: fn(&mut Vec<Operation>)) -> Option<String> {
        let workload = Workload::parse(SCRIPT.split_ascii_whitespace().skip(1)).unwrap();
        let mut right = Right::default();
        let Ok(()) = workload.run(&mut right);
        change(&mut right.0);
        let reading = Reading { spaces: right.0, ..Reading::of_serial("") };
        weigh(&Weighing { script: &[SCRIPT.to_owned()], reading: &reading, oracles: &["cow"] }).departure
    }

    #[test]
    fn a_trace_is_followed_through_deaths_and_refusals_that_are_due() {
        assert_eq!(departure(|_| {}), None);
    }

    #[test]
    fn a_trace_that_was_cut_off_made_up_or_goes_on_departs_from_its_workload() {
        let says = |change: fn(&mut Vec<Operation>), part: &str| {
            let departure = departure(change).unwrap_or_default();
            assert!(departure.contains(part), "{part:?} is not in {departure:?}");
        };
        says(|trace| trace.truncate(trace.len() - 1), "before all were made");
        says(|trace| trace.swap(3, 4), "operation 3 is not what is asked there");
        says(|trace| trace.push(trace[0]), "a workload that makes no more");
        says(Vec::clear, "no processes were traced");
    }

    #[test]
    fn a_process_that_dies_where_it_must_not_is_named() {
        let kill_first = |trace: &mut Vec<Operation>| {
            if let What::Store { outcome, .. } = &mut trace[0].what {
                outcome.answer = Answer::Died;
            }
            trace.truncate(1);
        };
        let departure = departure(kill_first).unwrap_or_default();
        assert!(departure.contains("process 0 was told to store"), "{departure}");
        assert!(departure.contains("the kernel killed it"), "{departure}");
    }
}
