//! Grades one submission in one lab: builds, boots, judges, keeps; tells listeners what happens meanwhile.

mod boots;
mod build;
pub mod inputs;
mod opening;
mod refused;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::cache::Cache;
use crate::confinement::Confinement;
use crate::confinement::policy::{Policy, Unconfined};
use crate::course::{Course, CourseError};
use crate::event::{Event, Listener};
use crate::grade::{Build, Confined, Grade, Times, Watched};
use crate::grading::{self, Boots};
use crate::image::Toolchain;
use crate::kind::Kind;
use crate::lab::{Check, Lab};
use crate::plan::{self, Planned};
use crate::qemu;
use crate::run_folder::{RunFolder, RunFolderError};
use crate::seed::{Choice, Seed};
use crate::source_tree::{Overlay, SourceTree, SourceTreeError};
use crate::stability;
use crate::submission::Submission;
use crate::witness;
pub use opening::submission_of;
pub use turns::Turns;

/// What is to be graded, and how.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The processors, shared with other jobs of this process.
    pub turns: &'a Turns,
    /// Where things are kept.
    pub cache: &'a Cache,
    /// The course.
    pub course: &'a Course,
    /// The lab.
    pub lab: &'a Lab,
    /// The submission's kernel kind.
    pub kind: &'a Kind,
    /// The submission.
    pub submission: &'a Submission,
    /// What is laid into the course's tree; that of the submission, or a starter or mutant in a self-test.
    pub overlay: Overlay<'a>,
    /// The checks to be run.
    pub wanted: &'a BTreeSet<&'a str>,
    /// What must hold before its code runs.
    pub policy: &'a Policy,
    /// The seed that was asked for.
    pub seed: Choice,
    /// The command that does the same again, its seed left out.
    pub command: &'a str,
    /// Where the run is kept, if it is.
    pub folder: Option<&'a RunFolder>,
}

