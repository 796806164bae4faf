//! The rules of a buddy allocator, and the replay of a trace that finds where they are violated.

use std::collections::{BTreeMap, HashMap};

use abi::page::{ORDERS, PAGE_SIZE, PageError};

use super::free_set::{Block, FreeSet, Merging, order_for};
use crate::oracle::finding::{Map, Run, State};
use crate::trace::{OpIndex, Operation, Pool, Statistics, What};

/// What an allocator may keep for itself: one page in this many, and [`SPARE_PAGES`] a region.
pub const KEPT_SHARE: u64 = 64;

/// Pages that a region's allocator may keep beside its share, for headers and rounding.
pub const SPARE_PAGES: u64 = 2;

/// A violated rule, with the memory around it as it was just before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The operation.
    pub at: OpIndex,
    /// The rule.
    pub rule: Rule,
    /// The memory around it, for the first violations of a kind.
    pub map: Option<Map>,
}

/// What a trace showed that a buddy allocator must not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A block starts at no multiple of its size.
    Misaligned {
        /// The byte address handed out.
        address: u64,
        /// The order of the block asked for.
        order: u32,
    },
    /// A block, or a part of it, lies outside of what the allocator manages.
    Outside {
        /// The byte address handed out.
        address: u64,
        /// Pages asked for.
        pages: u64,
    },
    /// A block holds pages that are allocated already.
    Overlap {
        /// The block handed out.
        block: Block,
        /// The first page of the live block that it meets.
        live: u64,
        /// The pages of the live block.
        live_pages: u64,
        /// The operation that allocated the live block.
        since: OpIndex,
    },
    /// A larger free block was split although a smaller one was large enough.
    NotSmallest {
        /// The block handed out.
        taken: Block,
        /// The free block that it was taken from.
        split: Block,
        /// A free block that was large enough and smaller.
        fitting: Block,
    },
    /// A block of `parent` was there, had its halves been merged when both were free.
    Unmerged {
        /// The order of the block asked for.
        order: u32,
        /// The block that merging makes.
        parent: Block,
    },
    /// The statistics show more and smaller free blocks than eager merging leaves.
    CountedUnmerged {
        /// The lowest order with too many blocks.
        order: u32,
        /// How many the allocator counts.
        counted: u64,
        /// How many there are after merging.
        due: u64,
    },
    /// A request was refused although a free block was large enough.
    RefusedWhileFree {
        /// The order of the block asked for.
        order: u32,
        /// A free block that was large enough.
        free: Block,
    },
    /// The allocator keeps back more of a region than its state can need.
    KeptTooMuch {
        /// Byte address of the region.
        start: u64,
        /// Pages in the region.
        pages: u64,
        /// Pages that can be handed out.
        managed: u64,
        /// The fewest that would be right.
        least: u64,
    },
    /// A request that must be refused was met.
    GrantedImpossible {
        /// Pages asked for.
        pages: u64,
        /// The error that was due.
        due: PageError,
    },
    /// A request was refused with an error that does not apply.
    RefusedWrongly {
        /// Pages asked for.
        pages: u64,
        /// The error that came.
        error: PageError,
        /// The error that was due.
        due: PageError,
    },
    /// A free that must be refused was accepted.
    AcceptedWrongFree {
        /// The byte address.
        address: u64,
        /// Pages given back.
        pages: u64,
        /// The errors that apply.
        due: Vec<PageError>,
    },
    /// A wrong free was refused with an error that does not apply.
    MisnamedWrongFree {
        /// The error that came.
        error: PageError,
        /// The errors that apply.
        due: Vec<PageError>,
    },
    /// A right free was refused.
    RefusedRightFree {
        /// The block.
        block: Block,
        /// The operation that allocated it.
        since: OpIndex,
        /// The error that came.
        error: PageError,
    },
    /// The statistics count other pages as free than are.
    Miscounted {
        /// What they say.
        said: u64,
        /// What is free.
        due: u64,
        /// Free or managed pages.
        what: &'static str,
    },
}

impl Rule {
    /// The group that a lab's check names.
    pub const fn group(&self) -> &'static str {
        match self {
            Self::Misaligned { .. } | Self::Outside { .. } | Self::Overlap { .. } => "sound",
            Self::NotSmallest { .. } => "smallest-block",
            Self::Unmerged { .. } | Self::CountedUnmerged { .. } => "eager-merge",
            Self::RefusedWhileFree { .. } | Self::KeptTooMuch { .. } => "failure",
            Self::GrantedImpossible { .. } | Self::RefusedWrongly { .. } => "requests",
            Self::AcceptedWrongFree { .. } | Self::MisnamedWrongFree { .. } | Self::RefusedRightFree { .. } => {
                "rejects"
            }
            Self::Miscounted { .. } => "statistics",
        }
    }
}

