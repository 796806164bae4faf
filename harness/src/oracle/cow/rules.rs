//! The rules of a copy-on-write fork, checked against a trace of orders and answers.

use std::collections::BTreeMap;

use abi::space_workload::{Answer, Place};

use crate::space_trace::{Operation, Outcome, WRITABLE, What};
use crate::trace::OpIndex;

/// What the trace showed that a kernel must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The operation that shows it.
    pub at: OpIndex,
    /// What is wrong with it.
    pub rule: Rule,
}

/// The rules, with what is known of their violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A process saw something else than what was due.
    Contents {
        /// What was due.
        due: u64,
        /// The operation that put it there; none for what is there from the start.
        written: Option<OpIndex>,
        /// The process that wrote what was seen instead, and where, if any did.
        foreign: Option<OpIndex>,
    },
    /// A page of a new child is not in the frame of its parent's.
    Copied {
        /// That frame.
        frame: u64,
        /// The fork.
        fork: OpIndex,
    },
    /// A page was written to in a frame that another process has too.
    Shared {
        /// Who.
        with: u8,
        /// Which page of theirs.
        page: u8,
    },
    /// Fewer pages were free than at the start, while only the first process lived.
    Lost {
        /// How many fewer.
        pages: u64,
    },
    /// More pages were free than at the start.
    Gained {
        /// How many more.
        pages: u64,
    },
    /// An order was carried out where it must not be.
    Reached,
    /// A page of code that could not be written to can be.
    Writable,
    /// An order was not carried out, and pages were free.
    NotDone {
        /// How many, counted up to [`crate::space_trace::MOST_COUNTED`].
        free: u64,
    },
}

impl Rule {
    /// The group of rules that a check names.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Contents { .. } => "contents",
            Self::Copied { .. } => "sharing",
            Self::Shared { .. } => "private",
            Self::Lost { .. } | Self::Gained { .. } => "returned",
            Self::Reached | Self::Writable => "bounds",
            Self::NotDone { .. } => "alive",
        }
    }
}

/// What a trace shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// What is wrong, in order.
    pub violations: Vec<Violation>,
    /// Orders that could be carried out.
    pub due: u64,
    /// Those of them that were.
    pub met: u64,
}

/// What a process has.
#[derive(Debug, Clone, Default)]
struct Space {
    /// The words, once they are known, each with the operation that put it there.
    words: BTreeMap<Place, (u64, Option<OpIndex>)>,
    /// The physical address of each page of the heap.
    frames: BTreeMap<u8, u64>,
}

#[derive(Default)]
struct Judge {
    spaces: BTreeMap<u8, Space>,
    /// Who is being forked, from whom, by which operation.
    forked: Option<(u8, OpIndex)>,
    /// Every value that was stored or received, by the operation.
    written: BTreeMap<u64, OpIndex>,
    /// Whether the code could be written to from the start, as in kernels that map it so.
    code_is_writable: Option<bool>,
    free_pages: Option<u64>,
    judged: Vec<Violation>,
    due: u64,
    met: u64,
}

/// Judges a trace, from the first operation on.
pub fn judge(operations: &[Operation]) -> Judged {
    let mut judge = Judge::default();
    judge.spaces.insert(0, Space::default());
    for (at, operation) in operations.iter().enumerate() {
        judge.operation(at, operation);
    }
    Judged { violations: judge.judged, due: judge.due, met: judge.met }
}

impl Judge {
    fn flaw(&mut self, at: OpIndex, rule: Rule) {
        self.judged.push(Violation { at, rule });
    }

    fn operation(&mut self, at: OpIndex, &Operation { process, what }: &Operation) {
        match what {
            What::Fork { child, outcome } => {
                if self.is_done(at, outcome) {
                    let space = self.spaces.get(&process).cloned().unwrap_or_default();
                    self.spaces.insert(child, space);
                    self.forked = Some((process, at));
                }
            }
            What::Mapped { place, frame } => self.mapped(at, process, place, frame & !WRITABLE),
            What::Store { place, value, outcome } => self.write(at, process, place, value, outcome, true),
            What::Receive { place, value, outcome } => self.write(at, process, place, value, outcome, false),
            What::Look { place, value, outcome } => self.look(at, process, place, value, outcome),
            What::Exit => drop(self.spaces.remove(&process)),
            What::Wait | What::Take { .. } | What::GiveBack => {}
            What::Count { pages } => self.count(at, pages),
        }
        if let What::Store { outcome, .. } | What::Receive { outcome, .. } | What::Look { outcome, .. } = what
            && outcome.answer == Answer::Died
        {
            self.spaces.remove(&process);
        }
    }

