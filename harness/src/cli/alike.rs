//! `grader alike`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::{report, terminal};
use crate::report::class::alike::{self, Alike};

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
    let mut text = String::new();
    let is_wanted = |lab: &str| options.lab.as_ref().is_none_or(|wanted| wanted == lab);
    for Alike { lab, pairs } in alike::find(&gradebook, &run, f64::from(options.least) / 100.0, is_wanted)? {
        text.push_str(&format!("{lab}: {} pairs with at least {} % in common\n", pairs.len(), options.least));
        for pair in &pairs {
            let share = (pair.share * 100.0).floor();
            text.push_str(&format!("  {share:>3} %  {} and {}, {} fingerprints\n", pair.one, pair.other, pair.common));
        }
    }
    text.push_str("This is a hint for somebody who then reads both; it is in no grade.\n");
    terminal::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
