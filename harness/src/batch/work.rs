//! Grades one submission of a class, or finds that it was graded already.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::find::TRIES;
use super::kept::Kept;
use super::queue::Queue;
use super::{Batch, Item, Message, Stage};
use crate::event::{Event, Listener, Side};
use crate::grade::{Grade, Outcome, Verdict};
use crate::gradebook::Found;
use crate::kind::Kind;
use crate::lab::Lab;
use crate::likeness;
use crate::owner::Owner;
use crate::runner::inputs::Inputs;
use crate::runner::{self, Cancel, Job, RunError, Turns, chain};
use crate::shell;
use crate::source_tree::Overlay;
use crate::submission::{Origin, Pick, Request, Search, Submission, Trusted, mirror};

/// A submission that has its grade.
#[derive(Debug)]
pub struct Finished {
    /// The document.
    pub grade: Grade,
    /// Digest of all that decides it.
    pub key: String,
    /// SHA-256 of the source tree.
    pub source: String,
    /// For each boot its name, and the digest of its plan.
    pub plans: Vec<(String, String)>,
    /// Of the submitted files.
    pub fingerprint: Vec<u32>,
    /// It was graded before.
    pub cached: bool,
    /// Wall time that it took.
    pub seconds: f64,
    /// How many times it was tried.
    pub attempts: u32,
}

/// What came of a submission.
#[derive(Debug)]
pub enum Worked {
    /// It has a grade.
    Graded(Box<Finished>),
    /// It has none, by our fault, though it was tried so many times.
    Failed(String, u32),
    /// Nothing more can be graded: the machine or the course is not fit for it.
    Hopeless(Owner, String),
    /// Everything ends.
    Interrupted,
    /// Somebody else is at the same content; it comes back into the queue.
    Waiting,
}

/// Grades a job. The runner does; tests put something quicker in its place.
pub trait Grader: Sync {
    /// A digest of the machine's tools, if all are there.
    fn with(&self, lab: &Lab, kind: &Kind) -> Option<String>;
    /// Grades.
    ///
    /// # Errors
    /// As [`runner::grade`].
    fn grade(&self, job: &Job<'_>, listener: &mut dyn Listener) -> Result<Grade, RunError>;
}

/// What a worker works with.
pub struct Bench<'a> {
    /// What is graded, and how.
    pub batch: &'a Batch<'a>,
    pub grader: &'a dyn Grader,
    pub kept: &'a Kept,
    pub queue: &'a Queue,
    pub turns: &'a Turns,
    pub mirrors: &'a crate::submission::mirrors::Mirrors<'a>,
    pub trusted: Trusted,
}

/// Passes on what a run is at.
struct Teller<'a> {
    item: usize,
    tell: &'a dyn Fn(Message),
}

impl Listener for Teller<'_> {
    fn event(&mut self, event: &Event<'_>) {
        let stage = match event {
            Event::BuildStarted(Side::Submission) => Stage::Building,
            Event::BootStarted(session) => Stage::Booting(session.0.clone()),
            _ => return,
        };
        (self.tell)(Message::Stage(self.item, stage));
    }
}

