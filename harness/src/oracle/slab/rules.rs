//! The rules, and what it looks like when one is broken.

use abi::object::SlabError;

use super::{Case, account::Account};
use crate::trace::OpIndex;

/// A broken rule, with the operation that broke it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The operation.
    pub at: OpIndex,
    /// The rule.
    pub rule: Rule,
}

/// What the trace showed that object caches must not do.
#[expect(missing_docs, reason = "a variant's sentence says what its fields are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// An object is at no multiple of its alignment.
    Misaligned { address: u64, align: u64 },
    /// An object meets one that is allocated.
    Overlap { address: u64, size: u64, live: u64, since: OpIndex },
    /// An object goes beyond the pages that the caches hold.
    NotInPages { address: u64, size: u64 },
    /// An object begins in no page that the caches hold.
    Elsewhere { address: u64, size: u64 },
    /// Pages went back while an object in them was allocated.
    PagesInUse { start: u64, pages: u64, live: u64, since: OpIndex },
    /// A request failed.
    Refused { error: SlabError },
    /// What was written to an object was not there any more.
    Damaged { address: u64, since: OpIndex },
    /// What a constructor wrote was not there when the object was handed out.
    Unmade { address: u64 },
    /// A constructor did not run before its object was handed out.
    NotConstructed { address: u64 },
    /// A constructor ran again on an object of the same slab.
    ConstructedAgain { address: u64, times: u64 },
    /// Another object than the one freed last was handed out.
    NotHot { address: u64, hot: u64, since: OpIndex },
    /// Objects moved in smaller batches than asked for.
    BatchesTooSmall { phase: &'static str, operations: u64, moves: u64, most: u64, batch: u64 },
    /// Objects moved in larger batches than asked for.
    BatchesTooLarge { phase: &'static str, operations: u64, moves: u64, least: u64, batch: u64 },
    /// Objects went from one hart to another though the one that got them had taken no lock.
    PassedUnlocked { passed: u64, unlocked: u64 },
    /// A slab does not begin where it should after the one before.
    WrongColour { offset: u64, before: u64, due: u64 },
    /// A slab that was wholly free was used while others were partly free.
    BeganFree { address: u64, partial: u64, holes: u64 },
    /// A slab without an allocated object was kept on shrink or destroy.
    KeptPages { start: u64, pages: u64 },
    /// More free slabs are kept than the limit allows.
    KeptTooMany { objects: u64, most: u64 },
    /// A cache says that it gave back other than what came back.
    ShrinkMiscounted { said: u64, due: u64 },
    /// Slabs are laid out wastefully.
    Wasteful { objects: u64, pages: u64, least: u64 },
    /// A cache that cannot be was made.
    MadeImpossible { size: u64, align: u64 },
    /// A cache that can be was refused.
    RefusedCache { error: SlabError },
    /// A cache was destroyed while objects of it were allocated.
    DestroyedBusy { live: u64 },
    /// A cache without an object was not destroyed.
    RefusedToGo { error: SlabError },
    /// A wrong free was accepted.
    AcceptedWrongFree { address: u64, due: Vec<SlabError> },
    /// A wrong free was refused with an error that does not fit.
    MisnamedWrongFree { address: u64, error: SlabError, due: Vec<SlabError> },
    /// A right free was refused.
    RefusedRightFree { address: u64, since: OpIndex, error: SlabError },
    /// A write beyond an object's end went unnoticed.
    MissedOverrun { address: u64 },
    /// A number of the statistics is wrong.
    Miscounted { what: &'static str, said: u64, due: u64 },
}

impl Rule {
    /// The group that checks ask for.
    pub fn group(&self) -> &'static str {
        match self {
            Self::Misaligned { .. }
            | Self::Overlap { .. }
            | Self::NotInPages { .. }
            | Self::Elsewhere { .. }
            | Self::PagesInUse { .. } => "sound",
            Self::Refused { .. } => "failure",
            Self::Damaged { .. } | Self::Unmade { .. } => "contents",
            Self::NotConstructed { .. } | Self::ConstructedAgain { .. } => "constructor",
            Self::NotHot { .. } => "hot",
            Self::BatchesTooSmall { .. } | Self::BatchesTooLarge { .. } | Self::PassedUnlocked { .. } => "batches",
            Self::WrongColour { .. } => "colours",
            Self::BeganFree { .. } => "partial",
            Self::KeptPages { .. } | Self::KeptTooMany { .. } | Self::ShrinkMiscounted { .. } => "pages",
            Self::Wasteful { .. } => "waste",
            Self::MadeImpossible { .. }
            | Self::RefusedCache { .. }
            | Self::DestroyedBusy { .. }
            | Self::RefusedToGo { .. } => "lifecycle",
            Self::AcceptedWrongFree { .. }
            | Self::MisnamedWrongFree { .. }
            | Self::RefusedRightFree { .. }
            | Self::MissedOverrun { .. } => "rejects",
            Self::Miscounted { .. } => "statistics",
        }
    }
}

/// What was found in a trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// In order of time.
    pub violations: Vec<Violation>,
    /// Requests for objects.
    pub due: u64,
    /// Those that were met.
    pub met: u64,
}

/// Judges a trace by all rules.
///
/// Where operations of several clients overlap, each is taken to have had its effect when that is best for the caches:
/// an object is allocated from the end of its allocation to the beginning of its free.
pub fn judge(case: &Case<'_>) -> Judged {
    let mut account = Account::new(case);
    for moment in moments(case) {
        account.happen(moment);
    }
    account.finish()
}

/// Something that takes effect.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// Something beneath operations, by its place.
    Beneath(usize),
    /// An operation that takes effect as it begins: frees.
    Begin(OpIndex),
    /// Every operation, when it has ended.
    End(OpIndex),
}

fn moments(case: &Case<'_>) -> Vec<Moment> {
    let trace = case.trace;
    let beneath = trace.beneath.iter().enumerate().map(|(at, beneath)| (beneath.at, Moment::Beneath(at)));
    let begins = trace.operations.iter().enumerate().map(|(at, operation)| (operation.begin, Moment::Begin(at)));
    let ends = trace.operations.iter().enumerate().map(|(at, operation)| (operation.end, Moment::End(at)));
    let mut moments: Vec<_> = beneath.chain(begins).chain(ends).collect();
    moments.sort_by_key(|(time, _)| *time);
    moments.into_iter().map(|(_, moment)| moment).collect()
}
