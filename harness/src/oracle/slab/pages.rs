//! The pages that caches hold, with the objects that were seen in them.

use std::collections::BTreeMap;

use abi::page::PAGE_SIZE;

/// Pages that were taken together: a slab, a large piece of memory, or what the caches use for themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The first byte.
    pub start: u64,
    /// How many pages.
    pub pages: u64,
    /// How many runs were taken before.
    pub number: u64,
    /// The cache that objects in it were handed out by, if any were.
    pub cache: Option<u8>,
    /// Objects in it that are allocated.
    pub live: u64,
    /// Every object that was ever handed out from it since it was taken.
    pub seen: BTreeMap<u64, Seen>,
}

/// What is known of an object of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// How often its constructor ran.
    pub constructed: u64,
    /// Whether it was handed out.
    pub handed_out: bool,
}

impl Run {
    /// Past the last byte.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.pages.saturating_mul(PAGE_SIZE))
    }

    /// Objects that were handed out.
    pub fn objects(&self) -> u64 {
        self.seen.values().filter(|seen| seen.handed_out).count() as u64
    }

    /// Where the first of them is, counted from the start.
    pub fn first_offset(&self) -> u64 {
        let mut handed_out = self.seen.iter().filter(|(_, seen)| seen.handed_out);
        handed_out.next().map_or(0, |(&address, _)| address - self.start)
    }
}

/// All runs that are held.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    runs: BTreeMap<u64, Run>,
    taken: u64,
}

impl Pages {
    /// Pages are taken.
    pub fn take(&mut self, start: u64, pages: u64) {
        let run = Run { start, pages, number: self.taken, cache: None, live: 0, seen: BTreeMap::new() };
        self.taken += 1;
        self.runs.insert(start, run);
    }

    /// Pages are given back.
    pub fn give(&mut self, start: u64) {
        self.runs.remove(&start);
    }

    /// The run that so many bytes lie in.
    pub fn around(&mut self, address: u64, bytes: u64) -> Option<&mut Run> {
        let (_, run) = self.runs.range_mut(..=address).next_back()?;
        (address.checked_add(bytes)? <= run.end()).then_some(run)
    }

    /// The runs of a cache, in order of address.
    pub fn of(&self, cache: u8) -> impl Iterator<Item = &Run> {
        self.runs.values().filter(move |run| run.cache == Some(cache))
    }

    /// How many runs were taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }
}