impl Bench<'_> {
    /// Grades a submission whose commit is known.
    pub fn work(&self, item: &Item<'_>, index: usize, weight: u64, found: &Found, tell: &dyn Fn(Message)) -> Worked {
        let batch = self.batch;
        let lab = item.lab;
        let from = Instant::now();
        let submission = match self.find(item, found) {
            Ok(submission) => submission,
            Err(worked) => return worked,
        };
        let Some(kind) = batch.kinds.get(&submission.kind) else {
            let reason = format!("grade lab {}: it can be solved in no kernel kind of this course", lab.id);
            return Worked::Hopeless(Owner::Caller, reason);
        };
        let overlay = match &submission.files {
            Err(_) => Overlay::Reference,
            Ok(files) => Overlay::Submission(files),
        };
        let wanted: BTreeSet<&str> = lab
            .checks
            .iter()
            .filter(|check| check.kernels.includes(&kind.id))
            .map(|check| check.id.0.as_str())
            .collect();
        let command = format!(
            "grader run --lab {} --repo {} --rev {}",
            lab.id,
            shell::quoted(&mirror::without_password(&item.assignment.repository)),
            found.commit
        );
        let job = Job {
            turns: self.turns,
            cache: batch.cache,
            course: batch.course,
            lab,
            kind,
            submission: &submission,
            overlay,
            wanted: &wanted,
            policy: &batch.policy,
            seed: batch.seed,
            command: &command,
            folder: None,
        };
        (tell)(Message::Stage(index, Stage::Looking));
        let with = self.grader.with(lab, kind);
        let inputs = match Inputs::of(&job, with.as_deref().unwrap_or_default()) {
            Ok(inputs) => inputs,
            Err(error) => return Worked::Hopeless(error.owner(), chain(&error)),
        };
        let Some(claim) = self.queue.claim(&inputs.key, weight, index) else { return Worked::Waiting };
        let known = with.is_some().then(|| self.kept.find(&inputs.key)).flatten();
        let cached = known.is_some();
        let worked = match known {
            Some(grade) => Ok((as_of(grade, &job), 1)),
            None => self.grade(&job, index, &inputs.key, with.is_some(), tell),
        };
        drop(claim);
        match worked {
            Err(worked) => worked,
            Ok((grade, attempts)) => Worked::Graded(Box::new(Finished {
                grade,
                key: inputs.key,
                source: inputs.source,
                plans: inputs.plans,
                fingerprint: fingerprint(&submission, lab),
                cached,
                seconds: (from.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
                attempts,
            })),
        }
    }

    fn find(&self, item: &Item<'_>, found: &Found) -> Result<Submission, Worked> {
        let batch = self.batch;
        let search = Search {
            from: std::path::Path::new("/"),
            course: batch.course,
            kinds: batch.kinds,
            lab: item.lab,
            cache: batch.cache,
            trusted: &self.trusted,
            kernel: batch.kernel,
            handout: batch.handout,
        };
        let failed = |error: crate::submission::SubmissionError| {
            let reason = format!("failed to {}", chain(&error));
            match error {
                crate::submission::SubmissionError::Base(_)
                | crate::submission::SubmissionError::NoSuchKind { .. }
                | crate::submission::SubmissionError::NoHandout { .. } => {
                    Worked::Hopeless(error.owner(), chain(&error))
                }
                _ => Worked::Failed(reason, 1),
            }
        };
        let folder = self.mirrors.folder(&item.assignment.repository).map_err(failed)?;
        let repository = Some(folder.display().to_string());
        let request = Request { repository, pick: Pick::Revision(found.commit.clone()) };
        let mut submission = Submission::find(&request, &search).map_err(failed)?;
        // Where a copy lies says nothing to anybody.
        if let Origin::Commit { repository, name, .. } = &mut submission.origin {
            *repository = mirror::without_password(&item.assignment.repository);
            item.assignment.wanted.name().clone_into(name);
        }
        Ok(submission)
    }

    /// Grades, again where it failed by our fault.
    fn grade(
        &self,
        job: &Job<'_>,
        index: usize,
        key: &str,
        is_exact: bool,
        tell: &dyn Fn(Message),
    ) -> Result<(Grade, u32), Worked> {
        let mut attempt = 1;
        let draft = self.kept.draft(key);
        if !is_exact {
            // Without the tools' versions a key does not say whose boots these are.
            self.kept.discard(&draft);
        }
        loop {
            let graded = self.grader.grade(&Job { folder: Some(&draft), ..*job }, &mut Teller { item: index, tell });
            let reason = match graded {
                Ok(grade) if grade.outcome() != Outcome::Error => {
                    return match self.kept.keep(&draft, key) {
                        Ok(()) => Ok((grade, attempt)),
                        Err(error) => Err(Worked::Failed(format!("failed to {}", chain(&error)), attempt)),
                    };
                }
                Ok(grade) => our_fault(&grade),
                Err(RunError::Interrupted { .. }) => return Err(Worked::Interrupted),
                Err(error @ RunError::Unconfined(_)) => return Err(Worked::Hopeless(Owner::Harness, chain(&error))),
                Err(error) if error.owner() == Owner::Caller => {
                    return Err(Worked::Hopeless(Owner::Caller, chain(&error)));
                }
                Err(error) => format!("failed to {}", chain(&error)),
            };
            if attempt == TRIES {
                return Err(Worked::Failed(reason, attempt));
            }
            attempt += 1;
            (tell)(Message::Stage(index, Stage::Again(reason)));
        }
    }
}

/// What tells likenesses of the submitted files.
fn fingerprint(submission: &Submission, lab: &Lab) -> Vec<u32> {
    let Ok(files) = &submission.files else { return Vec::new() };
    let mut starters = BTreeMap::new();
    let start = likeness::start(submission, lab, &mut starters);
    likeness::fingerprint(files.values().map(Vec::as_slice), start)
}

/// Why the harness could not judge something.
fn our_fault(grade: &Grade) -> String {
    let errors = grade.checks.iter().filter_map(|check| match &check.verdict {
        Verdict::Error { reason } => Some(reason.clone()),
        _ => None,
    });
    errors.into_iter().next().unwrap_or_else(|| "failed to judge it".to_owned())
}

/// A grade that was made of the same content, as that of this submission.
fn as_of(mut grade: Grade, job: &Job<'_>) -> Grade {
    grade.submission = runner::submission_of(job, grade.submission.files);
    grade.reproduce = format!("{} --seed {}", job.command, grade.seed);
    grade
}

/// The runner itself.
pub struct Runner<'a> {
    /// Where futures run.
    pub runtime: tokio::runtime::Handle,
    /// What is known of this machine.
    pub machine: super::machine::Machine,
    /// The course.
    pub course: &'a crate::course::Course,
    /// Where the witness of boots is kept.
    pub cache: &'a crate::cache::Cache,
    /// Told once that everything must end.
    pub cancel: Cancel,
}

impl Grader for Runner<'_> {
    fn with(&self, lab: &Lab, kind: &Kind) -> Option<String> {
        self.machine.with(&self.runtime, (self.course, self.cache), lab, kind)
    }

    fn grade(&self, job: &Job<'_>, listener: &mut dyn Listener) -> Result<Grade, RunError> {
        self.runtime.block_on(runner::grade(job, listener, &self.cancel))
    }
}
