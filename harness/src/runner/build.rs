//! Builds the submission, and the reference beside it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Run, RunError, chain, refused};
use crate::event::{Event, Listener, Side};
use crate::grade::{Build, Grade, Problem};
use crate::image::{self, BuildError, Diagnostic, Image, Level, Order, Outcome, Place, Refusal, Toolchain};
use crate::source_policy::{self, Breach, Rule};
use crate::source_tree::SourceTree;

/// Breaches of rules that are shown.
const MOST_BREACHES: usize = 50;

impl Run<'_> {
    /// Builds the submission; `None` when there is nothing to boot, and the grade says why.
    pub(super) async fn build(
        &mut self,
        toolchain: &Toolchain,
        grade: &mut Grade,
        listener: &mut dyn Listener,
    ) -> Result<Option<Image>, RunError> {
        let job = self.job;
        if let Err(faults) = &job.submission.files {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            grade.build = Build::Refused {
                reason: faults.join("; "),
                diagnostics: String::new(),
                places: Vec::new(),
                problems: Vec::new(),
            };
            return Ok(None);
        }
        if let Some(refused) = self.forbidden() {
            grade.build = refused;
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
                if let Some(reason) = self.fault_of_ours(toolchain, &refusal, listener).await {
                    self.keep_log(&refusal.log)?;
                    grade.build = Build::Error { reason };
                    return Ok(None);
                }
                let shown: Vec<String> = refusal.diagnostics.iter().map(|said| said.shown(false)).collect();
                let diagnostics = shown.join("\n");
                self.keep_log(&format!("{diagnostics}\n{}", refusal.log))?;
                let errors = refusal.diagnostics.iter().filter(|said| said.level == Level::Error);
                let problems: Vec<Problem> = errors.filter_map(problem).collect();
                let first = refusal.first_error().map(|error| format!(": {}", error.message)).unwrap_or_default();
                let reason = match &refusal.reason {
                    Some(reason) => format!("the submission cannot be built: {reason}"),
                    None => format!("the submission does not compile{first}"),
                };
                grade.build = Build::Refused { reason, places: places(&problems), diagnostics, problems };
                Ok(None)
            }
            Err(error) => {
                grade.build = error_of(&error);
                Ok(None)
            }
        }
    }

    /// Why a builder's refusal says nothing of the submission, if it does not.
    async fn fault_of_ours(
        &mut self,
        toolchain: &Toolchain,
        refusal: &Refusal,
        listener: &mut dyn Listener,
    ) -> Option<String> {
        let submission = self.job.submission;
        let trusted = self.build_tree(toolchain, &self.reference, Side::Reference, listener).await;
        self.clock.build += trusted.1;
        let in_repository = |file: &str| submission.path_in_repository(Path::new(file)).display().to_string();
        let submitted: BTreeSet<String> =
            self.tree.taken.keys().map(|path| in_repository(&path.display().to_string())).collect();
        refused::fault_of_ours(refusal, &trusted.0, &submission.base.from, in_repository, |file| {
            submitted.contains(file)
        })
    }

    /// What the submission's files have that the lab forbids.
    fn forbidden(&self) -> Option<Build> {
        let job = self.job;
        let mut allowed = job.lab.kernels.get(&job.kind.id).map(|kernel| kernel.allowed.clone()).unwrap_or_default();
        if !job.lab.counts_locks() {
            allowed.insert(Rule::Atomics);
        }
        let handed_out = |path: &Path| job.submission.base.files.get(path).map(|file| file.content.as_slice());
        let breaches = source_policy::check(&self.tree.taken, handed_out, &allowed);
        let first = breaches.first()?;
        let in_repository = |breach: &Breach| {
            let file = job.submission.path_in_repository(&breach.file);
            Breach { file, ..breach.clone() }
        };
        let shown: Vec<Breach> = breaches.iter().take(MOST_BREACHES).map(in_repository).collect();
        let problems: Vec<Problem> = shown.iter().map(forbidden).collect();
        Some(Build::Refused {
            reason: format!("the submission has a forbidden construct: {}", in_repository(first)),
            // The first one is the reason.
            diagnostics: shown.iter().skip(1).map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            places: places(&problems),
            problems,
        })
    }

    pub(super) async fn build_tree(
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
        let order = Order {
            course: job.course,
            kind: job.kind,
            tree,
            trusted: Some(&self.reference),
            features,
            root,
            cache: job.cache,
            toolchain,
            confinement: &self.confinement,
        };
        self.stage.begin(match side {
            Side::Submission => "the kernel was built with the submission's files",
            Side::Reference => "the reference was built",
        });
        listener.event(&Event::BuildStarted(side));
        let _turn = job.turns.take(1).await;
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
}

pub(super) fn error_of(error: &BuildError) -> Build {
    Build::Error { reason: format!("failed to {}", chain(error)) }
}

/// A message of the compiler that has a place.
fn problem(said: &Diagnostic) -> Option<Problem> {
    let place = said.place.clone()?;
    let kind = said.code.as_ref().map_or_else(|| "compiler error".to_owned(), |code| format!("compiler error {code}"));
    let label = said.label.as_ref().map(|label| format!(": {label}")).unwrap_or_default();
    Some(Problem { place, kind, message: format!("{}{label}", said.message) })
}

fn forbidden(breach: &Breach) -> Problem {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let place =
        Place { file: breach.file.display().to_string(), line: number(breach.line), column: number(breach.column) };
    let message = format!("`{}` is forbidden in this lab: {}", breach.what, breach.rule.why());
    Problem { place, kind: format!("forbidden construct, rule {}", breach.rule.name()), message }
}

fn places(problems: &[Problem]) -> Vec<String> {
    let place = |Problem { place, .. }: &Problem| format!("{}:{}:{}", place.file, place.line, place.column);
    problems.iter().map(place).collect()
}
