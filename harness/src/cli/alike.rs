//! `grader alike`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::{report, terminal};
use crate::likeness;

/// `grader alike`
#[derive(Debug, Args)]
pub struct AlikeOptions {
    /// The gradebook, or the folder that it lies in
    #[arg(long, value_name = "FILE|DIR", default_value = "class")]
    from: PathBuf,
    /// Of this run [default: the last one]
    #[arg(long, value_name = "N")]
    run: Option<i64>,
    /// Only this lab [default: all of the run]
    #[arg(long, value_name = "ID")]
    lab: Option<String>,
    /// Only pairs that have so many percent of the smaller one in common
    #[arg(long, value_name = "PERCENT", default_value = "50", value_parser = clap::value_parser!(u8).range(1..=100))]
    least: u8,
}

/// Lists submissions that have code in common.
pub fn alike(options: &AlikeOptions) -> Result<ExitCode, Failure> {
    let gradebook = report::open(&options.from)?;
    let run = gradebook.run(options.run)?;
    let rows = gradebook.students(run.id)?;
    let teams: BTreeMap<String, String> = rows.into_iter().map(|row| (row.student, row.team)).collect();
    let mut text = String::new();
    let is_wanted = |lab: &str| options.lab.as_ref().is_none_or(|wanted| wanted == lab);
    for lab in run.run.labs.iter().filter(|row| is_wanted(&row.lab)) {
        let pairs =
            likeness::pairs(&gradebook.fingerprints(run.id, &lab.lab)?, &teams, f64::from(options.least) / 100.0);
        text.push_str(&format!("{}: {} pairs with at least {} % in common\n", lab.lab, pairs.len(), options.least));
        for pair in &pairs {
            let share = (pair.share * 100.0).floor();
            text.push_str(&format!("  {share:>3} %  {} and {}, {} fingerprints\n", pair.one, pair.other, pair.common));
        }
    }
    text.push_str("This is a hint for somebody who then reads both; it is in no grade.\n");
    terminal::print(&text)
}
