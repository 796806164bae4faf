//! Grades a class: every student of a roster in every lab asked for, as many at a time as the machine bears.
//!
//! Threads look for submissions, others grade them; the calling thread alone writes the gradebook and tells the view.
//! Whatever ends the process, the gradebook holds all that was finished, and the commit of each submission that was
//! found, so that a run that goes on later comes to the same.

mod event;
mod find;
mod kept;
mod machine;
mod plan;
mod queue;
mod shard;
mod work;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::cache::Cache;
use crate::confinement::policy::Policy;
use crate::course::Course;
use crate::gradebook::{self, Found, Gradebook, GradebookError, Graded, State, Update};
use crate::kind::Kind;
use crate::lab::{KindId, Lab};
use crate::owner::Owner;
use crate::roster::Roster;
use crate::runner::{Cancel, Turns};
use crate::seed::Choice;
use crate::submission::Trusted;
use crate::submission::mirrors::Mirrors;

pub use event::{Done, Event, Silent, Stage, View};
pub use find::lateness;
pub use kept::{FOLDER as TRANSCRIPTS, Kept, place};
pub use machine::Machine;
pub use plan::{Item, Which};
pub use shard::{BadShard, Shard};
pub use work::{Finished, Grader, Runner, Worked};

use find::Looked;
use plan::Plan;
use queue::Queue;
use work::Bench;

/// A class that is to be graded, and how.
pub struct Batch<'a> {
    /// The course.
    pub course: &'a Course,
    /// Where builds, clones and grades are kept.
    pub cache: &'a Cache,
    /// The course's kernel kinds.
    pub kinds: &'a BTreeMap<KindId, Kind>,
    /// The labs, in the order of the command line.
    pub labs: &'a [Lab],
    /// The class.
    pub roster: &'a Roster,
    /// The kernel kind that submissions are taken for, whatever they look like.
    pub kernel: Option<&'a KindId>,
    /// Where the course's own files are, for kinds of which the course has no tree.
    pub handout: Option<&'a str>,
    /// What must hold before a submission's code runs.
    pub policy: Policy,
    /// The seed that was asked for.
    pub seed: Choice,
    /// That, as the gradebook says it.
    pub seed_name: String,
    /// The folder for gradebook, transcripts and reports.
    pub out: &'a Path,
    /// Processors that may be used.
    pub jobs: usize,
    /// The part of the class that is graded here.
    pub shard: Shard,
    /// Which submissions of it.
    pub which: Which,
    /// Grades of the same content may be taken from earlier runs.
    pub use_cache: bool,
    /// Begin nothing more when something could not be graded by our fault.
    pub fail_fast: bool,
}

/// Why a class could not be graded.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The gradebook cannot be used.
    #[error(transparent)]
    Gradebook(#[from] GradebookError),
    /// A folder cannot be made.
    #[error("make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// Another grader is at it.
    #[error("grade into {}: another grader is at it", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// There is nobody to grade.
    #[error("find somebody to grade: no student of the roster is in this part, and matches what was asked for")]
    Nobody,
    /// What is to be resumed is something else.
    #[error(
        "resume run {run}: these are no longer what they were when it began: {differs}; begin a new run without `--resume`, in which what is still the same is taken from the cache"
    )]
    Another {
        /// The run.
        run: i64,
        /// What is not the same.
        differs: String,
    },
    /// The machine or the course is not fit for grading.
    #[error("{reason}")]
    Hopeless {
        /// Whose fault it is.
        owner: Owner,
        /// Reads on from "failed to".
        reason: String,
    },
}

impl BatchError {
    /// Whose fault it is.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Gradebook(error) => error.owner(),
            Self::Folder { .. } => Owner::Harness,
            Self::Busy { .. } | Self::Nobody | Self::Another { .. } => Owner::Caller,
            Self::Hopeless { owner, .. } => *owner,
        }
    }
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The number of the run.
    pub run: i64,
    /// It did not come to its end: somebody interrupted it, or `--fail-fast` did.
    pub unfinished: bool,
}

/// What threads tell the one that writes.
pub(crate) enum Message {
    Looked(usize, Looked),
    Stage(usize, Stage),
    Worked(usize, Worked),
}

/// Submissions that are looked for at the same time; most of that is waiting for a server.
const FETCHERS: usize = 8;
/// Messages that are written in one transaction.
const AT_ONCE: usize = 256;

