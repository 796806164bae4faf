//! `grader labs`

use std::process::ExitCode;

use super::failure::Failure;
use super::{Context, judges, terminal};
use crate::course::CourseError;
use crate::lab::read::ReadError;
use crate::lab::{mutant, solution};
use crate::owner::Owner;
use crate::runner::chain;

/// Lists the labs, or checks all that the course's authors wrote.
pub fn labs(context: &Context, check: bool) -> Result<ExitCode, Failure> {
    let labs = context.course.labs(judges())?;
    let mut wrong = Vec::new();
    let mut text = String::new();
    let kinds = context.course.kinds()?;
    for (_, lab) in labs {
        match lab {
            Err(error) => wrong.push(CourseError::File(error)),
            Ok(lab) if !lab.kernels.keys().any(|id| kinds.get(id).is_some_and(|kind| kind.source.is_some())) => {
                text.push_str(&format!(
                    "{:<18} {:>4} points  {:<28} {} checks, {} sessions; no reference, needs a handout\n",
                    lab.id.0,
                    lab.points,
                    lab.title,
                    lab.checks.len(),
                    lab.sessions.len()
                ));
            }
            Ok(lab) => text.push_str(&format!(
                "{:<18} {:>4} points  {:<28} {} checks, {} sessions, {} solutions, {} mutants\n",
                lab.id.0,
                lab.points,
                lab.title,
                lab.checks.len(),
                lab.sessions.len(),
                // The reference is one of them.
                1 + solution::files(&lab).len(),
                mutant::files(&lab).len()
            )),
        }
    }
    terminal::print(&text)?;
    if check {
        wrong = context.course.check(judges())?;
    }
    for error in &wrong {
        eprintln!("{}", report(error));
    }
    if !wrong.is_empty() {
        return Ok(Owner::Caller.exit_code().into());
    }
    if check {
        terminal::print("labs, kernel kinds, starters, solutions and mutants are sound\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All defects, each with its place in the source.
fn report(error: &CourseError) -> String {
    match error {
        CourseError::File(ReadError::Defects(defects)) => {
            defects.reports().map(|report| format!("{report:?}")).collect::<Vec<_>>().join("\n")
        }
        other => format!("failed to {}", chain(other)),
    }
}
