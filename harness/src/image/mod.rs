//! From a tree of sources to a kernel and its programs on disk.

pub mod diagnostic;
mod error;
pub mod initrd;
pub mod phrases;
mod process;
mod products;
mod scratch;
pub mod storage;
mod store;
mod toolchain;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::cache::{Cache, CacheError, Lock};
use crate::confinement::{self, Confinement};
use crate::course::Course;
use crate::digest;
use crate::kind::{self, Kind, Messages};
use crate::source_tree::{Origin, SourceTree};

pub use diagnostic::{Diagnostic, Level, Place};
pub use error::BuildError;
use process::RunError;
use scratch::Scratch;
pub use store::Image;
pub use toolchain::{Toolchain, settings};

/// What is to be built.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The course, whose own tree dependencies are fetched for.
    pub course: &'a Course,
    /// The tree's kind.
    pub kind: &'a Kind,
    /// The tree.
    pub tree: &'a SourceTree,
    /// The course's own, which differs from it in little; what a builder makes of that is kept for submissions.
    pub trusted: Option<&'a SourceTree>,
    /// The features that the lab names.
    pub features: &'a [String],
    /// The toolchain that builds in the course's own tree: [`Toolchain::of`].
    pub toolchain: &'a Toolchain,
    /// The folder of the student's repository that is the kernel's root; messages name files from the repository's.
    pub root: &'a Path,
    /// Where trees and images are kept.
    pub cache: &'a Cache,
    /// What the builder is confined with.
    pub confinement: &'a Confinement,
}

/// What became of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It can be booted.
    Built(Image),
    /// The compiler refused it, which is the submission's fault.
    Refused(Refusal),
}

/// Why a compiler refused a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the builder did and must not, where that is why.
    pub reason: Option<String>,
    /// What it said, errors and warnings in its order.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there were than are kept.
    pub omitted: usize,
    /// The end of what the builder said besides: all there is where the compiler itself crashed on the source.
    pub log: String,
}

impl Refusal {
    fn for_reason(reason: String) -> Self {
        Self { reason: Some(reason), diagnostics: Vec::new(), omitted: 0, log: String::new() }
    }

    /// The first error, which the others often follow from.
    pub fn first_error(&self) -> Option<&Diagnostic> {
        self.diagnostics.iter().find(|diagnostic| diagnostic.level == Level::Error)
    }
}

/// What a build is about to do, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another grader builds the same, or all trees are in use.
    Waiting,
    /// Dependencies are missing, and this command fetches them in the course's own tree.
    Fetching(String),
    /// The builder runs.
    Compiling,
}

/// The most diagnostics that are kept.
const DIAGNOSTICS: usize = 100;
/// The most bytes of rendered diagnostics that are kept.
const RENDERED: usize = 512 << 10;
/// Trees that graders can build in side by side.
const TREES: usize = 8;
/// Wall time that fetching dependencies may take.
const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// Builds a tree, unless an image of it is there already: then no builder is started.
///
/// Dropping the future ends everything that it started.
///
/// # Errors
/// When nothing could be built through no fault of the submission. Errors in the source are an [`Outcome`], or
/// [`BuildError::OwnTree`] where every file is the course's own.
pub async fn build(order: &Order<'_>, progress: &(dyn Fn(Progress) + Sync)) -> Result<Outcome, BuildError> {
    let own_tree = order.kind.source.as_ref().map(|source| order.course.root.join(source));
    let key = order.key();
    if let Some(image) = store::find(order.cache, &key) {
        return Ok(Outcome::Built(image));
    }
    let _same = lock(order.cache, &[format!("image-{key}")], progress).await?;
    if let Some(image) = store::find(order.cache, &key) {
        return Ok(Outcome::Built(image));
    }

    // The course's own tree and its other solutions are kept apart, so that neither undoes the other's builds. Nothing
    // of a submission's is kept: what a build leaves could be meant for the next one. It begins with what is trusted.
    let origin = order.tree.origin;
    let family = format!("{}-{}", order.kind.id, origin.name());
    let names: Vec<String> = (0..TREES).map(|number| format!("{family}-{number}")).collect();
    let (_tree, index) =
        lock(order.cache, &names.iter().map(|name| format!("tree-{name}")).collect::<Vec<_>>(), progress).await?;
    let root = order.cache.folder("builds")?.join(&names[index]);
    if order.kind.build.clean || origin == Origin::Submission {
        Scratch::clear(&root)?;
    }
    if origin == Origin::Submission {
        products::lay(order, &root, progress).await?;
    }
    let scratch = Scratch::at(root.clone()).map_err(|cause| BuildError::io(&root, cause))?;
    let laid_in = order.tree.materialise(&scratch.tree, &order.kind.ignore);
    laid_in.map_err(|(path, cause)| BuildError::io(path, cause))?;
    progress(Progress::Compiling);
    let built = Build::prepare(order, &scratch).await?.run(&key, own_tree.as_deref(), progress).await;
    if origin == Origin::Submission {
        Scratch::clear(&root)?;
    }
    built
}

