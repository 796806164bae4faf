//! Keeps account of caches, objects and pages, and notices where the trace departs from what is due.

use std::collections::{BTreeMap, BTreeSet};

use abi::object::{
    CACHE_LINE, CONSTRUCTOR, DAMAGED, DEBUG, GENERAL, Info, LARGEST_OBJECT, SCRIBBLE, SlabError, Tuning, WRONG,
};
use abi::page::PAGE_SIZE;

use super::Case;
use super::exchange::Exchange;
use super::pages::{Pages, Run};
use super::rules::{Judged, Moment, Rule, Violation};
use crate::object_trace::{Happened, Operation, What};
use crate::trace::OpIndex;

/// Pages of the largest slab that anyone would make.
const MOST_SLAB_PAGES: u64 = 8;

/// The smallest objects of which no more than an eighth of a slab may be wasted: below, management outweighs all else.
const LEAST_FRUGAL: u64 = 64;

/// A cache in use.
#[derive(Debug, Clone)]
struct Cache {
    size: u64,
    align: u64,
    flags: u8,
    live: u64,
    overruns: u64,
    /// Objects that must come out again in this order, the last one first.
    hot: Vec<(u64, OpIndex)>,
    /// Objects of a slab, as its statistics have it.
    per_slab: u64,
}

#[derive(Debug, Clone, Copy)]
struct Live {
    cache: u8,
    size: u64,
    since: OpIndex,
}

/// A stretch of operations of one phase on one cache, in which objects move in one direction.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    phase: &'static str,
    cache: u8,
    last: OpIndex,
    operations: u64,
    moves: u64,
    runs_before: u64,
}

pub(super) struct Account<'a> {
    case: &'a Case<'a>,
    pages: Pages,
    caches: BTreeMap<u8, Cache>,
    live: BTreeMap<u64, Live>,
    /// One client on one hart: then the order of everything is known.
    alone: bool,
    stretch: Option<Stretch>,
    exchange: Exchange,
    pages_given: u64,
    given_at_begin: BTreeMap<OpIndex, u64>,
    /// Operations that began and have not ended.
    running: BTreeSet<OpIndex>,
    /// Operations that another one ran beside.
    beside: BTreeSet<OpIndex>,
    judged: Judged,
}

impl<'a> Account<'a> {
    pub(super) fn new(case: &'a Case<'a>) -> Self {
        let operations = &case.trace.operations;
        let harts: BTreeSet<u8> = operations.iter().map(|operation| operation.hart).collect();
        let clients: BTreeSet<u8> = operations.iter().map(|operation| operation.client).collect();
        Self {
            case,
            pages: Pages::default(),
            caches: BTreeMap::new(),
            live: BTreeMap::new(),
            alone: harts.len() <= 1 && clients.len() <= 1,
            stretch: None,
            exchange: Exchange::default(),
            pages_given: 0,
            given_at_begin: BTreeMap::new(),
            running: BTreeSet::new(),
            beside: BTreeSet::new(),
            judged: Judged::default(),
        }
    }

    pub(super) fn happen(&mut self, moment: Moment) {
        match moment {
            Moment::Beneath(at) => self.beneath(self.case.trace.beneath[at].what),
            Moment::Begin(at) => self.begin(at),
            Moment::End(at) => self.end(at),
        }
    }

    pub(super) fn finish(mut self) -> Judged {
        self.end_stretch();
        for (at, rule) in self.exchange.judge(self.pages.taken()) {
            self.report(at, rule);
        }
        self.judged.violations.sort_by_key(|violation| violation.at);
        self.judged
    }

