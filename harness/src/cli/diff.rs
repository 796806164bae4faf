//! `grader diff`

use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::{report, terminal};
use crate::compare::{self, Side};
use crate::owner::Owner;
use crate::report::safe;

/// `grader diff`
#[derive(Debug, Args)]
pub struct DiffOptions {
    /// A gradebook or the folder that it lies in, with `#N` for another run than the last one
    #[arg(value_name = "A")]
    before: String,
    /// The one that it is compared with
    #[arg(value_name = "B")]
    after: String,
}

/// Says whose grade changed, and why. The exit code is that of `diff`: 1 where something changed.
pub fn diff(options: &DiffOptions) -> Result<ExitCode, Failure> {
    let (before, after) = (side(&options.before)?, side(&options.after)?);
    let changes = compare::changes(&before, &after);
    let mut text = String::new();
    for change in &changes {
        let causes: Vec<String> = change.causes.iter().map(ToString::to_string).collect();
        text.push_str(&format!("{} in {}: {} -> {}\n", change.student, change.lab, change.before, change.after));
        text.push_str(&format!("  because of {}\n", safe::line(&causes.join(", "))));
        for (name, one, other) in &change.checks {
            text.push_str(&format!("  {name}: {one} -> {other}\n"));
        }
    }
    text.push_str(&match changes.len() {
        0 => "no grade changed\n".to_owned(),
        count => format!("{count} grades changed\n"),
    });
    terminal::print(&text)?;
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { Owner::Submission.exit_code().into() })
}

fn side(named: &str) -> Result<Side, Failure> {
    let (path, run) = match named.rsplit_once('#') {
        Some((path, number)) if !std::path::Path::new(named).exists() => {
            let run = number.parse::<i64>();
            let run =
                run.map_err(|_| Failure::caller(format!("understand {named:?}: after # comes a run's number")))?;
            (path, Some(run))
        }
        _ => (named, None),
    };
    let gradebook = report::open(std::path::Path::new(path))?;
    let run = gradebook.run(run)?;
    Ok(Side::read(&gradebook, run)?)
}