/// Waits for the first of several locks that is free; the answer says which.
async fn lock(
    cache: &Cache,
    names: &[String],
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Lock, usize), CacheError> {
    let mut waiting = false;
    loop {
        for (index, name) in names.iter().enumerate() {
            if let Some(lock) = cache.try_lock(name)? {
                return Ok((lock, index));
            }
        }
        if !waiting {
            progress(Progress::Waiting);
        }
        waiting = true;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Order<'_> {
    /// What an image depends on. Where it is built is no part of it.
    fn key(&self) -> String {
        let features = self.features.join(",");
        let how = format!("{:?}", self.kind.build);
        // Paths in kept warnings begin at the repository's root.
        let root = self.root.display().to_string();
        // Its flags go into every build; it is rare, and empty when it is not there.
        let settings = settings();
        let parts = [
            ("settings", &settings),
            ("tree", &self.tree.digest),
            ("features", &features),
            ("how", &how),
            ("toolchain", &self.toolchain.verbose),
            ("root", &root),
        ];
        digest::of_parts(parts.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }
}

/// A build in a tree on disk.
struct Build<'a> {
    order: &'a Order<'a>,
    scratch: &'a Scratch,
    values: BTreeMap<&'static str, String>,
}

/// What a builder said.
#[derive(Default)]
struct Said {
    diagnostics: Vec<Diagnostic>,
    omitted: usize,
    rendered: usize,
    plain: Vec<String>,
}

impl Said {
    fn add(&mut self, diagnostic: Diagnostic) {
        // Errors say why nothing was built; a flood of warnings must not drown them.
        let room = diagnostic.level == Level::Error || self.diagnostics.len() < DIAGNOSTICS / 2;
        if room && self.diagnostics.len() < DIAGNOSTICS && self.rendered + diagnostic.rendered.len() <= RENDERED {
            self.rendered += diagnostic.rendered.len();
            self.diagnostics.push(diagnostic);
        } else {
            self.omitted += 1;
        }
    }
}

impl<'a> Build<'a> {
    async fn prepare(order: &'a Order<'a>, scratch: &'a Scratch) -> Result<Self, BuildError> {
        let folder = scratch.tree.as_path();
        let text = |path: &Path| path.display().to_string();
        let compiler = &order.toolchain.compiler;
        let mut values = BTreeMap::from([("tree", text(folder)), ("features", order.features.join(","))]);
        if !order.kind.build.compilers.is_empty() {
            let prefix = compiler.rfind('-').map_or("", |dash| &compiler[..=dash]);
            values.extend([("compiler", compiler.clone()), ("compiler-prefix", prefix.to_owned())]);
            if order.kind.build.target.is_none() {
                return Ok(Self { order, scratch, values });
            }
        }
        let sysroot = toolchain::sysroot(folder).await?;
        let target = order.kind.build.target.clone().unwrap_or_default();
        if !target.is_empty() && !toolchain::has_target(&sysroot, &target) {
            return Err(BuildError::TargetMissing { target });
        }
        values.extend([
            ("target", target),
            ("cargo-home", text(&toolchain::cargo_home())),
            ("rust-source", text(&sysroot.join("lib/rustlib/src/rust"))),
            ("rust-commit", order.toolchain.commit.clone()),
        ]);
        Ok(Self { order, scratch, values })
    }

    fn fill(&self, text: &str) -> String {
        kind::fill(text, |name| self.values.get(name).cloned())
    }

    async fn run(
        &self,
        key: &str,
        own_tree: Option<&Path>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Outcome, BuildError> {
        let (mut status, mut said, mut log) = match self.command().await {
            Err(BuildError::TooMuch { what, .. }) if self.order.tree.origin == Origin::Submission => {
                return Ok(Outcome::Refused(Refusal::for_reason(format!("its build {what}"))));
            }
            ran => ran?,
        };
        if let Some(own_tree) = own_tree
            && !status.success()
            && said.diagnostics.is_empty()
            && lacks_dependencies(&log)
        {
            self.fetch(own_tree, progress).await?;
            progress(Progress::Compiling);
            (status, said, log) = self.command().await?;
        }
        let diagnostics = said.diagnostics;
        if status.success() {
            return self.keep(key, diagnostics).map(Outcome::Built);
        }
        let has_error = diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error);
        // Messages about the source have a place, and their text is the student's to choose.
        let ours = diagnostics.iter().filter(|diagnostic| diagnostic.place.is_none());
        let full = |text: &str| text.contains("No space left on device") || text.contains("os error 28");
        if full(&log) || ours.into_iter().any(|diagnostic| full(&diagnostic.message)) {
            return Err(BuildError::DiskFull { path: self.scratch.tree.clone() });
        }
        if self.order.tree.origin == Origin::Submission && is_out_of_time(status, &log) {
            let most = scratch::processor_time(self.order.kind.build.limit).as_secs();
            let reason = format!("its build takes more than {most} s of processor time");
            return Ok(Outcome::Refused(Refusal::for_reason(reason)));
        }
        // Source can crash a compiler; only the system kills one, when memory runs out.
        let crashed = self.order.tree.origin != Origin::Reference && log.contains("(signal: ");
        if log.contains("(signal: 9, SIGKILL") || !(has_error || crashed) {
            let command = self.shown();
            return Err(BuildError::Failed { command, status: status.to_string(), log: last_lines(&log) });
        }
        if self.order.tree.origin == Origin::Reference {
            return Err(BuildError::OwnTree { diagnostics, log: last_lines(&log) });
        }
        Ok(Outcome::Refused(Refusal { reason: None, diagnostics, omitted: said.omitted, log }))
    }

    fn shown(&self) -> String {
        self.order.kind.build.command.iter().take(2).cloned().collect::<Vec<_>>().join(" ")
    }

    async fn command(&self) -> Result<(std::process::ExitStatus, Said, String), BuildError> {
        let build = &self.order.kind.build;
        let arguments: Vec<String> = build.command.iter().map(|text| self.fill(text)).collect();
        let folder = &self.scratch.tree;
        let mut command = toolchain::command(&arguments[0], folder);
        command.args(&arguments[1..]);
        command.envs(build.environment.iter().map(|(name, text)| (name, self.fill(text))));
        if build.messages == Messages::Cargo {
            command.arg("--message-format=json-diagnostic-rendered-ansi");
        }
        let mut said = Said::default();
        let tree = self.order.tree;
        let has = |path: &Path| tree.has(path);
        let programs = [arguments[0].as_str(), &self.order.toolchain.compiler, "rustc"];
        self.scratch.confine(&mut command, self.order.confinement, &programs, build.limit)?;
        let allowance = self.scratch.allowance();
        let run = process::run(command, build.limit, Some(&allowance), |line| {
            let diagnostic = match build.messages {
                Messages::Cargo => diagnostic::from_cargo(line),
                Messages::Plain => {
                    let text = String::from_utf8_lossy(line).into_owned();
                    let diagnostic = diagnostic::from_plain(&text);
                    said.plain.push(text);
                    let surplus = said.plain.len().saturating_sub(2000);
                    said.plain.drain(..surplus);
                    diagnostic
                }
            };
            if let Some(diagnostic) = diagnostic {
                said.add(diagnostic.moved(self.order.root, has));
            }
        });
        let finished = run.await;
        let finished =
            finished.map_err(|error| toolchain::run_error(error, &arguments[0], &self.shown(), build.limit, folder))?;
        if build.messages == Messages::Plain {
            // Compilers that make runs write their messages there.
            for diagnostic in finished.errors.lines().filter_map(diagnostic::from_plain) {
                said.add(diagnostic.moved(self.order.root, has));
            }
        }
        let log = format!("{}\n{}", said.plain.join("\n"), finished.errors).trim_start().to_owned();
        Ok((finished.status, said, log))
    }

    /// Fetches dependencies for the course's own tree; never for a submission's files.
    async fn fetch(&self, own_tree: &Path, progress: &(dyn Fn(Progress) + Sync)) -> Result<(), BuildError> {
        let Some(fetch) = &self.order.kind.build.fetch else { return Ok(()) };
        let arguments: Vec<String> = fetch.iter().map(|text| self.fill(text)).collect();
        let shown = arguments.join(" ");
        progress(Progress::Fetching(shown.clone()));
        let mut command = toolchain::command(&arguments[0], own_tree);
        command.args(&arguments[1..]);
        let failed = |log: &str| {
            let (folder, command) = (own_tree.to_owned(), shown.clone());
            BuildError::Dependencies { folder, command, log: last_lines(log) }
        };
        confinement::keep(&mut command);
        match process::run(command, FETCH_LIMIT, None, |_| {}).await {
            Ok(finished) if finished.status.success() => Ok(()),
            Ok(finished) => Err(failed(&finished.errors)),
            Err(RunError::Overtime) => Err(failed("it did not end in time")),
            Err(error) => Err(toolchain::run_error(error, &arguments[0], &shown, FETCH_LIMIT, own_tree)),
        }
    }

    fn keep(&self, key: &str, warnings: Vec<Diagnostic>) -> Result<Image, BuildError> {
        let build = &self.order.kind.build;
        let kernel = self.scratch.tree.join(self.fill(&build.kernel));
        let program = |text: &String| {
            let path = self.scratch.tree.join(self.fill(text));
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, path)
        };
        let disk = build.disk.as_ref().map(|disk| self.scratch.tree.join(self.fill(disk)));
        let programs = build.programs.iter().map(program).collect();
        let outputs = store::Outputs { root: self.scratch.tree.clone(), kernel, disk, programs };
        store::keep(self.order.cache, key, &outputs, warnings)
    }
}

/// Whether a builder, or one of the programs that it started, used up its processor time.
fn is_out_of_time(status: std::process::ExitStatus, log: &str) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal() == Some(libc::SIGXCPU) || log.contains("SIGXCPU") || log.contains("CPU time limit exceeded")
}

/// Whether Cargo gave up since a dependency is not on this machine.
fn lacks_dependencies(log: &str) -> bool {
    let signs = [
        "--offline was specified",
        "failed to download",
        "no matching package",
        "registry index was not found",
        "attempting to make an HTTP request",
    ];
    signs.iter().any(|sign| log.contains(sign))
}

fn last_lines(log: &str) -> String {
    const LAST: usize = 20;
    let lines: Vec<&str> = log.lines().collect();
    diagnostic::clean(&lines[lines.len().saturating_sub(LAST)..].join("\n"), false)
}
