//! `grader diff`

use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::{report, terminal};
use crate::compare::{self, Side};
use crate::gradebook::canonical;
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
    /// Name what differs in anything but times and hosts, too: documents, commits, rules
    #[arg(long)]
    bytes: bool,
}

/// Says whose grade changed, and why. The exit code is that of `diff`: 1 where something changed.
pub fn diff(options: &DiffOptions) -> Result<ExitCode, Failure> {
    let (before, before_text) = side(&options.before, options.bytes)?;
    let (after, after_text) = side(&options.after, options.bytes)?;
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
    let mut same = changes.is_empty();
    if options.bytes {
        let differ = before_text.lines().zip(after_text.lines()).filter(|(one, other)| one != other).count()
            + before_text.lines().count().abs_diff(after_text.lines().count());
        same &= differ == 0;
        text.push_str(&match differ {
            0 => "they are the same, byte for byte, but for times and hosts\n".to_owned(),
            count => {
                format!("{count} submissions, or what was asked for, differ in something besides times and hosts\n")
            }
        });
    }
    terminal::print(&text)?;
    Ok(if same { ExitCode::SUCCESS } else { Owner::Submission.exit_code().into() })
}

/// A run, and its text where it is asked for.
fn side(named: &str, with_text: bool) -> Result<(Side, String), Failure> {
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
    let text = if with_text { canonical(&gradebook, run.id)? } else { String::new() };
    Ok((Side::read(&gradebook, run)?, text))
}
