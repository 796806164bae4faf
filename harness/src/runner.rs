//! Grades one submission in one lab: builds, boots, judges, keeps; tells listeners what happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::cache::Cache;
use crate::course::{Course, CourseError};
use crate::digest;
use crate::event::{Event, Listener, Side};
use crate::excerpt::{self, Places};
use crate::grade::{Build, Grade, GradedLab, GradedSubmission, SCHEMA, Score, Times, Tools};
use crate::grading::{self, Booted, Boots};
use crate::image::{self, BuildError, Image, Level, Order, Outcome, Toolchain};
use crate::kind::Kind;
use crate::lab::{Check, Clock, Judge, Lab, SessionId};
use crate::plan::{self, Planned};
use crate::qemu;
use crate::run_folder::{RunFolder, RunFolderError};
use crate::seed::{Choice, Seed};
use crate::serial::reading::Reading;
use crate::session::{self, Boot};
use crate::source_tree::{Overlay, SourceTree, SourceTreeError};
use crate::submission::{Origin, Submission};
use crate::symbols::Symbols;

/// What is to be graded, and how.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
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
    /// Somebody pressed Ctrl-C, or the process was asked to end.
    #[error("finish: interrupted; nothing was graded")]
    Interrupted,
}

impl RunError {
    /// Whose fault it is.
    pub fn owner(&self) -> crate::owner::Owner {
        match self {
            Self::Course(error) => error.owner(),
            Self::SourceTree(error) => error.owner(),
            Self::Keep(_) | Self::SeedKey { .. } | Self::Interrupted => crate::owner::Owner::Harness,
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
    tokio::select! {
        biased;
        () = cancelled(cancel.clone()) => Err(RunError::Interrupted),
        grade = work.go(listener) => grade,
    }
}

struct Run<'a> {
    job: &'a Job<'a>,
    tree: SourceTree,
    seed: Seed,
    plan: Vec<Planned>,
    clock: Stopwatch,
}

/// Wall times of the parts of a run.
struct Stopwatch {
    started: SystemTime,
    from: Instant,
    build: Duration,
    boots: Duration,
    sessions: BTreeMap<String, f64>,
}

/// A boot that is over.
struct Finished {
    side: Side,
    planned: Planned,
    booted: Booted,
    took: Duration,
}

enum Happened {
    Started(SessionId),
    Finished(Box<Finished>),
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
        let tree = SourceTree::new(job.course, job.lab, job.kind, job.overlay)?;
        let seed = match job.seed {
            Choice::Given(seed) => seed,
            Choice::Random => Seed::random(),
            Choice::Derived => derive(job.lab, &tree)?,
        };
        let checks: Vec<&Check> =
            job.lab.checks.iter().filter(|check| job.wanted.contains(check.id.0.as_str())).collect();
        let plan =
            plan::boots(job.lab, seed, |session| checks.iter().any(|check| check.sessions.contains(&session.id)));
        Ok(Self { job, tree, seed, plan, clock })
    }

    async fn go(mut self, listener: &mut dyn Listener) -> Result<Grade, RunError> {
        let job = self.job;
        let seed = self.seed.to_string();
        let lab = format!("{}: {}, {} points", job.lab.id, job.lab.title, job.lab.points);
        let submission = describe(job);
        listener.event(&Event::Started { lab: &lab, submission: &submission, seed: &seed });

        let mut grade = self.opening()?;
        let mut boots = Boots::new();
        let mut reference = Boots::new();
        if let Some(toolchain) = self.tools(&mut grade).await
            && let Some(image) = self.build(&toolchain, &mut grade, listener).await?
        {
            (boots, reference) = self.boot(&toolchain, &image, listener).await?;
        }
        let mut grade = grading::grade(grade, job.lab, job.wanted, &self.plan, &boots, &reference);
        for check in &grade.checks {
            listener.event(&Event::CheckJudged(check));
        }
        grade.times = self.clock.read();
        if let Some(folder) = job.folder {
            folder.save_grade(&grade)?;
        }
        Ok(grade)
    }

