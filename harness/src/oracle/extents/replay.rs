//! The replay of a trace that finds where the rules of a best-fit allocator are violated.

use std::collections::{BTreeMap, HashMap};

use abi::page::{PAGE_SIZE, PageError};

use super::free_set::{Extent, FreeSet, Merging};
use super::rules::{Judged, KEPT_SHARE, Rule, SPARE_PAGES, Violation};
use crate::oracle::finding::{Map, Run, State};
use crate::trace::{OpIndex, Operation, Pool, Statistics, What};

/// Replays a trace from its first operation and returns every violation, in order of operations.
///
/// The free memory is kept twice: merged eagerly, which is what the rules demand, and in the pieces that were freed and
/// split, which is what an allocator has that never merges. So a request that only merging could have met is told from
/// one that was refused for no reason.
///
/// Which of several shortest extents a block comes from is left open, and so is the end that it is cut from. A block
/// out of the middle is wrong even from the right extent: it leaves two rests, each shorter than the one that best fit
/// leaves (Knuth, TAOCP vol. 1, §2.5, algorithm A, step A4: one rest, or none).
pub fn judge(pool: &Pool, operations: &[Operation]) -> Judged {
    let judged = Replay::new(pool, false).run(operations);
    if !judged.violations.iter().any(|violation| matches!(violation.rule, Rule::CountedUnmerged { .. })) {
        return judged;
    }
    Replay::new(pool, true).run(operations)
}

/// The parts of a pool's regions that can be handed out.
pub fn managed(pool: &Pool) -> Vec<Extent> {
    let extent =
        |region: &crate::trace::Region| Extent { first: region.managed_start / PAGE_SIZE, pages: region.managed_pages };
    pool.regions.iter().map(extent).collect()
}

/// The most violations of a trace that come with a map; a wrong allocator makes thousands.
const MOST_MAPS: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Live {
    block: Extent,
    at: OpIndex,
}

struct Replay {
    managed: Vec<Extent>,
    merged: FreeSet,
    pieces: FreeSet,
    /// By first page.
    live: BTreeMap<u64, Live>,
    /// Addresses handed out in violation of a rule, whose frees cannot be judged.
    unjudged: HashMap<u64, usize>,
    /// Whether the allocator's own statistics admit, anywhere, that neighbours stay apart.
    admits_unmerged: bool,
    judged: Judged,
}

