//! `grader batch`

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::class_reports::{self, ClassReports};
use super::failure::Failure;
use super::run::{on_interrupt, runtime};
use super::{Context, judges, protection, terminal};
use crate::batch::{self, Batch, BatchError, Machine, Runner, Shard, Which};
use crate::confinement::Protection;
use crate::confinement::policy::{Policy, Whose};
use crate::digest;
use crate::gradebook::{self, Gradebook};
use crate::lab::{KindId, Lab};
use crate::report::class::live::Live;
use crate::roster::Roster;
use crate::seed::Choice;

/// `grader batch`
#[derive(Debug, Args)]
pub struct BatchOptions {
    /// The class: a table in CSV, or YAML
    #[arg(long, value_name = "FILE")]
    roster: PathBuf,
    /// The lab (repeatable)
    #[arg(long, value_name = "ID", required = true)]
    lab: Vec<String>,
    /// The folder for gradebook, transcripts and reports
    #[arg(long, value_name = "DIR", default_value = "class")]
    out: PathBuf,
    /// Processors that may be used [default: all]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Grade only part I of N, as one of several machines; `grader merge` joins the parts
    #[arg(long, value_name = "I/N", default_value = "1/1", hide_default_value = true)]
    shard: Shard,
    /// Go on with the last run, which was killed or interrupted, or could not grade some by a fault of ours; begin one
    /// where there is none
    #[arg(long, conflicts_with_all = ["only", "failed"])]
    resume: bool,
    /// Only students whose id, name or group matches this regular expression
    #[arg(long, value_name = "PATTERN", conflicts_with = "failed")]
    only: Option<regex::Regex>,
    /// Only those that did not pass everything in the last run; the others are taken over from it
    #[arg(long)]
    failed: bool,
    /// Begin nothing more as soon as something cannot be graded by a fault of ours
    #[arg(long)]
    fail_fast: bool,
    /// Draw the operations of all submissions from this seed [default: each submission's own]
    #[arg(long, value_name = "N")]
    seed: Option<Choice>,
    /// Mix the content of this file into every submission's own seed; students do not have it
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    seed_key: Option<PathBuf>,
    /// Grade what was graded before, too
    #[arg(long)]
    no_cache: bool,
    /// Take the submissions for kernels of this kind [default: recognised by their files]
    #[arg(long, value_name = "KIND")]
    kernel: Option<String>,
    /// Take all but the lab's files from here, for kernels of which the course has no tree of its own
    #[arg(long, value_name = "REPO[@REV]")]
    handout: Option<String>,
    /// Grade though this machine lacks these protections, with commas (`grader doctor` says which it has)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = protection)]
    allow_unconfined: Vec<Protection>,
    #[command(flatten)]
    reports: ClassReports,
}

/// Grades a class.
pub fn batch(context: &Context, options: &BatchOptions) -> Result<ExitCode, Failure> {
    let labs = labs(context, options)?;
    let roster = Roster::read(&options.roster, &context.course.lab_ids()?).map_err(Failure::caller)?;
    let kinds = context.course.kinds()?;
    let kernel = options.kernel.clone().map(KindId);
    let (seed, seed_name) = seed(options)?;
    let out = std::path::absolute(&options.out).map_err(Failure::no_current_folder)?;
    let jobs = options.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let class = Batch {
        course: &context.course,
        cache: &context.cache,
        kinds: &kinds,
        labs: &labs,
        roster: &roster,
        kernel: kernel.as_ref(),
        handout: options.handout.as_deref(),
        policy: Policy { whose: Whose::SomebodyElses, waived: options.allow_unconfined.clone() },
        seed,
        seed_name,
        out: &out,
        jobs,
        shard: options.shard,
        which: which(options),
        use_cache: !options.no_cache,
        fail_fast: options.fail_fast,
    };
    let runtime = runtime()?;
    let cancel = {
        let _inside = runtime.enter();
        on_interrupt()
    };
    let grader = Runner {
        runtime: runtime.handle().clone(),
        machine: Machine::default(),
        course: &context.course,
        cache: &context.cache,
        cancel: cancel.clone(),
    };
    let mut live = Live::new(io::IsTerminal::is_terminal(&io::stderr()), terminal::colours(&io::stderr()));
    let done = batch::grade(&class, &grader, &mut live, &cancel);
    drop(live);
    // What was started is ended by its own guards; a build script that ignores that must not keep us.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    let resume =
        format!("grader batch --roster {} … --out {} --resume", options.roster.display(), options.out.display());
    let summary = done.map_err(|error| failure(error, &resume))?;
    let gradebook = Gradebook::open(&out.join(gradebook::FILE))?;
    let run = gradebook.run(Some(summary.run))?;
    let code = class_reports::publish(&gradebook, &run, &options.reports)?;
    if summary.unfinished {
        return Err(Failure::harness("finish: interrupted; all that was graded is kept")
            .with_help(format!("go on with the same command and --resume: {resume}")));
    }
    Ok(code)
}

fn which(options: &BatchOptions) -> Which {
    match (&options.only, options.failed, options.resume) {
        (Some(pattern), ..) => Which::Only(pattern.clone()),
        (_, true, _) => Which::Failed,
        (.., true) => Which::Resume,
        _ => Which::All,
    }
}

/// The labs, with the course's key in place of their own where one was given.
fn labs(context: &Context, options: &BatchOptions) -> Result<Vec<Lab>, Failure> {
    let mut labs: Vec<Lab> = Vec::new();
    for id in &options.lab {
        if labs.iter().any(|lab| lab.id.0 == *id) {
            return Err(Failure::caller(format!("grade lab {id}: it is named twice")));
        }
        let mut lab = context.course.lab(id, judges())?;
        if let Some(key) = &options.seed_key {
            lab.seed_key = Some(std::path::absolute(key).map_err(Failure::no_current_folder)?);
        }
        labs.push(lab);
    }
    Ok(labs)
}

/// The seed, and what the gradebook says of it: of a key no more than tells it from another.
fn seed(options: &BatchOptions) -> Result<(Choice, String), Failure> {
    let choice = options.seed.unwrap_or_default();
    let name = match (&options.seed_key, choice) {
        (Some(key), _) => format!("derived with key {}", key_name(key)?),
        (None, Choice::Derived) => "derived".to_owned(),
        (None, Choice::Given(seed)) => seed.to_string(),
        (None, Choice::Random) => {
            return Err(Failure::caller(
                "grade a class with a random seed for each: nobody could go on with that, or repeat it",
            )
            .with_help("leave `--seed` out, and each submission has a seed of its own, or give a number"));
        }
    };
    Ok((choice, name))
}

fn key_name(path: &Path) -> Result<String, Failure> {
    let key = std::fs::read(path)
        .map_err(|error| Failure::caller(format!("read the seed key {}: {error}", path.display())))?;
    Ok(digest::of_parts([(b"name of a seed key".as_slice(), key.as_slice())])[..8].to_owned())
}

fn failure(error: BatchError, resume: &str) -> Failure {
    let owner = error.owner();
    let help = match &error {
        BatchError::Gradebook(_) | BatchError::Folder { .. } | BatchError::Hopeless { .. } => {
            Some(format!("when that is mended: {resume}; all that was graded until then is kept"))
        }
        _ => None,
    };
    Failure { owner, error: Box::new(error), help }
}
