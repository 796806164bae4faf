//! `grader labs`

use std::process::ExitCode;

use super::failure::Failure;
use super::{Context, judges, terminal};
use crate::lab::mutant;
use crate::lab::read::ReadError;
use crate::owner::Owner;

/// Lists the labs, or checks all that the course's authors wrote.
pub fn labs(context: &Context, check: bool) -> Result<ExitCode, Failure> {
    let labs = context.course.labs(judges())?;
    let mut text = String::new();
    let mut wrong = Vec::new();
    let kinds = context.course.kinds()?;
    for (id, lab) in &labs {
        let lab = match lab {
            Ok(lab) => lab,
            Err(error) => {
                wrong.push((id.to_string(), report(error)));
                continue;
            }
        };
        let mutants = mutant::files(lab);
        text.push_str(&format!(
            "{:<18} {:>4} points  {:<28} {} checks, {} sessions, {} mutants\n",
            id.0,
            lab.points,
            lab.title,
            lab.checks.len(),
            lab.sessions.len(),
            mutants.len()
        ));
        if !check {
            continue;
        }
        for file in mutants {
            for kind in lab.kernels.keys().filter_map(|kind| kinds.get(kind)) {
                if let Err(error) = mutant::read(&file, lab, kind, &context.course.root) {
                    wrong.push((format!("{id}: {}", file.display()), report(&error)));
                }
            }
        }
    }
    terminal::print(&text)?;
    for (_, report) in &wrong {
        eprintln!("{report}");
    }
    match (wrong.is_empty(), check) {
        (true, true) => terminal::print(&format!("{} labs are sound\n", labs.len())),
        (true, false) => Ok(ExitCode::SUCCESS),
        (false, _) => {
            let names: Vec<&str> = wrong.iter().map(|(name, _)| name.as_str()).collect();
            eprintln!("error: wrong: {}", names.join(", "));
            Ok(Owner::Caller.exit_code().into())
        }
    }
}

/// All defects, each with its place in the source.
fn report(error: &ReadError) -> String {
    match error {
        ReadError::Io { .. } => format!(
            "failed to {error}: {}",
            std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
        ),
        ReadError::Defects(defects) => {
            defects.reports().map(|report| format!("{report:?}")).collect::<Vec<_>>().join("\n")
        }
    }
}