/// Grades a class.
///
/// # Errors
/// When nothing can be graded; what keeps single submissions from being graded is in the gradebook.
pub fn grade(
    batch: &Batch<'_>,
    grader: &dyn Grader,
    view: &mut dyn View,
    cancel: &Cancel,
) -> Result<Summary, BatchError> {
    let folder = |cause| BatchError::Folder { path: batch.out.to_owned(), cause };
    std::fs::create_dir_all(batch.out).map_err(folder)?;
    let _alone = alone(batch.out)?;
    let mut gradebook = Gradebook::create(&batch.out.join(gradebook::FILE))?;
    let kept = Kept::at(batch.out, batch.use_cache.then_some(batch.cache)).map_err(folder)?;
    // What is not gone on with was about something else.
    if !matches!(batch.which, Which::Resume) {
        kept.clean();
    }
    let plan = Plan::make(batch, &mut gradebook)?;
    let workers = (2 * batch.jobs).min(plan.items.len()).max(1);
    let (all, done) = (plan.all, plan.all - plan.items.len());
    view.event(&Event::Begun { run: plan.run, all, done, expected: plan.expected, workers });

    let (queue, turns, mirrors) = (Queue::default(), Turns::new(batch.jobs), Mirrors::new(batch.cache));
    let bench = Bench {
        batch,
        grader,
        kept: &kept,
        queue: &queue,
        turns: &turns,
        mirrors: &mirrors,
        trusted: Trusted::default(),
    };
    let founds: Vec<std::sync::OnceLock<Found>> = plan.items.iter().map(|_| std::sync::OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    let unfinished = std::thread::scope(|scope| {
        for _ in 0..FETCHERS.min(plan.items.len()) {
            let (tell, next, items, mirrors) = (tell.clone(), &next, &plan.items, &mirrors);
            scope.spawn(move || look_for(items, next, mirrors, &|message| drop(tell.send(message))));
        }
        for _ in 0..workers {
            let (tell, items, bench, founds) = (tell.clone(), &plan.items, &bench, &founds);
            scope.spawn(move || {
                let tell = |message| drop(tell.send(message));
                while let Some((weight, index)) = bench.queue.pop() {
                    let Some(found) = founds[index].get() else { continue };
                    let worked = guarded(|| bench.work(&items[index], index, weight, found, &tell));
                    tell(Message::Worked(index, worked));
                }
            });
        }
        drop(tell);
        let mut writer = Writer { batch, plan: &plan, founds: &founds, queue: &queue, gradebook: &mut gradebook, view };
        let ended = writer.write(&told, cancel);
        // Whatever it was, nobody begins anything more.
        next.store(plan.items.len(), Relaxed);
        queue.close();
        ended
    })?;
    kept.prune();
    if !unfinished {
        gradebook.finish(plan.run)?;
        kept.clean();
    }
    Ok(Summary { run: plan.run, unfinished })
}

/// A fault in our own code while one submission is graded costs that one its grade, and nobody else theirs.
fn guarded(work: impl FnOnce() -> Worked) -> Worked {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Worked::Failed(format!("the grader panicked: {}", text.unwrap_or("nobody knows why")), 1)
    })
}

/// How long a folder may be held by what a grader leaves that was killed: processes that it had forked, and that die of
/// its death a moment after it.
const DYING: Duration = Duration::from_secs(3);

/// Keeps a second grader out of the folder; the system lets go of it when the process ends.
fn alone(out: &Path) -> Result<std::fs::File, BatchError> {
    let failed = |cause| BatchError::Folder { path: out.to_owned(), cause };
    let path = out.join(".lock");
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    let from = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if from.elapsed() < DYING => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(std::fs::TryLockError::WouldBlock) => return Err(BatchError::Busy { path: out.to_owned() }),
            Err(std::fs::TryLockError::Error(cause)) => return Err(failed(cause)),
        }
    }
}