/// A trace, replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// Every violation, in order of operations.
    pub violations: Vec<Violation>,
    /// Requests that could be met.
    pub due: u64,
    /// Those of them that were.
    pub met: u64,
}

/// Replays a trace from its first operation and returns every violation, in order of operations.
///
/// The free memory is kept twice: merged eagerly, which is what the rules demand, and in the pieces that were
/// freed and split, which is what an allocator has that never merges. So a request that only merging could have
/// met is told from one that was refused for no reason.
pub fn judge(pool: &Pool, operations: &[Operation]) -> Judged {
    let judged = Replay::new(pool, false).run(operations);
    if !judged.violations.iter().any(|violation| matches!(violation.rule, Rule::CountedUnmerged { .. })) {
        return judged;
    }
    Replay::new(pool, true).run(operations)
}

/// The most violations of a trace that come with a map; a wrong allocator makes thousands.
const MOST_MAPS: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Live {
    pages: u64,
    at: OpIndex,
}

struct Replay {
    max_order: u32,
    managed: Vec<(u64, u64)>,
    merged: FreeSet,
    pieces: FreeSet,
    live: BTreeMap<u64, Live>,
    /// Addresses handed out in violation of a rule, whose frees cannot be judged.
    unjudged: HashMap<u64, usize>,
    /// Whether the allocator's own statistics admit, anywhere, that buddies stay apart.
    admits_unmerged: bool,
    judged: Judged,
}

impl Replay {
    fn new(pool: &Pool, admits_unmerged: bool) -> Self {
        let managed: Vec<_> =
            pool.regions.iter().map(|region| (region.managed_start / PAGE_SIZE, region.managed_pages)).collect();
        let mut replay = Self {
            max_order: pool.max_order,
            merged: FreeSet::new(Merging::Eager, pool.max_order, &managed),
            pieces: FreeSet::new(Merging::Never, pool.max_order, &managed),
            managed,
            live: BTreeMap::new(),
            unjudged: HashMap::new(),
            admits_unmerged,
            judged: Judged::default(),
        };
        for region in &pool.regions {
            let least = region.pages - (region.pages / KEPT_SHARE + SPARE_PAGES).min(region.pages);
            if region.managed_pages < least {
                let (start, pages, managed) = (region.start, region.pages, region.managed_pages);
                replay.report(0, Rule::KeptTooMuch { start, pages, managed, least }, None);
            }
        }
        replay
    }

    fn run(mut self, operations: &[Operation]) -> Judged {
        for (at, operation) in operations.iter().enumerate() {
            match operation.what {
                What::Allocate { pages, answer } => self.allocate(at, pages, answer),
                What::Free { address, pages, answer } => self.free(at, address, pages, answer),
                What::Statistics(statistics) => self.statistics(at, &statistics),
            }
        }
        self.judged
    }

    fn allocate(&mut self, at: OpIndex, pages: u64, answer: Result<u64, PageError>) {
        let impossible = match pages {
            0 => Some(PageError::Zero),
            _ if pages > 1 << self.max_order => Some(PageError::TooLarge),
            _ => None,
        };
        match (impossible, answer) {
            (Some(due), Ok(address)) => {
                self.report(at, Rule::GrantedImpossible { pages, due }, None);
                *self.unjudged.entry(address).or_default() += 1;
            }
            (Some(due), Err(error)) => {
                if error != due {
                    self.report(at, Rule::RefusedWrongly { pages, error, due }, None);
                }
            }
            (None, answer) => {
                let could_be_met = self.merged.smallest(order_for(pages)).is_some();
                self.judged.due += u64::from(could_be_met);
                self.judged.met += u64::from(could_be_met && answer.is_ok());
                match answer {
                    Ok(address) => self.granted(at, pages, address),
                    Err(error) => self.refused(at, pages, error),
                }
            }
        }
    }