    /// Whether an order that can be carried out was; if not, a page must have been missing.
    fn is_done(&mut self, at: OpIndex, Outcome { answer, frame }: Outcome) -> bool {
        let is_done = answer == Answer::Done;
        if is_done || frame > 0 {
            self.due += 1;
        }
        self.met += u64::from(is_done);
        if !is_done && frame > 0 {
            self.flaw(at, Rule::NotDone { free: frame });
        }
        is_done
    }

    fn mapped(&mut self, at: OpIndex, child: u8, place: Place, frame: u64) {
        let (Some((parent, fork)), Some(page)) = (self.forked, place.page()) else { return };
        let theirs = self.spaces.get(&parent).and_then(|space| space.frames.get(&page)).copied();
        if let Some(theirs) = theirs.filter(|&theirs| theirs != frame) {
            self.flaw(at, Rule::Copied { frame: theirs, fork });
        }
        self.spaces.entry(child).or_default().frames.insert(page, frame);
    }

    fn may_reach(&self, place: Place) -> bool {
        match place {
            Place::Word(_) => true,
            Place::Text => self.code_is_writable == Some(true),
            Place::Guard | Place::Hole | Place::Beyond | Place::Last => false,
        }
    }

    fn write(&mut self, at: OpIndex, process: u8, place: Place, value: u64, outcome: Outcome, by_process: bool) {
        if !self.may_reach(place) {
            // A copy may be refused or end the process; a store has no way to go on.
            let is_held_off = outcome.answer == Answer::Died || (outcome.answer == Answer::Refused && !by_process);
            if !is_held_off {
                self.flaw(at, Rule::Reached);
                self.written.insert(value, at);
            }
            return;
        }
        if !self.is_done(at, outcome) {
            return;
        }
        self.written.insert(value, at);
        let space = self.spaces.entry(process).or_default();
        space.words.insert(place, (value, Some(at)));
        let Some(page) = place.page() else { return };
        let frame = outcome.frame & !WRITABLE;
        space.frames.insert(page, frame);
        let shared = self.spaces.iter().find_map(|(&with, space)| {
            let theirs =
                space.frames.iter().find(|&(&theirs, &held)| held == frame && (with, theirs) != (process, page));
            theirs.map(|(&page, _)| Rule::Shared { with, page })
        });
        if let Some(rule) = shared {
            self.flaw(at, rule);
        }
    }

    fn look(&mut self, at: OpIndex, process: u8, place: Place, value: u64, outcome: Outcome) {
        if !self.is_done(at, outcome) {
            return;
        }
        if place == Place::Text {
            let is_writable = outcome.frame & WRITABLE != 0;
            let from_the_start = *self.code_is_writable.get_or_insert(is_writable);
            if is_writable && !from_the_start {
                self.flaw(at, Rule::Writable);
            }
        }
        let space = self.spaces.entry(process).or_default();
        let known = space.words.get(&place).copied();
        // What comes after is judged by what was there, so that one mistake is told once.
        let written = known.filter(|&(due, _)| due == value).and_then(|(_, written)| written);
        space.words.insert(place, (value, written));
        if let Some(page) = place.page() {
            space.frames.insert(page, outcome.frame & !WRITABLE);
        }
        if let Some((due, written)) = known.filter(|&(due, _)| due != value) {
            let foreign = self.written.get(&value).copied();
            self.flaw(at, Rule::Contents { due, written, foreign });
        }
    }

    fn count(&mut self, at: OpIndex, pages: u64) {
        let due = *self.free_pages.get_or_insert(pages);
        self.free_pages = Some(pages);
        match due.cmp(&pages) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.flaw(at, Rule::Lost { pages: due - pages }),
            std::cmp::Ordering::Less => self.flaw(at, Rule::Gained { pages: pages - due }),
        }
    }
}