fn look_for(items: &[Item<'_>], next: &AtomicUsize, mirrors: &Mirrors<'_>, tell: &dyn Fn(Message)) {
    while let Some((index, item)) = Some(next.fetch_add(1, Relaxed)).and_then(|at| Some((at, items.get(at)?))) {
        // A run that goes on grades the commit that it found when it began.
        let looked = match &item.found {
            Some(found) => Looked::Found(found.clone()),
            None => find::look(&item.assignment, mirrors),
        };
        tell(Message::Looked(index, looked));
    }
}

/// The one who writes.
struct Writer<'w, 'a> {
    batch: &'w Batch<'a>,
    plan: &'w Plan<'a>,
    founds: &'w [std::sync::OnceLock<Found>],
    queue: &'w Queue,
    gradebook: &'w mut Gradebook,
    view: &'w mut dyn View,
}

impl Writer<'_, '_> {
    /// Writes what is told until everything is done; answers whether something was left.
    fn write(&mut self, told: &mpsc::Receiver<Message>, cancel: &Cancel) -> Result<bool, BatchError> {
        let mut left = self.plan.items.len();
        while left > 0 {
            if *cancel.borrow() {
                return Ok(true);
            }
            let first = match told.recv_timeout(Duration::from_millis(200)) {
                Ok(message) => message,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.view.tick();
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(true),
            };
            let mut messages = vec![first];
            messages.extend(told.try_iter().take(AT_ONCE));
            self.learn(&messages)?;
            let mut failed = false;
            for message in &messages {
                match message {
                    Message::Looked(index, Looked::Found(found)) => {
                        let _ = self.founds[*index].set(found.clone());
                        self.queue.push(self.plan.items[*index].weight, *index);
                    }
                    Message::Looked(index, Looked::Missing(reason)) => {
                        left -= 1;
                        self.done(*index, &Done::Missing(reason.clone()));
                    }
                    Message::Looked(index, Looked::Failed(reason, _))
                    | Message::Worked(index, Worked::Failed(reason, _)) => {
                        left -= 1;
                        failed = true;
                        self.done(*index, &Done::Failed(reason.clone()));
                    }
                    Message::Worked(index, Worked::Graded(finished)) => {
                        left -= 1;
                        self.done(*index, &graded(finished));
                    }
                    Message::Worked(_, Worked::Waiting) => {}
                    Message::Worked(_, Worked::Interrupted) => return Ok(true),
                    Message::Worked(_, Worked::Hopeless(owner, reason)) => {
                        return Err(BatchError::Hopeless { owner: *owner, reason: reason.clone() });
                    }
                    Message::Stage(index, stage) => {
                        let item = &self.plan.items[*index];
                        let (student, lab) = (item.student.id.as_str(), item.lab.id.0.as_str());
                        self.view.event(&Event::Stage { item: *index, student, lab, stage });
                    }
                }
            }
            if failed && self.batch.fail_fast {
                return Ok(left > 0);
            }
        }
        Ok(false)
    }

    /// Writes down what was learned, before anybody is told.
    fn learn(&mut self, messages: &[Message]) -> Result<(), GradebookError> {
        let graded: Vec<(usize, Graded<'_>, u32)> = messages
            .iter()
            .filter_map(|message| match message {
                Message::Worked(index, Worked::Graded(finished)) => {
                    let Finished { grade, key, source, plans, fingerprint, cached, seconds, attempts } = &**finished;
                    let graded = Graded { grade, key, source, plans, fingerprint, cached: *cached, seconds: *seconds };
                    Some((*index, graded, *attempts))
                }
                _ => None,
            })
            .collect();
        let others = messages.iter().filter_map(|message| match message {
            // Those of a run that goes on are written down already.
            Message::Looked(index, Looked::Found(found)) if self.plan.items[*index].found.is_none() => {
                Some((*index, Update::Found(found)))
            }
            Message::Looked(index, Looked::Missing(reason)) => Some((*index, Update::Missing(reason))),
            Message::Looked(index, Looked::Failed(reason, tries))
            | Message::Worked(index, Worked::Failed(reason, tries)) => Some((*index, Update::Error(reason, *tries))),
            _ => None,
        });
        let graded = graded.iter().map(|(index, graded, attempts)| (*index, Update::Graded(graded, *attempts)));
        let items = &self.plan.items;
        let mut updates = others.chain(graded).map(|(index, update)| {
            let item = &items[index];
            ((item.student.id.as_str(), item.lab.id.0.as_str()), update)
        });
        let Some(first) = updates.next() else { return Ok(()) };
        self.gradebook.learn(self.plan.run, std::iter::once(first).chain(updates))
    }

    fn done(&mut self, index: usize, done: &Done) {
        let item = &self.plan.items[index];
        let (student, lab) = (item.student.id.as_str(), item.lab.id.0.as_str());
        self.view.event(&Event::Done { item: index, student, lab, done, expected: item.weight });
    }
}

fn graded(finished: &Finished) -> Done {
    let points = finished.grade.points;
    Done::Graded {
        points: format!("{} of {}", points.earned, points.max),
        outcome: match finished.grade.outcome() {
            crate::grade::Outcome::Passed => "passed",
            crate::grade::Outcome::Failed => "failed",
            crate::grade::Outcome::Error => "error",
        },
        cached: finished.cached,
        seconds: finished.seconds,
    }
}

/// What is left of a run: submissions without a grade that are not missing either.
pub fn is_left(state: State) -> bool {
    matches!(state, State::Due | State::Found | State::Error)
}

#[cfg(test)]
mod tests;