    fn phase(&self, at: OpIndex) -> &'static str {
        self.case.phases.get(at).copied().unwrap_or_default()
    }

    fn report(&mut self, at: OpIndex, rule: Rule) {
        self.judged.violations.push(Violation { at, rule });
    }

    fn begin(&mut self, at: OpIndex) {
        if !self.running.is_empty() {
            self.beside.extend(self.running.iter().copied().chain([at]));
        }
        self.running.insert(at);
        self.given_at_begin.insert(at, self.pages_given);
        let operation = self.case.trace.operations[at];
        if let What::Free { address, answer, .. } = operation.what {
            self.free(at, &operation, address, answer);
        }
    }

    fn end(&mut self, at: OpIndex) {
        self.running.remove(&at);
        let operation = self.case.trace.operations[at];
        // Alone in time: what the caches say of themselves can be held against what is known.
        let quiet = !self.beside.contains(&at) && self.running.is_empty();
        match operation.what {
            What::Create { size, align, answer } => self.create(at, &operation, size, align, answer),
            What::Destroy(answer) => self.destroy(at, operation.cache, answer, quiet),
            What::Shrink(said) => {
                if let Some(cache) = self.caches.get_mut(&operation.cache) {
                    cache.hot.clear();
                }
                if quiet {
                    self.nothing_kept(at, operation.cache);
                    let due = self.pages_given - self.given_at_begin.get(&at).copied().unwrap_or(0);
                    // What the cache gives back of its own; management elsewhere may set other pages free, too.
                    if said > due {
                        self.report(at, Rule::ShrinkMiscounted { said, due });
                    }
                }
            }
            What::Allocate { bytes, answer } => self.allocate(at, &operation, bytes, answer),
            // In this phase objects are freed in order, so that those at hand of a hart pin few slabs.
            What::Free { .. } if self.phase(at).starts_with("free ") => self.kept_too_many(at, operation.cache),
            What::Free { .. } => {}
            What::Info(said) if quiet => self.info(at, operation.cache, &said),
            What::Info(_) => {}
        }
        self.stretch_on(at, &operation);
        if !self.alone {
            let size = self.caches.get(&operation.cache).map_or(0, |cache| cache.size);
            self.exchange.end(at, &operation, self.phase(at), size);
        }
    }

    fn beneath(&mut self, what: Happened) {
        match what {
            Happened::Took { start, pages } => self.pages.take(start, pages),
            Happened::Gave { start, pages } => {
                self.pages_given += pages;
                let end = start.saturating_add(pages.saturating_mul(PAGE_SIZE));
                let in_use = self.live.range(start..end).next().map(|(&address, live)| (address, live.since));
                if let Some((live, since)) = in_use {
                    let at = self.running.last().copied().unwrap_or(since);
                    self.report(at, Rule::PagesInUse { start, pages, live, since });
                }
                self.pages.give(start);
            }
            Happened::Constructed { first, stride, count } => {
                for index in 0..count {
                    let address = first.saturating_add(index.saturating_mul(stride));
                    let Some(run) = self.pages.around(address, 1) else { continue };
                    let seen = run.seen.entry(address).or_default();
                    seen.constructed += 1;
                    let times = seen.constructed;
                    if times > 1 {
                        let at = self.running.last().copied().unwrap_or(0);
                        self.report(at, Rule::ConstructedAgain { address, times });
                    }
                }
            }
        }
    }

    fn create(&mut self, at: OpIndex, operation: &Operation, size: u64, align: u64, answer: Result<(), SlabError>) {
        let possible = (1..=LARGEST_OBJECT).contains(&size) && align.is_power_of_two() && align <= PAGE_SIZE;
        match (possible, answer) {
            (true, Err(error)) => self.report(at, Rule::RefusedCache { error }),
            (false, Ok(())) => self.report(at, Rule::MadeImpossible { size, align }),
            _ => {}
        }
        if answer.is_ok() {
            let cache =
                Cache { size, align, flags: operation.flags, live: 0, overruns: 0, hot: Vec::new(), per_slab: 0 };
            self.caches.insert(operation.cache, cache);
        }
    }

    fn destroy(&mut self, at: OpIndex, number: u8, answer: Result<(), SlabError>, quiet: bool) {
        let Some(cache) = self.caches.get_mut(&number) else { return };
        cache.hot.clear();
        let live = cache.live;
        match answer {
            Ok(()) if live > 0 => self.report(at, Rule::DestroyedBusy { live }),
            Err(error) if live == 0 || error != SlabError::Busy => self.report(at, Rule::RefusedToGo { error }),
            _ => {}
        }
        if answer.is_ok() {
            if live == 0 && quiet {
                self.nothing_kept(at, number);
            }
            self.caches.remove(&number);
        }
    }

    /// No slab of the cache without an allocated object is still there.
    fn nothing_kept(&mut self, at: OpIndex, number: u8) {
        let kept = self.pages.of(number).find(|run| run.live == 0).map(|run| (run.start, run.pages));
        if let Some((start, pages)) = kept {
            self.report(at, Rule::KeptPages { start, pages });
        }
    }

    fn allocate(&mut self, at: OpIndex, operation: &Operation, bytes: u64, answer: Result<u64, SlabError>) {
        let number = operation.cache;
        let (size, align, flags) = match self.caches.get(&number) {
            _ if number == GENERAL => (bytes, general_align(bytes), 0),
            Some(cache) => (cache.size, cache.align.max(8), cache.flags),
            None => return,
        };
        if size == 0 {
            if let Ok(address) = answer {
                self.report(at, Rule::NotInPages { address, size });
            }
            return;
        }
        self.judged.due += 1;
        let address = match answer {
            Ok(address) => address,
            Err(error) => return self.report(at, Rule::Refused { error }),
        };
        self.judged.met += 1;
        if !address.is_multiple_of(align) {
            self.report(at, Rule::Misaligned { address, align });
        }
        let before = self.live.range(..address.saturating_add(size)).next_back();
        if let Some((&live, &Live { size: held, since, .. })) = before
            && live + held > address
        {
            self.report(at, Rule::Overlap { address, size, live, since });
        }
        if operation.flags & DAMAGED != 0 {
            self.report(at, Rule::Unmade { address });
        }
        self.place(at, operation, address, size, flags);
        self.live.insert(address, Live { cache: number, size, since: at });
        if let Some(cache) = self.caches.get_mut(&number) {
            cache.live += 1;
            let hot = cache.hot.pop();
            if let Some((hot, since)) = hot.filter(|(hot, _)| *hot != address) {
                cache.hot.clear();
                self.report(at, Rule::NotHot { address, hot, since });
            }
        }
    }

    /// Looks at the pages that an object lies in.
    fn place(&mut self, at: OpIndex, operation: &Operation, address: u64, size: u64, flags: u8) {
        let number = operation.cache;
        let filling = self.alone && self.phase(at) == "fill holes";
        let holes = if filling { self.holes(number) } else { (0, 0) };
        let Some(run) = self.pages.around(address, size) else {
            let begins = self.pages.around(address, 1).is_some();
            let rule = if begins { Rule::NotInPages { address, size } } else { Rule::Elsewhere { address, size } };
            return self.report(at, rule);
        };
        // With fewer holes than that, a batch may well begin a free slab, and be handed out before the holes in it.
        if filling && run.live == 0 && holes.1 >= Tuning::of(size as usize, 1).batch as u64 {
            let (partial, holes) = holes;
            self.report(at, Rule::BeganFree { address, partial, holes });
        }
        let Some(run) = self.pages.around(address, size) else { return };
        run.cache = Some(number);
        run.live += 1;
        let seen = run.seen.entry(address).or_default();
        seen.handed_out = true;
        if flags & CONSTRUCTOR != 0 && seen.constructed == 0 {
            self.report(at, Rule::NotConstructed { address });
        }
    }

    /// How many slabs of a cache are partly allocated, and how many of their objects are not.
    fn holes(&self, number: u8) -> (u64, u64) {
        let partial = self.pages.of(number).filter(|run| run.live > 0 && run.live < run.objects());
        partial.fold((0, 0), |(slabs, holes), run| (slabs + 1, holes + run.objects() - run.live))
    }

    fn free(&mut self, at: OpIndex, operation: &Operation, address: u64, answer: Result<(), SlabError>) {
        let number = operation.cache;
        if operation.flags & WRONG != 0 {
            return self.wrong_free(at, number, address, answer);
        }
        let Some(live) = self.live.get(&address).copied().filter(|live| live.cache == number) else { return };
        if operation.flags & DAMAGED != 0 {
            self.report(at, Rule::Damaged { address, since: live.since });
        }
        let scribbled = operation.flags & SCRIBBLE != 0;
        match answer {
            Err(SlabError::Overrun) if scribbled => {}
            Ok(()) if scribbled => self.report(at, Rule::MissedOverrun { address }),
            Ok(()) => {}
            Err(error) => return self.report(at, Rule::RefusedRightFree { address, since: live.since, error }),
        }
        self.live.remove(&address);
        if let Some(run) = self.pages.around(address, live.size) {
            run.live = run.live.saturating_sub(1);
        }
        let alone = self.alone;
        if let Some(cache) = self.caches.get_mut(&number) {
            cache.live = cache.live.saturating_sub(1);
            cache.overruns += u64::from(scribbled);
            if alone && cache.flags & DEBUG == 0 {
                let Tuning { limit, batch, .. } = Tuning::of(cache.size as usize, 1);
                cache.hot.push((address, at));
                // A flush takes the oldest batch out of a full array; what is newer than that is there.
                if cache.hot.len() > limit - batch {
                    cache.hot.remove(0);
                }
            }
        }
    }

    fn wrong_free(&mut self, at: OpIndex, number: u8, address: u64, answer: Result<(), SlabError>) {
        let in_cache = self.pages.around(address, 1).is_some_and(|run| run.cache == Some(number));
        let mut due = Vec::new();
        if !in_cache {
            due.push(SlabError::Foreign);
        }
        let inside = self.live.range(..=address).next_back().is_some_and(|(start, live)| address < start + live.size);
        if inside || !in_cache {
            due.push(SlabError::NotAnObject);
        } else {
            due.push(SlabError::Twice);
        }
        match answer {
            Ok(()) => self.report(at, Rule::AcceptedWrongFree { address, due }),
            Err(error) if !due.contains(&error) => self.report(at, Rule::MisnamedWrongFree { address, error, due }),
            Err(_) => {}
        }
    }

    /// Slabs without an allocated object, beyond what the arrays and the limit account for.
    fn kept_too_many(&mut self, at: OpIndex, number: u8) {
        let Some(cache) = self.caches.get(&number).filter(|_| self.alone) else { return };
        let Tuning { limit, batch, .. } = Tuning::of(cache.size as usize, 1);
        let mut per_slab = 0;
        let free = self.pages.of(number).filter(|run| run.live == 0).map(|run| {
            per_slab = per_slab.max(run.objects());
            run.objects()
        });
        let objects: u64 = free.sum();
        // What a hart has at hand, what slabs may keep, and one slab that has only just become too many.
        let most = (limit + 2 * batch) as u64 + 2 * per_slab;
        if objects > most {
            self.report(at, Rule::KeptTooMany { objects, most });
        }
    }

    fn info(&mut self, at: OpIndex, number: u8, said: &Info) {
        let Some(cache) = self.caches.get_mut(&number) else { return };
        cache.per_slab = said.objects_per_slab;
        let (live, size, flags, overruns) = (cache.live, cache.size, cache.flags, cache.overruns);
        let align = cache.align.max(8);
        let tuning = Tuning::of(size as usize, 1);
        let (seen, in_use) =
            self.pages.of(number).fold((0, 0), |(seen, used), run| (seen + 1, used + u64::from(run.live > 0)));
        let mut due = vec![
            ("active objects", said.active_objects, live),
            ("objects", said.objects, said.slabs.saturating_mul(said.objects_per_slab)),
            ("bytes of an object", said.object_size, size),
            ("slabs", said.slabs, said.slabs.max(seen)),
            ("active slabs", said.active_slabs, said.active_slabs.clamp(in_use, said.slabs.max(in_use))),
            ("pieces of damage", said.damaged, overruns),
        ];
        if flags & DEBUG == 0 {
            due.push(("objects that a hart keeps", said.limit, tuning.limit as u64));
            due.push(("objects of a batch", said.batch, tuning.batch as u64));
        }
        let pages = self.pages.of(number).map(|run| run.pages).max().unwrap_or(said.pages_per_slab);
        due.push(("pages of a slab", said.pages_per_slab, pages));
        for (what, said, due) in due {
            if said != due {
                self.report(at, Rule::Miscounted { what, said, due });
            }
        }
        let bytes = said.pages_per_slab.clamp(1, MOST_SLAB_PAGES) * PAGE_SIZE;
        let least = (bytes - bytes / 8).div_ceil(size.next_multiple_of(align));
        if flags & DEBUG == 0 && size >= LEAST_FRUGAL && said.objects_per_slab < least {
            let (objects, pages) = (said.objects_per_slab, said.pages_per_slab);
            self.report(at, Rule::Wasteful { objects, pages, least });
        }
        self.colours(at, number);
    }

    /// Slabs of which every object was seen begin their objects where they should, each after the one before.
    fn colours(&mut self, at: OpIndex, number: u8) {
        let phase = self.phase(at);
        let Some(cache) = self.caches.get(&number).filter(|_| self.alone && phase == "colours") else { return };
        let stride = cache.size.next_multiple_of(cache.align.max(8));
        let step = cache.align.max(CACHE_LINE);
        let mut slabs: Vec<&Run> = self.pages.of(number).filter(|run| run.objects() == cache.per_slab).collect();
        slabs.sort_by_key(|run| run.number);
        let lowest = slabs.iter().map(|run| run.first_offset()).min().unwrap_or(0);
        // Management may lie behind the objects; that much of the rest need not be used.
        let spare = 64 + 4 * cache.per_slab;
        let mut found = Vec::new();
        for pair in slabs.windows(2) {
            let (before, offset) = (pair[0].first_offset(), pair[1].first_offset());
            let last = before + step + cache.per_slab * stride;
            let bytes = pair[1].pages * PAGE_SIZE;
            let next_fits = last + spare <= bytes;
            let due = if next_fits { before + step } else { lowest };
            let may_go_on = last <= bytes && offset == before + step;
            if offset != due && !may_go_on {
                found.push(Rule::WrongColour { offset, before, due });
            }
        }
        found.into_iter().for_each(|rule| self.report(at, rule));
    }

    /// Counts how often objects move, phase by phase.
    fn stretch_on(&mut self, at: OpIndex, operation: &Operation) {
        if !self.alone {
            return;
        }
        let phase = self.phase(at);
        let is_counted = phase.starts_with("allocate ") || phase.starts_with("free ");
        if self.stretch.is_some_and(|stretch| stretch.phase != phase) {
            self.end_stretch();
        }
        if is_counted {
            let fresh =
                Stretch { phase, cache: operation.cache, runs_before: self.pages.taken(), ..Stretch::default() };
            let stretch = self.stretch.get_or_insert(fresh);
            stretch.last = at;
            stretch.operations += 1;
            stretch.moves += u64::from(operation.locks.is_some_and(|locks| locks > 0));
        }
    }

    fn end_stretch(&mut self) {
        let Some(Stretch { phase, cache, last, operations, moves, runs_before }) = self.stretch.take() else { return };
        let Some(cache) = self.caches.get(&cache) else { return };
        let Tuning { limit, batch, .. } = Tuning::of(cache.size as usize, 1);
        let (limit, batch) = (limit as u64, batch as u64);
        let expected = operations / batch;
        // A slab that is used up ends a batch early.
        let slabs = if phase.starts_with("allocate") { self.pages.taken() - runs_before } else { 0 };
        let most = expected + expected / 8 + 2 * slabs + 2;
        let least = if phase.starts_with("free") {
            (operations.saturating_sub(limit) / batch * 7 / 8).saturating_sub(1)
        } else {
            1
        };
        if moves > most {
            self.report(last, Rule::BatchesTooSmall { phase, operations, moves, most, batch });
        } else if moves < least {
            self.report(last, Rule::BatchesTooLarge { phase, operations, moves, least, batch });
        }
    }
}

/// What memory by size is aligned to.
fn general_align(bytes: u64) -> u64 {
    match bytes {
        PAGE_SIZE.. => PAGE_SIZE,
        _ if bytes.is_power_of_two() => bytes.clamp(16, CACHE_LINE),
        _ => 16,
    }
}