/// Why nothing was graded.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The course has no such file, or a wrong one.
    #[error(transparent)]
    Course(#[from] CourseError),
    /// The source tree cannot be put together.
    #[error(transparent)]
    SourceTree(#[from] SourceTreeError),
    /// The run cannot be kept.
    #[error(transparent)]
    Keep(#[from] RunFolderError),
    /// The lab's key cannot be read.
    #[error("read the seed key {}", path.display())]
    SeedKey {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// The submission's code must not run unconfined.
    #[error(transparent)]
    Unconfined(#[from] Unconfined),
    /// There is no place for the files of the machines.
    #[error("make a folder in {}, where temporary files go; set TMPDIR to a folder that can be written", path.display())]
    Temporary {
        /// The place.
        path: std::path::PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// Somebody pressed Ctrl-C, or the process was asked to end.
    #[error("finish: interrupted while {stage}; nothing was graded")]
    Interrupted {
        /// What was being done.
        stage: &'static str,
    },
}

impl RunError {
    /// Whose fault it is.
    pub fn owner(&self) -> crate::owner::Owner {
        match self {
            Self::Course(error) => error.owner(),
            Self::SourceTree(error) => error.owner(),
            Self::Keep(_)
            | Self::SeedKey { .. }
            | Self::Unconfined(_)
            | Self::Temporary { .. }
            | Self::Interrupted { .. } => crate::owner::Owner::Harness,
        }
    }
}

/// Told once that everything must end.
pub type Cancel = watch::Receiver<bool>;

async fn cancelled(mut cancel: Cancel) {
    // A sender that is gone can ask for nothing any more.
    if cancel.wait_for(|asked| *asked).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Grades.
///
/// # Errors
/// When there is nothing that a grade could say; what keeps single checks from being judged is a verdict.
pub async fn grade(job: &Job<'_>, listener: &mut dyn Listener, cancel: &Cancel) -> Result<Grade, RunError> {
    let work = Run::start(job)?;
    let stage = Arc::clone(&work.stage);
    tokio::select! {
        biased;
        () = cancelled(cancel.clone()) => Err(RunError::Interrupted { stage: stage.get() }),
        grade = work.go(listener) => grade,
    }
}

struct Run<'a> {
    job: &'a Job<'a>,
    tree: SourceTree,
    /// The course's own.
    reference: SourceTree,
    seed: Seed,
    plan: Vec<Planned>,
    confinement: Confinement,
    /// The plugin that boots are watched with, where QEMU can load it.
    witness: Option<PathBuf>,
    stage: Arc<Stage>,
    /// How many times a session was booted again.
    again: BTreeMap<String, u32>,
    clock: Stopwatch,
}

/// What a run is at, for whoever asks why it did not end.
#[derive(Debug, Default)]
struct Stage(Mutex<Option<&'static str>>);

impl Stage {
    fn begin(&self, stage: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
    }

    fn get(&self) -> &'static str {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or("the tools were looked for")
    }
}

/// Wall times of the parts of a run.
struct Stopwatch {
    started: SystemTime,
    from: Instant,
    build: Duration,
    boots: Duration,
    sessions: BTreeMap<String, f64>,
}

/// What follows from a job alone.
struct Prepared {
    tree: SourceTree,
    seed: Seed,
    plan: Vec<Planned>,
}

impl Prepared {
    fn of(job: &Job<'_>) -> Result<Self, RunError> {
        let tree = SourceTree::new(&job.submission.base, job.lab, job.kind, job.overlay)?;
        let seed = match job.seed {
            Choice::Given(seed) => seed,
            Choice::Random => Seed::random(),
            Choice::Derived => derive(job.lab, &tree)?,
        };
        let checks: Vec<&Check> =
            job.lab.checks.iter().filter(|check| job.wanted.contains(check.id.0.as_str())).collect();
        let plan = plan::boots(job.lab, &job.kind.id, seed, |session| {
            checks.iter().any(|check| check.sessions.contains(&session.id))
        });
        Ok(Self { tree, seed, plan })
    }
}

impl<'a> Run<'a> {
    fn start(job: &'a Job<'a>) -> Result<Self, RunError> {
        let clock = Stopwatch {
            started: SystemTime::now(),
            from: Instant::now(),
            build: Duration::ZERO,
            boots: Duration::ZERO,
            sessions: BTreeMap::new(),
        };
        if let Some(folder) = job.folder {
            folder.begin()?;
        }
        let Prepared { tree, seed, plan } = Prepared::of(job)?;
        let reference = SourceTree::new(&job.submission.base, job.lab, job.kind, Overlay::Reference)?;
        Ok(Self {
            job,
            tree,
            reference,
            seed,
            plan,
            confinement: Confinement::none(),
            witness: None,
            stage: Arc::default(),
            again: BTreeMap::new(),
            clock,
        })
    }

    async fn go(mut self, listener: &mut dyn Listener) -> Result<Grade, RunError> {
        let job = self.job;
        let seed = self.seed.to_string();
        let lab = format!("{}: {}, {} points", job.lab.id, job.lab.title, job.lab.points_in(&job.kind.id));
        let submission = opening::describe(job);
        let kernel = opening::kernel(job);
        listener.event(&Event::Started { lab: &lab, submission: &submission, kernel: &kernel, seed: &seed });

        let mut grade = self.opening()?;
        let (mut boots, mut reference) = (Boots::new(), Boots::new());
        let mut image = None;
        if let Some(toolchain) = self.tools(&mut grade).await? {
            image = self.build(&toolchain, &mut grade, listener).await?;
            if let Some(image) = &image {
                (boots, reference) = self.boot(&toolchain, image, listener).await?;
            }
        }
        let mut grade = grading::grade(grade, job.lab, job.wanted, &self.plan, &boots, &reference);
        let due = stability::due(job.lab, &self.plan, &grade, &boots);
        if let (Some(image), false) = (image, due.is_empty()) {
            let second = self.boot_again(&image, due, listener).await?;
            grade = stability::held(grade, job.lab, job.wanted, &self.plan, [&boots, &second], &reference);
        }
        for session in &mut grade.sessions {
            session.again = self.again.get(&session.id).copied().unwrap_or(0);
        }
        for check in &grade.checks {
            listener.event(&Event::CheckJudged(check));
        }
        grade.times = self.clock.read();
        if let Some(folder) = job.folder {
            folder.save_grade(&grade)?;
        }
        Ok(grade)
    }

    /// Names the tools and protections in the grade; `None` when a tool is missing, and the grade says which.
    async fn tools(&mut self, grade: &mut Grade) -> Result<Option<Toolchain>, RunError> {
        let job = self.job;
        let own_tree = job.course.root.join(job.kind.source.as_deref().unwrap_or(std::path::Path::new("")));
        let (qemu, toolchain) = tokio::join!(qemu::find(&job.kind.qemu), Toolchain::of(&job.kind.build, &own_tree));
        let sandbox = qemu.as_ref().map_or(true, |qemu| qemu.sandbox);
        self.confinement = Confinement::of_machine(sandbox);
        let protections = self.confinement.protections();
        grade.confinement = Some(Confined::of(job.policy, &protections));
        job.policy.admits(&protections)?;
        Ok(match (qemu, toolchain) {
            (Ok(qemu), Ok(toolchain)) => {
                grade.tools.qemu = qemu.version;
                grade.tools.compiler = first_line(&toolchain.verbose);
                let witness = witness::library::find(job.cache, &job.kind.qemu.program).await;
                grade.witness = Some(match &witness {
                    Ok(_) => Watched::Available,
                    Err(error) => Watched::Missing { why: error.to_string() },
                });
                self.witness = witness.ok();
                Some(toolchain)
            }
            (Err(error), _) => {
                grade.build = Build::Error { reason: format!("failed to {}", qemu::with_help(&error)) };
                None
            }
            (_, Err(error)) => {
                grade.build = build::error_of(&error);
                None
            }
        })
    }
}

impl Stopwatch {
    fn read(&self) -> Times {
        let total = self.from.elapsed();
        Times {
            started: self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            total: seconds(total),
            build: seconds(self.build),
            boots: seconds(self.boots),
            harness: seconds(total.saturating_sub(self.build + self.boots)),
            sessions: self.sessions.clone(),
        }
    }
}

/// Seconds to the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

fn derive(lab: &Lab, tree: &SourceTree) -> Result<Seed, RunError> {
    let key = match &lab.seed_key {
        None => Vec::new(),
        Some(key) => {
            let path = lab.folder.join(key);
            std::fs::read(&path).map_err(|cause| RunError::SeedKey { path, cause })?
        }
    };
    let files: Vec<(String, &[u8])> =
        tree.taken.iter().map(|(path, content)| (path.display().to_string(), content.as_slice())).collect();
    Ok(Seed::derive(&lab.version, files.iter().map(|(path, content)| (path.as_str(), *content)), &key))
}

/// An error with its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
