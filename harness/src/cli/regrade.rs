//! `grader regrade`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::class_reports::{self, ClassReports};
use super::failure::Failure;
use super::{Context, judges, report};
use crate::regrade;
use crate::report::safe;

/// `grader regrade`
#[derive(Debug, Args)]
pub struct RegradeOptions {
    /// The lab whose points or checks changed
    #[arg(long, value_name = "ID")]
    lab: String,
    /// The folder of the class
    #[arg(long, value_name = "DIR", default_value = "class")]
    from: PathBuf,
    /// Judge this run's transcripts again [default: the last one's]
    #[arg(long, value_name = "N")]
    run: Option<i64>,
    #[command(flatten)]
    reports: ClassReports,
}

/// Judges a class again.
pub fn regrade(context: &Context, options: &RegradeOptions) -> Result<ExitCode, Failure> {
    let lab = context.course.lab(&options.lab, judges())?;
    let mut gradebook = report::open(&options.from)?;
    let past = gradebook.run(options.run)?;
    if !past.run.labs.iter().any(|row| row.lab == lab.id.0) {
        let labs: Vec<&str> = past.run.labs.iter().map(|row| row.lab.as_str()).collect();
        return Err(Failure::caller(format!("judge lab {} again: run {} is of {}", lab.id, past.id, labs.join(", "))));
    }
    let folder = gradebook.path().parent().unwrap_or(Path::new(".")).to_owned();
    let regraded = regrade::regrade(&mut gradebook, &past, &folder, &lab)?;
    eprintln!(
        "{:>12} {} submissions judged again as run {}, of run {}; `grader diff {}#{} {}#{}` says what changed",
        "Regraded",
        regraded.judged,
        regraded.run,
        past.id,
        options.from.display(),
        past.id,
        options.from.display(),
        regraded.run
    );
    for (student, reason) in &regraded.fresh {
        eprintln!("{:>12} {student} in {}: {}; `grader batch` gives it one", "Fresh run", lab.id, safe::line(reason));
    }
    let run = gradebook.run(Some(regraded.run))?;
    class_reports::publish(&gradebook, &run, &options.reports)
}
