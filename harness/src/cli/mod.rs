//! The command line: what can be asked for, and which exit code answers.

mod alike;
mod batch;
mod class_reports;
mod diff;
mod doctor;
mod failure;
mod handout;
mod labs;
mod merge;
mod regrade;
mod replay;
mod report;
mod reports;
mod run;
mod selftest;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::cache::Cache;
use crate::confinement::Protection;
use crate::course::Course;
use crate::lab::read::Judges;
use crate::oracle;
use crate::{schema, seed, subject};
use failure::Failure;
use reports::Reports;

/// Grades the branches of operating-system labs.
///
/// Builds the kernel with the submission's files, boots it under QEMU, reads the serial line, and judges what the
/// allocators did by their traces.
#[derive(Debug, Parser)]
#[command(name = "grader", version, propagate_version = true, after_help = EXIT_CODES)]
struct Command {
    /// The course's folder [default: $GRADER_COURSE, the nearest parent folder that is one, the built-in copy]
    #[arg(long, global = true, value_name = "DIR")]
    course: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

/// A protection by its name.
fn protection(name: &str) -> Result<Protection, String> {
    let names = || Protection::ALL.map(Protection::name).join(", ");
    let found = Protection::ALL.into_iter().find(|protection| protection.name() == name);
    found.ok_or_else(|| format!("there is no such protection; there are {}", names()))
}

const EXIT_CODES: &str = "Exit codes: 0 all checks passed, 1 some check failed, 2 the command or a lab is wrong, \
                          3 the harness could not do its work.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Grade a submission in a lab
    Run(Box<Run>),
    /// Judge the saved transcripts of a run again, without building or booting
    Replay(Replay),
    /// Grade a whole class, kept in a gradebook; can be killed at any time, and resumed
    Batch(Box<batch::BatchOptions>),
    /// Write the reports of a class again, from its gradebook
    Report(report::ReportOptions),
    /// Say whose grade changed between two runs of a class, and why
    Diff(diff::DiffOptions),
    /// Judge a class's saved transcripts again after a lab's points or checks changed, without building or booting
    Regrade(regrade::RegradeOptions),
    /// Join the parts of a class that several machines graded
    Merge(merge::MergeOptions),
    /// List submissions that have code in common: a hint for a human, never a verdict
    Alike(alike::AlikeOptions),
    /// List the labs of the course
    Labs {
        /// Check every lab, kernel kind and mutant, and report all that is wrong
        #[arg(long)]
        check: bool,
    },
    /// Say what of QEMU, toolchain, target and sandbox features is there, and what mends what is missing
    Doctor,
    /// Prove that a lab's checks accept the reference and catch the starter and every mutant
    Selftest(Selftest),
    /// Make the repository that students start from: one branch a lab, with starters in place of solutions
    Handout(Handout),
    /// Print the JSON Schema of one of the grader's own formats
    Schema {
        /// Which
        #[arg(default_value = "grade", value_parser = schema::FORMATS.map(|format| format.name))]
        name: String,
    },
}

