//! The reports of a class, which `batch`, `report`, `regrade` and `merge` write.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::terminal;
use crate::gradebook::{Gradebook, GradebookError, PastRun};
use crate::owner::Owner;
use crate::report::class::{self, Class};
use crate::report::terminal::Theme;
use crate::write;

/// Where reports of a class go, besides the terminal.
#[derive(Debug, Args)]
pub struct ClassReports {
    /// Write a table for spreadsheets here, a line for each student and lab
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write JSON lines here: for each student and lab all that is known, with the grade document
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// Write a summary in Markdown here
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write a JUnit report of the class here
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a JUnit report for each student and lab into this folder
    #[arg(long, value_name = "DIR")]
    junit_dir: Option<PathBuf>,
}

/// Shows a run, writes the reports that were asked for, and answers with the exit code.
///
/// A report that cannot be written is named and does not keep the others from being written.
pub fn publish(gradebook: &Gradebook, run: &PastRun, reports: &ClassReports) -> Result<ExitCode, Failure> {
    let class = Class::read(gradebook, run)?;
    terminal::print(&class::terminal::render(&class, &Theme::new(terminal::colours(&io::stdout()))))?;
    let mut failed = None;
    let mut tell = |path: &Path, what: &str, written: Result<(), String>| {
        if let Err(reason) = written {
            let failure = Failure::harness(format!("write the {what} {}: {reason}", path.display()))
                .with_help("the gradebook has all of it; `grader report --from DIR/gradebook.db` writes reports again");
            if let Some(earlier) = failed.replace(failure) {
                terminal::complain(&earlier);
            }
        }
    };
    let whole = |path: &Path, text: Result<String, GradebookError>| {
        let text = text.map_err(|error| crate::runner::chain(&error))?;
        write::atomically(path, text.as_bytes()).map_err(|error| error.to_string())
    };
    if let Some(path) = &reports.csv {
        tell(
            path,
            "table",
            class::csv::to_string(&class).map_err(|error| error.to_string()).and_then(|text| whole(path, Ok(text))),
        );
    }
    if let Some(path) = &reports.jsonl {
        tell(path, "JSON lines", class::lines::write(&class, gradebook, path));
    }
    if let Some(path) = &reports.markdown {
        let alike = class::alike::find(gradebook, run, class::alike::USUAL, |_| true);
        tell(path, "summary", whole(path, alike.map(|alike| class::markdown::render(&class, &alike))));
    }
    if let Some(path) = &reports.junit {
        let text = class::junit::to_string(&class).map_err(|error| error.to_string());
        tell(path, "JUnit report", text.and_then(|text| whole(path, Ok(text))));
    }
    if let Some(folder) = &reports.junit_dir {
        tell(folder, "JUnit reports", class::junit::write_each(&class, gradebook, folder));
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok(code(&class)),
    }
}

/// 0 everybody passed everything, 1 somebody did not, 3 something could not be graded by our fault.
fn code(class: &Class) -> ExitCode {
    let any = |status: &[&str]| class.rows.iter().any(|row| status.contains(&row.status()));
    if any(&["error", "not graded yet"]) {
        Owner::Harness.exit_code().into()
    } else if any(&["failed", "missing"]) {
        Owner::Submission.exit_code().into()
    } else {
        ExitCode::SUCCESS
    }
}
