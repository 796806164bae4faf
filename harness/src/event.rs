//! What the runner tells while it works; reporters listen and nothing comes back.

use std::time::Duration;

use crate::grade::GradedCheck;
use crate::lab::SessionId;

/// Which of the two trees an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that is graded.
    Submission,
    /// The course's own, for comparison.
    Reference,
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// What is graded is known.
    Started {
        /// The lab's id, title and points in one phrase.
        lab: &'a str,
        /// What is graded, in one phrase.
        submission: &'a str,
        /// The kernel kind that it was taken for, and where the trusted files are from.
        kernel: &'a str,
        /// The seed, in hex.
        seed: &'a str,
    },
    /// Something that the user should know, and that changes no grade.
    Note(&'a str),
    /// A build began.
    BuildStarted(Side),
    /// A build is over.
    BuildFinished {
        /// Which.
        side: Side,
        /// It was there already.
        cached: bool,
        /// There is no image.
        refused: bool,
        /// How long it took.
        took: Duration,
    },
    /// So many boots are to come.
    BootsPlanned(usize),
    /// A boot began.
    BootStarted(&'a SessionId),
    /// A boot is over.
    BootFinished {
        /// Which.
        session: &'a SessionId,
        /// How long it took.
        took: Duration,
    },
    /// A check has its verdict.
    CheckJudged(&'a GradedCheck),
}

/// Listens to events. A reporter that fails is named in the output and never changes a grade.
pub trait Listener {
    /// Something happened.
    fn event(&mut self, event: &Event<'_>);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Listener for Silent {
    fn event(&mut self, _: &Event<'_>) {}
}