/// `grader run`
#[derive(Debug, Args)]
struct Run {
    /// The lab
    #[arg(long, value_name = "ID")]
    lab: String,
    /// The submission's repository, as a path or a URL [default: the one in which you stand]
    #[arg(long, value_name = "PATH|URL")]
    repo: Option<String>,
    /// Grade this branch [default: the lab's]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["rev", "worktree"])]
    branch: Option<String>,
    /// Grade this commit, tag, or whatever Git makes a commit of
    #[arg(long, value_name = "REV", conflicts_with = "worktree")]
    rev: Option<String>,
    /// Grade the working tree as it is on disk, whatever its branch
    #[arg(long)]
    worktree: bool,
    /// Take the submission for a kernel of this kind [default: recognised by its files]
    #[arg(long, value_name = "KIND")]
    kernel: Option<String>,
    /// Take all but the lab's files from here, for kernels of which the course has no tree of its own; REV is the lab's
    /// branch unless it is given [default: $GRADER_HANDOUT]
    #[arg(long, value_name = "REPO[@REV]")]
    handout: Option<String>,
    /// Grade somebody else's code though this machine lacks these protections, with commas: files, network, privileges,
    /// processes, limits, disk, qemu (`grader doctor` says which it has)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = protection)]
    allow_unconfined: Vec<Protection>,
    /// Draw the operations from this seed: a number, or "random" [default: derived from the submission]
    #[arg(long, value_name = "N", default_value = None)]
    seed: Option<seed::Choice>,
    /// Run only the checks whose names match this regular expression (repeatable)
    #[arg(long, value_name = "PATTERN")]
    check: Vec<regex::Regex>,
    /// Run only the checks that read sessions whose names match (repeatable)
    #[arg(long, value_name = "PATTERN")]
    session: Vec<regex::Regex>,
    /// Replay this allocation trace as well, in the format of the malloc lab (`.rep`); its figures stand beside those
    /// of the lab's own, and earn nothing (repeatable)
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    #[command(flatten)]
    reports: Reports,
    /// Keep the run here: grade, transcripts, traces, build log [default: a folder in the cache]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// `grader replay`
#[derive(Debug, Args)]
struct Replay {
    /// The run's folder, as `grader run --out` made it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    reports: Reports,
}

/// `grader selftest`
#[derive(Debug, Args)]
struct Selftest {
    /// Only this lab [default: all labs]
    #[arg(long, value_name = "ID")]
    lab: Option<String>,
    /// Only the solutions whose names match: reference, starter, or a mutant's (repeatable)
    #[arg(long, value_name = "PATTERN")]
    solution: Vec<regex::Regex>,
    /// Run all checks of each mutant, not only those that it must fail
    #[arg(long)]
    all_checks: bool,
    /// Of the other solutions and of the mutants, only every Nth in order of name, beginning with the first
    #[arg(long, value_name = "N", default_value = "1")]
    every: std::num::NonZeroUsize,
    /// Grade each so many times: with the seed derived from it, and with 1, 2, 3 and so on
    #[arg(long, value_name = "N", default_value = "1")]
    seeds: std::num::NonZeroU64,
}

/// `grader handout`
#[derive(Debug, Args)]
struct Handout {
    /// Make the repository here; the folder must be empty, or not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only this lab's branch, beside `main` [default: all labs]
    #[arg(long, value_name = "ID")]
    lab: Option<String>,
    /// The kernel kind whose tree is handed out [default: the first lab's]
    #[arg(long, value_name = "KIND")]
    kernel: Option<String>,
    /// The URL of the course's repository, from which the branches' workflow fetches the grader [default: the variable
    /// GRADER_REPOSITORY of the students' organisation]
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    grader: String,
}

/// What every command has: the course and the cache.
struct Context {
    cache: Cache,
    course: Course,
}

impl Context {
    fn find(course: Option<&std::path::Path>) -> Result<Self, Failure> {
        let cache = Cache::find()?;
        let here = std::env::current_dir().map_err(Failure::no_current_folder)?;
        let course = Course::find(course, &here, &cache)?;
        Ok(Self { cache, course })
    }
}

/// What is said of a lab whose kernels the course has no trees of.
const NO_REFERENCE: &str =
    "nothing to prove: the course has no reference solution of it, only `grader run --handout REPO` has the kernel";

/// What checks can be judged by, for the readers of lab files.
fn judges() -> Judges<'static> {
    Judges { oracles: oracle::NAMES, subjects: &subject::SUBJECTS }
}

/// Reads the command line, does what it says, and answers with the exit code.
pub fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            // Help and version are no errors, and clap prints each where it belongs.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let course = command.course.as_deref();
    let done = match &command.action {
        Action::Run(options) => Context::find(course).and_then(|context| run::run(&context, options)),
        Action::Replay(options) => Context::find(course).and_then(|context| replay::replay(&context, options)),
        Action::Batch(options) => Context::find(course).and_then(|context| batch::batch(&context, options)),
        Action::Report(options) => report::report(options),
        Action::Diff(options) => diff::diff(options),
        Action::Regrade(options) => Context::find(course).and_then(|context| regrade::regrade(&context, options)),
        Action::Merge(options) => merge::merge(options),
        Action::Alike(options) => alike::alike(options),
        Action::Labs { check } => Context::find(course).and_then(|context| labs::labs(&context, *check)),
        Action::Doctor => doctor::doctor(course),
        Action::Selftest(options) => Context::find(course).and_then(|context| selftest::selftest(&context, options)),
        Action::Handout(options) => Context::find(course).and_then(|context| handout::handout(&context, options)),
        Action::Schema { name } => {
            let format = schema::FORMATS.into_iter().find(|format| format.name == *name);
            let text = format.map(|format| format.text()).unwrap_or_default();
            terminal::print(&text).map(|()| ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|failure| {
        terminal::complain(&failure);
        failure.owner.exit_code().into()
    })
}