    fn refused(&mut self, at: OpIndex, pages: u64, error: PageError) {
        let order = order_for(pages);
        if error != PageError::Exhausted {
            let due = PageError::Exhausted;
            if self.merged.smallest(order).is_none() {
                return self.report(at, Rule::RefusedWrongly { pages, error, due }, None);
            }
        }
        let Some(free) = self.merged.smallest(order) else { return };
        let largest_piece = self.pieces.largest_within(free.first, free.pages());
        let rule = if largest_piece.is_some_and(|piece| piece.order >= order) {
            Rule::RefusedWhileFree { order, free }
        } else {
            Rule::Unmerged { order, parent: Block { order, ..free } }
        };
        self.report(at, rule, Some((free.first, free.pages())));
    }

    fn granted(&mut self, at: OpIndex, pages: u64, address: u64) {
        let order = order_for(pages);
        let taken = Block { first: address / PAGE_SIZE, order };
        let window = Some((taken.first, taken.pages()));
        if !self.is_managed(taken.first, taken.pages()) {
            self.report(at, Rule::Outside { address, pages }, window);
            *self.unjudged.entry(address).or_default() += 1;
            return;
        }
        if !address.is_multiple_of(PAGE_SIZE << order) {
            self.report(at, Rule::Misaligned { address, order }, window);
        }
        if !address.is_multiple_of(PAGE_SIZE) {
            *self.unjudged.entry(address).or_default() += 1;
            return;
        }
        if let Some((live, Live { pages: live_pages, at: since })) = self.live_within(taken.first, taken.pages()) {
            self.report(at, Rule::Overlap { block: taken, live, live_pages, since }, window);
            *self.unjudged.entry(address).or_default() += 1;
            return;
        }
        if let Some(split) = self.merged.containing(taken.first)
            && let Some(fitting) = self.merged.smallest(order)
            && fitting.order < split.order
        {
            self.split_a_larger(at, taken, split, fitting);
        }
        self.merged.take(taken.first, taken.pages());
        self.pieces.take(taken.first, taken.pages());
        self.live.insert(taken.first, Live { pages: taken.pages(), at });
    }

    /// A block was taken out of `split` while `fitting` was smaller and large enough.
    ///
    /// An allocator whose statistics admit that it does not merge has other blocks than the rules give it: pieces.
    /// Taking a piece of `split`, or the smallest piece where merging would have made `fitting` of smaller ones, is a
    /// consequence of that, not a second mistake.
    fn split_a_larger(&mut self, at: OpIndex, taken: Block, split: Block, fitting: Block) {
        if self.admits_unmerged {
            let piece = self.pieces.containing(taken.first).filter(|piece| piece.order >= split.order);
            let smallest = self.pieces.smallest(taken.order);
            if piece.is_none_or(|piece| smallest.is_none_or(|smallest| smallest.order >= piece.order)) {
                return;
            }
        }
        let window = Some((taken.first, taken.pages()));
        self.report(at, Rule::NotSmallest { taken, split, fitting }, window);
    }

    fn free(&mut self, at: OpIndex, address: u64, pages: u64, answer: Result<(), PageError>) {
        if let Some(count) = self.unjudged.get_mut(&address).filter(|count| **count > 0) {
            *count -= 1;
            return;
        }
        let due = self.errors_of_free(address, pages);
        let first = address / PAGE_SIZE;
        let window = Some((first, pages.clamp(1, 1 << self.max_order)));
        match (due.is_empty(), answer) {
            (true, Ok(())) => self.release(first),
            (true, Err(error)) => {
                let block = Block { first, order: order_for(pages) };
                let since = self.live.get(&first).map_or(at, |live| live.at);
                self.report(at, Rule::RefusedRightFree { block, since, error }, window);
                // It stays allocated in the allocator's books, so it must in these.
            }
            (false, Ok(())) => self.report(at, Rule::AcceptedWrongFree { address, pages, due }, window),
            (false, Err(error)) if !due.contains(&error) => {
                self.report(at, Rule::MisnamedWrongFree { error, due }, window);
            }
            (false, Err(_)) => {}
        }
    }

    fn release(&mut self, first: u64) {
        if let Some(live) = self.live.remove(&first) {
            self.merged.give(first, live.pages);
            self.pieces.give(first, live.pages);
        }
    }

