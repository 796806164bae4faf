//! `grader merge`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::class_reports::{self, ClassReports};
use super::failure::Failure;
use super::report;
use crate::merge;

/// `grader merge`
#[derive(Debug, Args)]
pub struct MergeOptions {
    /// The folders that `grader batch --shard` graded into
    #[arg(value_name = "DIR", required = true)]
    parts: Vec<PathBuf>,
    /// Make the whole here
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    reports: ClassReports,
}

/// Joins the parts of a class.
pub fn merge(options: &MergeOptions) -> Result<ExitCode, Failure> {
    let merged = merge::merge(&options.parts, &options.out).map_err(|error| Failure {
        owner: error.owner(),
        error: Box::new(error),
        help: None,
    })?;
    for (student, lab) in &merged.missing {
        eprintln!("{:>12} {student} in {lab}: in none of the parts", "Not graded");
    }
    let gradebook = report::open(&options.out)?;
    let run = gradebook.run(Some(merged.run))?;
    class_reports::publish(&gradebook, &run, &options.reports)
}