    /// Names the tools in the grade; `None` when one is missing, and the grade says which.
    async fn tools(&self, grade: &mut Grade) -> Option<Toolchain> {
        let job = self.job;
        let own_tree = job.course.root.join(&job.kind.source);
        let (qemu, toolchain) = tokio::join!(qemu::version(&job.kind.qemu), Toolchain::of(&own_tree));
        match (qemu, toolchain) {
            (Ok(qemu), Ok(toolchain)) => {
                grade.tools.qemu = qemu;
                grade.tools.compiler = first_line(&toolchain.verbose);
                Some(toolchain)
            }
            (Err(error), _) => {
                grade.build = Build::Error { reason: format!("failed to {}", qemu::with_help(&error)) };
                None
            }
            (_, Err(error)) => {
                grade.build = error_of(&error);
                None
            }
        }
    }

    /// The grade with all that is known before anything is built.
    fn opening(&self) -> Result<Grade, RunError> {
        let job = self.job;
        let all = job.wanted.len() == job.lab.checks.len();
        Ok(Grade {
            schema: SCHEMA.to_owned(),
            lab: GradedLab {
                id: job.lab.id.0.clone(),
                title: job.lab.title.clone(),
                version: job.lab.version.clone(),
                kernel: job.kind.id.0.clone(),
            },
            submission: graded_submission(job, &self.tree),
            seed: self.seed.to_string(),
            reproduce: format!("{} --seed {}", job.command, self.seed),
            tools: Tools {
                grader: env!("CARGO_PKG_VERSION").to_owned(),
                course: job.course.digest(job.lab, job.kind)?,
                compiler: String::new(),
                qemu: String::new(),
            },
            partial: !all,
            points: Score::default(),
            build: Build::Built { source: self.tree.digest.clone() },
            sessions: Vec::new(),
            checks: Vec::new(),
            times: Times::default(),
        })
    }

    /// Builds the submission; `None` when there is nothing to boot, and the grade says why.
    async fn build(
        &mut self,
        toolchain: &Toolchain,
        grade: &mut Grade,
        listener: &mut dyn Listener,
    ) -> Result<Option<Image>, RunError> {
        let job = self.job;
        if let Err(faults) = &job.submission.files {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            grade.build = Build::Refused { reason: faults.join("; "), diagnostics: String::new(), places: Vec::new() };
            return Ok(None);
        }
        let built = self.build_tree(toolchain, &self.tree, Side::Submission, listener).await;
        self.clock.build += built.1;
        match built.0 {
            Ok(Outcome::Built(image)) => {
                let warnings: Vec<String> = image.warnings.iter().map(|warning| warning.shown(false)).collect();
                self.keep_log(&warnings.join("\n"))?;
                Ok(Some(image))
            }
            Ok(Outcome::Refused(refusal)) => {
                let shown: Vec<String> = refusal.diagnostics.iter().map(|said| said.shown(false)).collect();
                let diagnostics = shown.join("\n");
                self.keep_log(&format!("{diagnostics}\n{}", refusal.log))?;
                let errors = refusal.diagnostics.iter().filter(|said| said.level == Level::Error);
                let places = errors
                    .filter_map(|said| said.place.as_ref())
                    .map(|place| format!("{}:{}:{}", place.file, place.line, place.column));
                let first = refusal.first_error().map(|error| format!(": {}", error.message)).unwrap_or_default();
                let reason = format!("the submission does not compile{first}");
                grade.build = Build::Refused { reason, places: places.collect(), diagnostics };
                Ok(None)
            }
            Err(error) => {
                grade.build = error_of(&error);
                Ok(None)
            }
        }
    }

    async fn build_tree(
        &self,
        toolchain: &Toolchain,
        tree: &SourceTree,
        side: Side,
        listener: &mut dyn Listener,
    ) -> (Result<Outcome, BuildError>, Duration) {
        let job = self.job;
        let no_features = Vec::new();
        let features = job.lab.kernels.get(&job.kind.id).map_or(&no_features, |kernel| &kernel.features);
        let root = match side {
            Side::Submission => job.submission.root.as_path(),
            Side::Reference => Path::new(""),
        };
        let order = Order { course: job.course, kind: job.kind, tree, features, root, cache: job.cache, toolchain };
        listener.event(&Event::BuildStarted(side));
        let from = Instant::now();
        let notes = std::sync::Mutex::new(Vec::new());
        let built = image::build(&order, &|progress| {
            let note = match progress {
                image::Progress::Compiling => return,
                image::Progress::Waiting => "another grader is building; waiting for it".to_owned(),
                image::Progress::Fetching(command) => {
                    format!("dependencies of the kernel are missing; fetching them: {command}")
                }
            };
            if let Ok(mut notes) = notes.lock() {
                notes.push(note);
            }
        })
        .await;
        for note in notes.into_inner().unwrap_or_default() {
            listener.event(&Event::Note(&note));
        }
        let took = from.elapsed();
        let (cached, refused) = match &built {
            Ok(Outcome::Built(image)) => (image.cached, false),
            _ => (false, true),
        };
        listener.event(&Event::BuildFinished { side, cached, refused, took });
        (built, took)
    }