    /// Every error that a free deserves; none when it is right.
    fn errors_of_free(&self, address: u64, pages: u64) -> Vec<PageError> {
        if pages == 0 {
            return vec![PageError::Zero];
        }
        let mut errors = Vec::new();
        let first = address / PAGE_SIZE;
        let order = order_for(pages);
        let size = PAGE_SIZE.checked_shl(order).unwrap_or(u64::MAX);
        let inside = self.is_managed(first, 1);
        let live = self.live_within(first, 1);
        match live {
            Some((start, live)) if start == first && live.pages != 1u64.checked_shl(order).unwrap_or(0) => {
                errors.push(PageError::WrongSize);
            }
            Some((start, _)) if start != first => errors.push(PageError::NotAllocated),
            Some(_) => {}
            // Nobody holds the page: freed already, or never handed out.
            None if inside => errors.extend([PageError::Twice, PageError::NotAllocated]),
            None => {}
        }
        if !inside || !self.is_managed(first, 1u64.checked_shl(order).unwrap_or(u64::MAX)) {
            errors.push(PageError::Outside);
        }
        if !address.is_multiple_of(PAGE_SIZE) {
            // Its page may be live and its size right, so this is an error of its own.
            errors.push(PageError::NotAllocated);
        }
        if !address.is_multiple_of(size) {
            errors.push(PageError::Misaligned);
        }
        if pages > 1 << self.max_order {
            errors.extend([PageError::TooLarge, PageError::WrongSize]);
        }
        errors
    }

    fn statistics(&mut self, at: OpIndex, said: &Statistics) {
        let managed: u64 = self.managed.iter().map(|(_, pages)| pages).sum();
        for (what, said, due) in
            [("free", said.free_pages, self.merged.pages()), ("managed", said.managed_pages, managed)]
        {
            if said != due {
                self.report(at, Rule::Miscounted { said, due, what }, None);
            }
        }
        let due: Vec<u64> = self.merged.counts().chain(std::iter::repeat(0)).take(ORDERS).collect();
        let counted_pages: u64 =
            said.free_blocks.iter().zip(0..).map(|(&blocks, order)| blocks.saturating_mul(1 << order)).sum();
        if counted_pages != said.free_pages {
            let (said, due) = (counted_pages, said.free_pages);
            return self.report(at, Rule::Miscounted { said, due, what: "pages in free blocks" }, None);
        }
        if said.free_pages != self.merged.pages() {
            return;
        }
        if let Some(order) = (0..ORDERS).find(|&order| said.free_blocks[order] != due[order]) {
            let (counted, due) = (said.free_blocks[order], due[order]);
            self.report(at, Rule::CountedUnmerged { order: order as u32, counted, due }, None);
        }
    }

    fn is_managed(&self, first: u64, pages: u64) -> bool {
        let inside = |&(start, length): &(u64, u64)| {
            first >= start && first - start < length && pages <= length - (first - start)
        };
        self.managed.iter().any(inside)
    }

    /// The first live block that meets a run of pages.
    fn live_within(&self, first: u64, pages: u64) -> Option<(u64, Live)> {
        let (&start, &live) = self.live.range(..first.saturating_add(pages)).next_back()?;
        if start + live.pages <= first {
            return None;
        }
        // An earlier one may meet the run as well; the first is the one to name.
        let earlier = self.live.range(..=first).next_back().filter(|(start, live)| *start + live.pages > first);
        Some(earlier.map_or((start, live), |(&start, &live)| (start, live)))
    }

    fn report(&mut self, at: OpIndex, rule: Rule, about: Option<(u64, u64)>) {
        let map = about.filter(|_| self.judged.violations.len() < MOST_MAPS).map(|about| self.map(about));
        self.judged.violations.push(Violation { at, rule, map });
    }

    /// The memory around a run of pages: at least [`LEAST_WINDOW`] pages, aligned so that buddies are seen.
    fn map(&self, (first, pages): (u64, u64)) -> Map {
        const LEAST_WINDOW: u64 = 32;
        let window = (pages.next_power_of_two() * 2).max(LEAST_WINDOW);
        let start = first & !(window - 1);
        let end = start + window;
        let mut runs: Vec<Run> = Vec::new();
        let mut at = start;
        while at < end {
            let (until, state) = if let Some(block) = self.merged.containing(at) {
                (block.end(), State::Free { order: block.order })
            } else if let Some((first, live)) = self.live_within(at, 1) {
                (first + live.pages, State::Allocated)
            } else {
                (at + 1, State::Outside)
            };
            let pages = until.min(end) - at;
            at += pages;
            match runs.last_mut() {
                Some(run) if run.state == State::Outside && state == State::Outside => run.pages += pages,
                _ => runs.push(Run { pages, state }),
            }
        }
        Map { first: start, runs, marked: Some((first, pages)) }
    }
}