impl Replay {
    fn new(pool: &Pool, admits_unmerged: bool) -> Self {
        let managed = managed(pool);
        let mut replay = Self {
            merged: FreeSet::new(Merging::Eager, &managed),
            pieces: FreeSet::new(Merging::Never, &managed),
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
        let longest = self.managed.iter().map(|region| region.pages).max().unwrap_or(0);
        let best = self.merged.best(pages);
        let due = match pages {
            0 => Some(PageError::Zero),
            _ if pages > longest => Some(PageError::TooLarge),
            _ => None,
        };
        if let Some(due) = due {
            match answer {
                Ok(address) => {
                    self.report(at, Rule::GrantedImpossible { pages, due }, None);
                    *self.unjudged.entry(address).or_default() += 1;
                }
                Err(error) if error != due => self.report(at, Rule::RefusedWrongly { pages, due, longest }, None),
                Err(_) => {}
            }
            return;
        }
        self.judged.due += u64::from(best.is_some());
        self.judged.met += u64::from(best.is_some() && answer.is_ok());
        match (answer, best) {
            (Ok(address), best) => self.granted(at, pages, address, best),
            (Err(_), Some(free)) => self.refused(at, pages, free),
            (Err(PageError::Exhausted), None) => {}
            (Err(_), None) => {
                let due = PageError::Exhausted;
                self.report(at, Rule::RefusedWrongly { pages, due, longest }, None);
            }
        }
    }

    fn refused(&mut self, at: OpIndex, pages: u64, free: Extent) {
        let longest_piece = self.pieces.overlapping(free).map(|piece| piece.pages).max().unwrap_or(0);
        let rule = if longest_piece >= pages {
            Rule::RefusedWhileFree { pages, free }
        } else {
            Rule::Unmerged { pages, extent: free, longest_piece }
        };
        self.report(at, rule, Some((free, free)));
    }

    fn granted(&mut self, at: OpIndex, pages: u64, address: u64, best: Option<Extent>) {
        let block = Extent { first: address / PAGE_SIZE, pages };
        let fault = if !address.is_multiple_of(PAGE_SIZE) {
            Some(Rule::Misaligned { address })
        } else if let Some(Live { block: live, at: since }) = self.live_within(block) {
            Some(Rule::Overlap { block, live, since })
        } else if self.managed.iter().any(|region| region.holds(block)) {
            None
        } else {
            let next = self.managed.iter().find(|region| block.first < region.first && region.first < block.end());
            let is_managed = |page| self.managed.iter().any(|region| region.holds(Extent { first: page, pages: 1 }));
            match next {
                Some(next) if is_managed(block.first) => Some(Rule::AcrossRegions { block, border: next.first }),
                _ => Some(Rule::Outside { address, pages }),
            }
        };
        if let Some(rule) = fault {
            self.report(at, rule, Some((block, block)));
            *self.unjudged.entry(address).or_default() += 1;
            return;
        }
        if let (Some(from), Some(best)) = (self.merged.containing(block.first), best) {
            if best.pages < from.pages && !self.is_best_piece(block) {
                self.report(at, Rule::NotBest { from, best }, Some((around_both(block, best), block)));
            } else if !from.shares_end_with(block) && !self.is_end_of_piece(block) {
                self.report(at, Rule::CutInTwo { block, from }, Some((block, block)));
            }
        }
        self.merged.take(block);
        self.pieces.take(block);
        self.live.insert(block.first, Live { block, at });
    }

    /// The piece that a block was taken from, for an allocator that admits that it has pieces.
    ///
    /// It has other extents than the rules give it, so what looks like a wrong choice may be right among those: that is
    /// a consequence of not merging, and no second mistake.
    fn piece_of(&self, block: Extent) -> Option<Extent> {
        self.pieces.containing(block.first).filter(|piece| self.admits_unmerged && piece.holds(block))
    }

    fn is_best_piece(&self, block: Extent) -> bool {
        let best = self.pieces.best(block.pages);
        self.piece_of(block).is_some_and(|piece| best.is_none_or(|best| best.pages == piece.pages))
    }

    fn is_end_of_piece(&self, block: Extent) -> bool {
        self.piece_of(block).is_some_and(|piece| piece.shares_end_with(block))
    }

    fn free(&mut self, at: OpIndex, address: u64, pages: u64, answer: Result<(), PageError>) {
        if let Some(count) = self.unjudged.get_mut(&address).filter(|count| **count > 0) {
            *count -= 1;
            return;
        }
        let page = Extent { first: address / PAGE_SIZE, pages: 1 };
        let live = self.live_within(page);
        let due = self.errors_of_free(address, pages, live);
        let around = live.map(|live| live.block);
        let about = Some((around.unwrap_or(page), page));
        match (due.is_empty(), answer) {
            (true, Ok(())) => self.release(page.first),
            (true, Err(_)) => {
                // It stays allocated in the allocator's books, so it must in these.
                let (block, since) = live.map_or((page, at), |live| (live.block, live.at));
                self.report(at, Rule::RefusedRightFree { block, since }, Some((block, block)));
            }
            (false, Ok(())) => self.report(at, Rule::AcceptedWrongFree { address, due, live: around }, about),
            (false, Err(error)) if !due.contains(&error) => {
                self.report(at, Rule::MisnamedWrongFree { due, live: around }, about);
            }
            (false, Err(_)) => {}
        }
    }

    fn release(&mut self, first: u64) {
        if let Some(live) = self.live.remove(&first) {
            self.merged.give(live.block);
            self.pieces.give(live.block);
        }
    }

    /// Every error that a free deserves; none when it is right.
    fn errors_of_free(&self, address: u64, pages: u64, live: Option<Live>) -> Vec<PageError> {
        if pages == 0 {
            return vec![PageError::Zero];
        }
        let mut errors = Vec::new();
        let said = Extent { first: address / PAGE_SIZE, pages };
        let page = Extent { pages: 1, ..said };
        let inside = self.managed.iter().any(|region| region.holds(page));
        if !address.is_multiple_of(PAGE_SIZE) {
            // Its page may be live and its size right, so this is an error of its own.
            errors.extend([PageError::Misaligned, PageError::NotAllocated]);
        }
        match live {
            Some(live) if live.block.first != said.first => errors.push(PageError::NotAllocated),
            Some(live) if live.block.pages != pages => errors.push(PageError::WrongSize),
            Some(_) => {}
            // Nobody holds the page: freed already, or never handed out.
            None if inside => errors.extend([PageError::Twice, PageError::NotAllocated]),
            None => {}
        }
        if !self.managed.iter().any(|region| region.holds(said)) {
            errors.push(PageError::Outside);
        }
        if self.managed.iter().all(|region| region.pages < pages) {
            errors.extend([PageError::TooLarge, PageError::WrongSize]);
        }
        errors
    }

    fn statistics(&mut self, at: OpIndex, said: &Statistics) {
        let managed: u64 = self.managed.iter().map(|region| region.pages).sum();
        let free = self.merged.pages();
        for (what, said, due) in [("free", said.free_pages, free), ("managed", said.managed_pages, managed)] {
            if said != due {
                self.report(at, Rule::Miscounted { due, what }, None);
            }
        }
        let due = self.merged.counts();
        // With other pages free, other extents are only to be expected.
        if said.free_pages == free
            && let Some(class) = (0..due.len()).find(|&class| said.free_blocks[class] != due[class])
        {
            let (counted, due) = (said.free_blocks[class], due[class]);
            self.report(at, Rule::CountedUnmerged { class: class as u32, counted, due }, None);
        }
    }

    /// The first live block that meets a run of pages.
    fn live_within(&self, run: Extent) -> Option<Live> {
        let around = self.live.range(..=run.first).next_back().filter(|(_, live)| live.block.end() > run.first);
        let first = around.or_else(|| self.live.range(run.first..run.end()).next());
        first.map(|(_, &live)| live)
    }

    /// Adds a violation; `about` is what its map is to show, and what is marked there.
    fn report(&mut self, at: OpIndex, rule: Rule, about: Option<(Extent, Extent)>) {
        let about = about.filter(|_| self.judged.violations.len() < MOST_MAPS);
        let map = about.map(|(around, marked)| self.map(around, marked));
        self.judged.violations.push(Violation { at, rule, map });
    }

    /// The memory around a run of pages, with some of what lies on either side.
    fn map(&self, around: Extent, marked: Extent) -> Map {
        const LEAST_MARGIN: u64 = 8;
        let margin = LEAST_MARGIN.max(around.pages.min(LONGEST_WINDOW) / 8);
        let start = around.first.saturating_sub(margin);
        let end = around.first + around.pages.min(LONGEST_WINDOW) + margin;
        let mut runs: Vec<Run> = Vec::new();
        let mut at = start;
        while at < end {
            let page = Extent { first: at, pages: 1 };
            let (until, state) = if let Some(free) = self.merged.containing(at) {
                (free.end(), State::Extent)
            } else if let Some(live) = self.live_within(page) {
                (live.block.end(), State::Allocated)
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
        Map { first: start, runs, marked: Some((marked.first, marked.pages)) }
    }
}

/// The most pages that a map shows beside its margins.
const LONGEST_WINDOW: u64 = 512;

/// What holds both runs, if a map can show that much; else the first of them.
fn around_both(run: Extent, other: Extent) -> Extent {
    let first = run.first.min(other.first);
    let both = Extent { first, pages: run.end().max(other.end()) - first };
    if both.pages <= LONGEST_WINDOW { both } else { run }
}
