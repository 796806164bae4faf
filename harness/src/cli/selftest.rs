//! `grader selftest`

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;

use super::failure::Failure;
use super::run::finish;
use super::{Context, Selftest, judges, terminal};
use crate::confinement::policy::Policy;
use crate::event::Silent;
use crate::grade::{Build, Grade, Points, Verdict};
use crate::kind::Kind;
use crate::lab::mutant::{self, Mutant};
use crate::lab::solution::{self, Solution};
use crate::lab::{KindId, Lab};
use crate::owner::Owner;
use crate::runner::{Job, Turns};
use crate::seed::{Choice, Seed};
use crate::source_tree::Overlay;
use crate::submission::Submission;

/// A solution with what the lab must say of it.
enum Tried {
    Reference,
    Starter,
    Solution(Box<Solution>),
    Mutant(Box<Mutant>),
}

impl Tried {
    fn name(&self) -> &str {
        match self {
            Self::Reference => "reference",
            Self::Starter => "starter",
            Self::Solution(solution) => &solution.name,
            Self::Mutant(mutant) => &mutant.name,
        }
    }

    fn overlay(&self) -> Overlay<'_> {
        match self {
            Self::Reference => Overlay::Reference,
            Self::Starter => Overlay::Starter,
            Self::Solution(solution) => Overlay::Solution(solution),
            Self::Mutant(mutant) => Overlay::Mutant(mutant),
        }
    }

    /// What the grade should have been and is not.
    fn complaint(&self, lab: &Lab, grade: &Grade) -> Option<String> {
        let failed =
            |id: &str| grade.checks.iter().any(|check| check.id == id && matches!(check.verdict, Verdict::Fail { .. }));
        if let Build::Refused { reason, .. } | Build::Error { reason } = &grade.build {
            return Some(format!("it must build: {reason}"));
        }
        if let Some(check) = grade.checks.iter().find(|check| matches!(check.verdict, Verdict::Error { .. })) {
            let Verdict::Error { reason } = &check.verdict else { return None };
            return Some(format!("check {} could not be judged: {reason}", check.id));
        }
        match self {
            Self::Reference => lost(grade, |_| false),
            Self::Solution(solution) => lost(grade, |id| solution.may_fail.iter().any(|check| check.0 == id)),
            Self::Starter => {
                let most = Points::whole(lab.starter_below);
                (grade.points.earned >= most)
                    .then(|| format!("it must earn less than {most} points, and earns {}", grade.points.earned))
            }
            Self::Mutant(mutant) => {
                let missed: Vec<&str> =
                    mutant.fails.iter().map(|check| check.0.as_str()).filter(|check| !failed(check)).collect();
                (!missed.is_empty()).then(|| format!("it must fail {}, and does not", missed.join(", ")))
            }
        }
    }
}

/// A solution with the seed that it is graded with.
struct Try<'a> {
    solution: &'a Tried,
    seed: Choice,
}

impl Try<'_> {
    fn name(&self) -> Cow<'_, str> {
        match self.seed {
            Choice::Given(Seed(seed)) => format!("{} {seed}", self.solution.name()).into(),
            Choice::Derived | Choice::Random => self.solution.name().into(),
        }
    }
}

/// The first check that does not earn all its points, with why; those that may are passed over.
fn lost(grade: &Grade, may: impl Fn(&str) -> bool) -> Option<String> {
    let lost = grade.checks.iter().find(|check| check.points.earned != check.points.max && !may(&check.id))?;
    let reason = match &lost.verdict {
        Verdict::Fail { reason, .. } => reason.as_str(),
        _ => "",
    };
    Some(format!("it must earn all points of {}, and does not: {reason}", lost.id))
}