    fn keep_log(&self, log: &str) -> Result<(), RunError> {
        Ok(self.job.folder.map_or(Ok(()), |folder| folder.save_build_log(log))?)
    }

    /// Boots every session that is due, and those that a figure is compared with on the reference too.
    async fn boot(
        &mut self,
        toolchain: &Toolchain,
        image: &Image,
        listener: &mut dyn Listener,
    ) -> Result<(Boots, Boots), RunError> {
        let job = self.job;
        let compared: Vec<Planned> = self.plan.iter().filter(|planned| self.is_compared(planned)).cloned().collect();
        let mut reference = Boots::new();
        let mut reference_image = None;
        if !compared.is_empty() {
            let tree = SourceTree::new(job.course, job.lab, job.kind, Overlay::Reference)?;
            let built = self.build_tree(toolchain, &tree, Side::Reference, listener).await;
            self.clock.build += built.1;
            let failed = match built.0 {
                Ok(Outcome::Built(built)) => {
                    reference_image = Some(built);
                    None
                }
                Ok(Outcome::Refused(_)) => Some("the reference does not build".to_owned()),
                Err(error) => Some(format!("failed to {}", chain(&error))),
            };
            if let Some(reason) = failed {
                reference.extend(compared.iter().map(|planned| (planned.id.clone(), Booted::Failed(reason.clone()))));
            }
        }
        // The same image run twice says the same twice.
        let same = reference_image.as_ref().is_some_and(|reference| reference.digest == image.digest);
        let from = Instant::now();
        let scratch =
            tempfile::tempdir().map_err(|cause| RunFolderError::Write { path: std::env::temp_dir(), cause })?;
        let mut due = vec![(Side::Submission, image, self.plan.clone())];
        if let Some(image) = reference_image.as_ref().filter(|_| !same) {
            due.push((Side::Reference, image, compared.clone()));
        }
        listener.event(&Event::BootsPlanned(due.iter().map(|(_, _, plan)| plan.len()).sum()));

        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new(cores));
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for (side, image, plan) in due {
            for planned in plan {
                let name = format!("{}-{}.cpio", if side == Side::Reference { "reference" } else { "own" }, planned.id);
                let initrd = scratch.path().join(name);
                let packed = image.initrd(&planned.script).map_err(|error| chain(&error)).and_then(|bytes| {
                    std::fs::write(&initrd, bytes).map_err(|error| format!("write {}: {error}", initrd.display()))
                });
                let boot = packed.and_then(|()| {
                    planned
                        .boot(job.lab, job.kind, &image.kernel, &initrd)
                        .ok_or_else(|| format!("the lab has no session {}", planned.session))
                });
                // Harts under the parallel clock are threads; beside others they would not run side by side.
                let weight = match &boot {
                    Ok(Boot { clock: Clock::Parallel, .. }) => cores,
                    _ => 1,
                };
                let (turns, tell) = (Arc::clone(&turns), tell.clone());
                let kernel = image.kernel.clone();
                tasks.spawn(async move {
                    let turn = turns.acquire_many(u32::try_from(weight).unwrap_or(1)).await;
                    let _ = tell.send(Happened::Started(planned.id.clone()));
                    let from = Instant::now();
                    let booted = match boot {
                        Ok(boot) => run_boot(&boot, &kernel).await,
                        Err(reason) => Booted::Failed(format!("failed to {reason}")),
                    };
                    drop(turn);
                    let finished = Finished { side, planned, booted, took: from.elapsed() };
                    let _ = tell.send(Happened::Finished(Box::new(finished)));
                });
            }
        }
        drop(tell);
        let mut own = Boots::new();
        while let Some(happened) = told.recv().await {
            match happened {
                Happened::Started(id) => listener.event(&Event::BootStarted(&id)),
                Happened::Finished(finished) => {
                    listener.event(&Event::BootFinished { session: &finished.planned.id, took: finished.took });
                    self.keep_boot(&finished)?;
                    let Finished { side, planned, booted, .. } = *finished;
                    let boots = if side == Side::Reference { &mut reference } else { &mut own };
                    boots.insert(planned.id, booted);
                }
            }
        }
        if same {
            for planned in &compared {
                let Some(booted) = own.get(&planned.id) else { continue };
                if let Some(folder) = job.folder {
                    folder.save_boot(booted, true)?;
                }
                reference.insert(planned.id.clone(), booted.clone());
            }
        }
        self.clock.boots += from.elapsed();
        Ok((own, reference))
    }

    fn is_compared(&self, planned: &Planned) -> bool {
        self.job.lab.checks.iter().any(|check| {
            matches!(check.judge, Judge::Metric { .. })
                && self.job.wanted.contains(check.id.0.as_str())
                && check.sessions.contains(&planned.session)
        })
    }

    fn keep_boot(&mut self, finished: &Finished) -> Result<(), RunError> {
        let Finished { side, planned, booted, took } = finished;
        let reference = *side == Side::Reference;
        let name = if reference { format!("reference/{}", planned.id) } else { planned.id.0.clone() };
        self.clock.sessions.insert(name, seconds(*took));
        let Some(folder) = self.job.folder else { return Ok(()) };
        folder.save_boot(booted, reference)?;
        if let (Booted::Ran { reading, .. }, false) = (booted, reference) {
            folder.save_trace(&planned.id, &planned.script, reading)?;
        }
        Ok(())
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

/// Boots, and names the addresses that the transcript ends with.
async fn run_boot(boot: &Boot, kernel: &Path) -> Booted {
    match session::run(boot, |_| {}, std::future::pending()).await {
        Err(error) => {
            let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
            Booted::Failed(format!("failed to {}{help}", chain(&error)))
        }
        Ok(transcript) => {
            let reading = Reading::of(&transcript);
            Booted::Ran {
                places: places(&reading, kernel),
                transcript: Box::new(transcript),
                reading: Box::new(reading),
            }
        }
    }
}

/// Names for the addresses of an ending. A kernel without symbols has none, which costs only the names.
fn places(reading: &Reading, kernel: &Path) -> Places {
    let addresses = excerpt::addresses(&reading.ending);
    if addresses.is_empty() {
        return Places::new();
    }
    let Ok(symbols) = Symbols::open(kernel) else { return Places::new() };
    let name = |address: u64| {
        let places = symbols.call_places(address);
        let shown: Vec<String> = places.iter().map(ToString::to_string).collect();
        (!shown.is_empty()).then(|| (address, shown.join(", in ")))
    };
    addresses.into_iter().filter_map(name).collect()
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

fn describe(job: &Job<'_>) -> String {
    match job.overlay {
        Overlay::Starter => "the starter".to_owned(),
        Overlay::Mutant(mutant) => format!("mutant {}", mutant.name),
        Overlay::Reference | Overlay::Submission(_) => job.submission.origin.to_string(),
    }
}

fn graded_submission(job: &Job<'_>, tree: &SourceTree) -> GradedSubmission {
    let (repository, branch, commit) = match &job.submission.origin {
        Origin::Reference => (None, None, None),
        Origin::Commit { repository, name, commit } => {
            (Some(repository.clone()), Some(name.clone()), Some(commit.clone()))
        }
        Origin::WorkTree { repository, branch, commit, .. } => {
            (Some(repository.clone()), branch.clone(), commit.clone())
        }
    };
    let files = tree.taken.iter().map(|(path, content)| (path.display().to_string(), digest::of_bytes(content)));
    let in_vain = &job.submission.in_vain;
    let mut ignored: Vec<String> = in_vain
        .named
        .iter()
        .map(|file| format!("{}{}", file.path.display(), if file.added { " (added)" } else { "" }))
        .collect();
    if in_vain.more > 0 {
        ignored.push(format!("and {} more", in_vain.more));
    }
    GradedSubmission { what: describe(job), repository, branch, commit, files: files.collect(), ignored }
}

fn error_of(error: &BuildError) -> Build {
    Build::Error { reason: format!("failed to {}", chain(error)) }
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
