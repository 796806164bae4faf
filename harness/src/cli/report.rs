//! `grader report`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::class_reports::{self, ClassReports};
use super::failure::Failure;
use crate::gradebook::{self, Gradebook};

/// `grader report`
#[derive(Debug, Args)]
pub struct ReportOptions {
    /// The gradebook, or the folder that it lies in
    #[arg(long, value_name = "FILE|DIR")]
    from: PathBuf,
    /// Report on this run [default: the last one]
    #[arg(long, value_name = "N")]
    run: Option<i64>,
    #[command(flatten)]
    reports: ClassReports,
}

/// Writes the reports of a class again.
pub fn report(options: &ReportOptions) -> Result<ExitCode, Failure> {
    let gradebook = open(&options.from)?;
    let run = gradebook.run(options.run)?;
    class_reports::publish(&gradebook, &run, &options.reports)
}

/// The gradebook of that name, or in that folder.
pub fn open(path: &std::path::Path) -> Result<Gradebook, Failure> {
    let file = if path.is_dir() { path.join(gradebook::FILE) } else { path.to_owned() };
    Ok(Gradebook::open(&file)?)
}