/// Proves that labs accept what is right and catch what is wrong.
pub fn selftest(context: &Context, options: &Selftest) -> Result<ExitCode, Failure> {
    let kinds = context.course.kinds()?;
    let labs: Vec<Lab> = match &options.lab {
        Some(id) => vec![context.course.lab(id, judges())?],
        None => {
            let labs = context.course.labs(judges())?;
            labs.into_iter().map(|(_, lab)| lab.map_err(crate::course::CourseError::File)).collect::<Result<_, _>>()?
        }
    };
    let mut wrong = 0;
    let mut proved = 0;
    for lab in &labs {
        let own = |id: &KindId| kinds.get(id).filter(|kind| kind.source.is_some());
        if !lab.kernels.keys().any(|id| own(id).is_some()) {
            terminal::print(&format!("{}: {}\n", lab.id, super::NO_REFERENCE))?;
        }
        for (at, (id, kind)) in lab.kernels.keys().filter_map(|id| Some((id, own(id)?))).enumerate() {
            // Mutants and other solutions are of the first one.
            wrong += lab_in_kind(context, options, lab, id, kind, at == 0)?;
            proved += 1;
        }
    }
    if wrong > 0 {
        terminal::print(&format!("{wrong} solutions are not graded as they must be\n"))?;
        return Ok(Owner::Submission.exit_code().into());
    }
    if proved > 0 {
        terminal::print("every solution is graded as it must be\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lab_in_kind(
    context: &Context,
    options: &Selftest,
    lab: &Lab,
    id: &KindId,
    kind: &Kind,
    has_others: bool,
) -> Result<usize, Failure> {
    let mut solutions = vec![Tried::Reference, Tried::Starter];
    for file in solution::files(lab).into_iter().filter(|_| has_others).step_by(options.every.get()) {
        let solution = solution::read(&file, lab, kind).map_err(crate::course::CourseError::File)?;
        solutions.push(Tried::Solution(Box::new(solution)));
    }
    for file in mutant::files(lab).into_iter().filter(|_| has_others).step_by(options.every.get()) {
        let mutant = mutant::read(&file, lab, kind, &context.course.root).map_err(crate::course::CourseError::File)?;
        solutions.push(Tried::Mutant(Box::new(mutant)));
    }
    solutions.retain(|solution| {
        options.solution.is_empty() || options.solution.iter().any(|pattern| pattern.is_match(solution.name()))
    });
    let seeds = std::iter::once(Choice::Derived).chain((1..options.seeds.get()).map(|seed| Choice::Given(Seed(seed))));
    let tries: Vec<Try> =
        solutions.iter().flat_map(|solution| seeds.clone().map(move |seed| Try { solution, seed })).collect();
    let widest = tries.iter().map(|this| this.name().len()).max().unwrap_or(0);
    terminal::print(&format!(
        "{} in {id}: P passed, F failed, f failed as it must or may, E could not be judged, - not run\n",
        lab.id
    ))?;
    for (column, check) in lab.checks.iter().enumerate() {
        terminal::print(&format!("{:widest$} {}{}\n", "", "| ".repeat(column), check.id))?;
    }
    let mut wrong = 0;
    let turns = Turns::of_machine();
    let grade = |this: &Try| grade(context, options, &turns, lab, kind, this);
    for_each_in_order(&tries, grade, |this, grade| {
        let (solution, grade) = (this.solution, grade?);
        let complaint = solution.complaint(lab, &grade);
        let points: Points = grade.points.earned;
        let verdict = |id: &str| grade.checks.iter().find(|check| check.id == id).map(|check| &check.verdict);
        let row: Vec<&str> =
            lab.checks.iter().map(|check| letter(solution, &check.id.0, verdict(&check.id.0))).collect();
        let judged = if complaint.is_some() { "WRONG" } else { "ok" };
        terminal::print(&format!("{:widest$} {}  {points:>5} {judged}\n", this.name(), row.join(" ")))?;
        if let Some(complaint) = complaint {
            terminal::print(&format!("{:widest$} {complaint}\n", ""))?;
            wrong += 1;
        }
        Ok::<(), Failure>(())
    })?;
    Ok(wrong)
}

/// Works on items side by side, one a processor, and hands each result on in the order of the items.
///
/// # Errors
/// The first of `next`, after which no more items are begun.
fn for_each_in_order<T: Sync, R: Send, E>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut next: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let due = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (tell, due, work) = (tell.clone(), &due, &work);
            scope.spawn(move || {
                while let Some((index, item)) =
                    Some(due.fetch_add(1, Relaxed)).and_then(|at| Some((at, items.get(at)?)))
                    && tell.send((index, work(item))).is_ok()
                {}
            });
        }
        drop(tell);
        let mut early = BTreeMap::new();
        let mut done = 0;
        for (index, result) in told {
            early.insert(index, result);
            while let Some(result) = early.remove(&done) {
                next(&items[done], result).inspect_err(|_| due.store(items.len(), Relaxed))?;
                done += 1;
            }
        }
        Ok(())
    })
}

fn letter(solution: &Tried, id: &str, verdict: Option<&Verdict>) -> &'static str {
    let due = match solution {
        Tried::Mutant(mutant) => &mutant.fails[..],
        Tried::Solution(solution) => &solution.may_fail,
        Tried::Reference | Tried::Starter => &[],
    };
    let due = due.iter().any(|check| check.0 == id);
    match verdict {
        Some(Verdict::Pass) => "P",
        Some(Verdict::Fail { .. }) if due => "f",
        Some(Verdict::Fail { .. }) => "F",
        Some(Verdict::Error { .. }) => "E",
        Some(Verdict::Skipped { .. }) | None => "-",
    }
}

fn grade(
    context: &Context,
    options: &Selftest,
    turns: &Turns,
    lab: &Lab,
    kind: &Kind,
    &Try { solution, seed }: &Try,
) -> Result<Grade, Failure> {
    let wanted: BTreeSet<&str> = match solution {
        Tried::Mutant(mutant) if !options.all_checks => mutant.fails.iter().map(|check| check.0.as_str()).collect(),
        _ => lab
            .checks
            .iter()
            .filter(|check| check.kernels.includes(&kind.id))
            .map(|check| check.id.0.as_str())
            .collect(),
    };
    let submission = Submission::reference(&context.course, kind)?;
    let command = format!("grader selftest --lab {} --solution {}", lab.id, solution.name());
    let job = Job {
        turns,
        cache: &context.cache,
        course: &context.course,
        lab,
        kind,
        submission: &submission,
        overlay: solution.overlay(),
        wanted: &wanted,
        policy: &Policy::own(),
        seed,
        command: &command,
        folder: None,
    };
    finish(&job, &mut Silent)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_however_long_each_takes() {
        let items: Vec<u64> = (0..12).collect();
        let work = |item: &u64| {
            std::thread::sleep(Duration::from_millis(if item.is_multiple_of(2) { 20 } else { 0 }));
            item * 10
        };
        let mut results = Vec::new();
        for_each_in_order(&items, work, |item, result| {
            results.push((*item, result));
            Ok::<(), ()>(())
        })
        .unwrap();
        assert_eq!(results, items.iter().map(|item| (*item, item * 10)).collect::<Vec<_>>());
    }

    #[test]
    fn after_an_error_nothing_more_is_begun() {
        let items: Vec<usize> = (0..1000).collect();
        let begun = AtomicUsize::new(0);
        let work = |item: &usize| {
            begun.fetch_add(1, Relaxed);
            std::thread::sleep(Duration::from_millis(1));
            *item
        };
        let ended = for_each_in_order(&items, work, |_, result| if result < 3 { Ok(()) } else { Err(result) });
        assert_eq!(ended, Err(3));
        assert!(begun.load(Relaxed) < items.len());
    }
}
