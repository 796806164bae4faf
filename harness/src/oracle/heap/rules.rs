//! The rules, and the replay that finds where they are violated.

use std::collections::{BTreeMap, HashMap};

use abi::heap::{Expect, Request};
use abi::page::PAGE_SIZE;

use super::{Case, Operation};

/// What every block begins at a multiple of.
pub const ALIGNMENT: u64 = 16;

/// Bytes that the heap may grow by beyond twice what is asked for: rounding, and chunks for small blocks.
pub const GROWTH_SLACK: u64 = 64 << 10;

/// Bytes a block that the heap as a whole is allowed for headers and rounding.
const PER_BLOCK: u64 = 48;

/// How many times the most that was ever asked for at once a heap may be, beside [`SIZE_SLACK`].
pub const SIZE_TIMES: u64 = 3;

/// Bytes beside that.
pub const SIZE_SLACK: u64 = 128 << 10;

/// Bytes behind the last block that a trim may leave.
pub const TRIM_SLACK: u64 = 16 << 10;

/// A violated rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The operation, as an index of [`Case::operations`].
    pub at: usize,
    /// The rule.
    pub rule: Rule,
}

/// A block that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Byte address.
    pub address: u64,
    /// Bytes asked for.
    pub size: u64,
    /// The operation that it came from, as an index of [`Case::operations`].
    pub since: usize,
}

/// What a trace showed that a heap must not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A block begins at no multiple of 16, or of what was asked for.
    Misaligned {
        /// Byte address.
        address: u64,
        /// What it should be a multiple of.
        alignment: u64,
        /// More was asked for than what always holds.
        asked: bool,
    },
    /// A block is not, or not all, in the heap.
    Outside {
        /// Byte address.
        address: u64,
        /// Bytes asked for.
        size: u64,
        /// The heap's end.
        end: u64,
    },
    /// A block meets one that somebody has.
    Overlap {
        /// The block handed out.
        address: u64,
        /// Bytes asked for.
        size: u64,
        /// The other.
        live: Live,
        /// It is an object of a pool.
        object: bool,
    },
    /// Something was handed out for nothing, or for more than there can be.
    GrantedImpossible {
        /// Byte address.
        address: u64,
        /// Bytes asked for.
        size: u64,
    },
    /// The heap changed its size for nothing.
    GrewForNothing {
        /// By so many bytes.
        by: u64,
    },
    /// A request was refused although memory was there.
    Refused {
        /// Bytes asked for.
        size: u64,
        /// Bytes that others have.
        live: u64,
        /// Bytes that were free before the program began.
        memory: u64,
    },
    /// An aligned request was refused, likewise.
    RefusedAligned {
        /// Bytes asked for.
        size: u64,
    },
    /// The heap grew although what was asked for was free in it.
    NotReused {
        /// By so many bytes.
        by: u64,
        /// Bytes that blocks have.
        live: u64,
        /// Bytes of the heap before.
        heap: u64,
        /// In a pool's part.
        pool: bool,
    },
    /// The heap grew by much more than was asked for.
    GrewTooMuch {
        /// By so many bytes.
        by: u64,
        /// The most that would do.
        most: u64,
    },
    /// The heap is much larger than what was ever asked for at once.
    TooLarge {
        /// Bytes of the heap.
        heap: u64,
        /// The most bytes that blocks had at once.
        peak: u64,
    },
    /// A pool was refused.
    NoPool {
        /// Bytes of an object.
        size: u64,
        /// Objects.
        count: u64,
    },
    /// A pool had fewer objects than it was made for.
    PoolTooSmall {
        /// Objects taken.
        taken: u64,
        /// Objects that it was made for.
        count: u64,
    },
    /// A pool had more objects than it was made for.
    PoolTooLarge {
        /// Objects that it was made for.
        count: u64,
    },
    /// A trim left much behind the last block.
    TrimLeft {
        /// The heap's end.
        end: u64,
        /// Where the last block ends.
        last: u64,
    },
    /// A trim took what blocks lie in.
    TrimTookBlocks {
        /// The heap's end.
        end: u64,
        /// A block beyond it.
        live: Live,
    },
    /// The heap's end fell, and the kernel has fewer pages than that.
    TrimKeptPages {
        /// Pages that came back.
        back: u64,
        /// Pages that the end fell by.
        due: u64,
    },
}

impl Rule {
    /// The group that it belongs to.
    pub fn group(&self) -> &'static str {
        match self {
            Self::Misaligned { asked: true, .. } | Self::RefusedAligned { .. } => "aligned",
            Self::Overlap { object: true, .. } | Self::NotReused { pool: true, .. } => "pool",
            Self::NoPool { .. } | Self::PoolTooSmall { .. } | Self::PoolTooLarge { .. } => "pool",
            Self::Misaligned { .. } | Self::Outside { .. } | Self::Overlap { .. } => "sound",
            Self::GrantedImpossible { .. } | Self::GrewForNothing { .. } => "requests",
            Self::Refused { .. } => "failure",
            Self::NotReused { .. } => "reuse",
            Self::GrewTooMuch { .. } | Self::TooLarge { .. } => "growth",
            Self::TrimLeft { .. } | Self::TrimTookBlocks { .. } | Self::TrimKeptPages { .. } => "trim",
        }
    }
}

/// What a trace shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// What is wrong, in order.
    pub violations: Vec<Violation>,
    /// Requests that could be met.
    pub due: u64,
    /// Those that were.
    pub met: u64,
    /// The most bytes that blocks had at once.
    pub peak: u64,
    /// The most bytes that the heap had.
    pub heap: u64,
}

/// Replays a part of a workload.
///
/// A block is gone from the moment at which its free begins, and there from the moment at which the request for it is
/// over. With several threads those are the only moments that are sure: whatever overlaps then overlaps in truth.
pub fn judge(case: &Case) -> Judged {
    let mut replay = Replay {
        case,
        judged: Judged::default(),
        live: BTreeMap::new(),
        ids: HashMap::new(),
        pools: HashMap::new(),
        bytes: 0,
        end: case.start,
        highest: case.start,
        too_large: false,
    };
    let mut moments: Vec<(u64, usize, bool)> = Vec::with_capacity(2 * case.operations.len());
    for (at, operation) in case.operations.iter().enumerate() {
        let (begun, done) = operation.entry.stamps.unwrap_or((2 * at as u64, 2 * at as u64 + 1));
        moments.extend([(begun, at, false), (done, at, true)]);
    }
    moments.sort_by_key(|&(stamp, ..)| stamp);
    for (_, at, done) in moments {
        let operation = &case.operations[at];
        if done { replay.done(at, operation) } else { replay.begun(operation) }
    }
    replay.judged
}

struct PoolState {
    size: u64,
    count: u64,
    taken: u64,
}

struct Replay<'a> {
    case: &'a Case,
    judged: Judged,
    live: BTreeMap<u64, Live>,
    ids: HashMap<(u8, u32), u64>,
    pools: HashMap<u8, PoolState>,
    bytes: u64,
    end: u64,
    /// The highest end since the last trim: a heap that trims itself does not grow when it comes back to where it was.
    highest: u64,
    too_large: bool,
}

impl Replay<'_> {
    fn begun(&mut self, operation: &Operation) {
        let entry = &operation.entry;
        match entry.request {
            Request::Free { id } => self.leave(operation.client, id),
            Request::Give { id } => {
                self.leave(operation.client, id);
                if let Some(pool) = self.pools.get_mut(&operation.client) {
                    pool.taken = pool.taken.saturating_sub(1);
                }
            }
            // Refused, it leaves the block as it is.
            Request::Reallocate { id, size } if entry.answer != 0 || size == 0 => self.leave(operation.client, id),
            _ => {}
        }
    }

    fn leave(&mut self, client: u8, id: u32) {
        if let Some(address) = self.ids.remove(&(client, id))
            && let Some(live) = self.live.remove(&address)
        {
            self.bytes = self.bytes.saturating_sub(live.size);
        }
    }

    fn done(&mut self, at: usize, operation: &Operation) {
        let entry = &operation.entry;
        let before = self.end;
        self.end = entry.end;
        self.judged.heap = self.judged.heap.max(entry.end.saturating_sub(self.case.start));
        let (client, address) = (operation.client, entry.answer);
        match entry.request {
            Request::Allocate { id, size } | Request::Reallocate { id, size } => {
                self.answered(at, operation, (id, size), ALIGNMENT);
            }
            Request::Aligned { id, size, alignment } => self.answered(at, operation, (id, size), alignment),
            Request::Take { id } => self.taken(at, operation, id),
            Request::Create { size, count } if address != 0 => {
                self.pools.insert(client, PoolState { size, count, taken: 0 });
            }
            Request::Create { size, count } => {
                if operation.expect != Expect::Null {
                    self.report(at, Rule::NoPool { size, count });
                }
            }
            Request::Destroy => {
                self.pools.remove(&client);
            }
            Request::Trim => self.trimmed(at, before, entry.answer),
            Request::Free { .. } | Request::Give { .. } => {}
        }
        self.grown(at, operation);
    }

    /// A request for a block came back.
    fn answered(&mut self, at: usize, operation: &Operation, (id, size): (u32, u64), alignment: u64) {
        let address = operation.entry.answer;
        if operation.expect == Expect::Null || size == 0 {
            if address != 0 {
                self.report(at, Rule::GrantedImpossible { address, size });
                self.arrive(at, operation.client, id, address, size);
            }
            return;
        }
        let scarce = operation.expect == Expect::Scarcity;
        self.judged.due += u64::from(!scarce);
        if address == 0 {
            // The rest of memory goes to page tables, headers and what is between blocks.
            let enough = self.bytes.saturating_add(size) <= self.case.memory / 4 * 3;
            if !scarce || enough {
                let (live, memory) = (self.bytes, self.case.memory);
                let aligned = matches!(operation.entry.request, Request::Aligned { .. });
                let refused = Rule::Refused { size, live, memory };
                self.report(at, if aligned { Rule::RefusedAligned { size } } else { refused });
            }
            return;
        }
        self.judged.met += u64::from(!scarce);
        let due = alignment.max(ALIGNMENT);
        if !address.is_multiple_of(due) {
            let asked = alignment > ALIGNMENT && address.is_multiple_of(ALIGNMENT);
            self.report(at, Rule::Misaligned { address, alignment: due, asked });
        }
        self.arrive(at, operation.client, id, address, size);
    }

    fn taken(&mut self, at: usize, operation: &Operation, id: u32) {
        let address = operation.entry.answer;
        let Some(&PoolState { size, count, taken }) = self.pools.get(&operation.client) else { return };
        self.judged.due += u64::from(taken < count);
        if address == 0 {
            if taken < count {
                self.report(at, Rule::PoolTooSmall { taken, count });
            }
            return;
        }
        self.judged.met += u64::from(taken < count);
        if taken >= count {
            self.report(at, Rule::PoolTooLarge { count });
        }
        if !address.is_multiple_of(ALIGNMENT) {
            self.report(at, Rule::Misaligned { address, alignment: ALIGNMENT, asked: false });
        }
        if let Some(pool) = self.pools.get_mut(&operation.client) {
            pool.taken += 1;
        }
        self.arrive(at, operation.client, id, address, size);
    }

    /// A block is there now.
    fn arrive(&mut self, at: usize, client: u8, id: u32, address: u64, size: u64) {
        let (start, end) = (self.case.start, self.end);
        let inside = address >= start && address <= end && size <= end - address;
        if !inside {
            self.report(at, Rule::Outside { address, size, end });
        }
        if let Some(live) = self.meets(address, size) {
            let object = matches!(self.case.operations[at].entry.request, Request::Take { .. });
            self.report(at, Rule::Overlap { address, size, live, object });
        }
        // What is not there cannot take up room.
        let size = if inside { size } else { 0 };
        self.ids.insert((client, id), address);
        if let Some(before) = self.live.insert(address, Live { address, size, since: at }) {
            self.bytes = self.bytes.saturating_sub(before.size);
        }
        self.bytes = self.bytes.saturating_add(size);
        self.judged.peak = self.judged.peak.max(self.bytes);
    }

    /// A block that meets those bytes.
    fn meets(&self, address: u64, size: u64) -> Option<Live> {
        let (_, &last) = self.live.range(..address.saturating_add(size.max(1))).next_back()?;
        (last.address.saturating_add(last.size) > address).then_some(last)
    }

    fn trimmed(&mut self, at: usize, before: u64, back: u64) {
        let end = self.end;
        self.highest = end;
        let last = self.live.values().next_back().copied();
        let last_end = last.map_or(self.case.start, |live| live.address.saturating_add(live.size));
        if let Some(live) = last.filter(|_| last_end > end) {
            return self.report(at, Rule::TrimTookBlocks { end, live });
        }
        if end > last_end.saturating_add(TRIM_SLACK) {
            self.report(at, Rule::TrimLeft { end, last: last_end });
        }
        let due = before.saturating_sub(end) / PAGE_SIZE;
        if back < due {
            self.report(at, Rule::TrimKeptPages { back, due });
        }
    }

    /// Whether the heap's new end is in line with what was asked.
    fn grown(&mut self, at: usize, operation: &Operation) {
        let by = self.end.saturating_sub(self.highest);
        self.highest = self.highest.max(self.end);
        let heap = (self.end - by).saturating_sub(self.case.start);
        match operation.expect {
            Expect::Null if by > 0 => self.report(at, Rule::GrewForNothing { by }),
            Expect::NoGrowth if by > 0 => {
                let (live, pool) = (self.bytes, self.case.part == "pool");
                self.report(at, Rule::NotReused { by, live, heap, pool });
            }
            // Which thread's request the heap grew for is not known of several.
            _ if by > 0 && self.case.clients == 1 => {
                let asked = match operation.entry.request {
                    Request::Allocate { size, .. } | Request::Reallocate { size, .. } => size,
                    Request::Aligned { size, alignment, .. } => size.saturating_add(alignment),
                    Request::Create { size, count } => size.max(16).saturating_mul(count),
                    _ => 0,
                };
                let most = asked.saturating_mul(2).saturating_add(GROWTH_SLACK);
                if by > most {
                    self.report(at, Rule::GrewTooMuch { by, most });
                }
            }
            _ => {}
        }
        let blocks = self.live.len() as u64;
        let peak = self.judged.peak.saturating_add(PER_BLOCK * blocks);
        let heap = self.end.saturating_sub(self.case.start);
        if heap > peak.saturating_mul(SIZE_TIMES).saturating_add(SIZE_SLACK) && !self.too_large {
            // Once is enough: it stays so.
            self.too_large = true;
            let peak = self.judged.peak;
            self.report(at, Rule::TooLarge { heap, peak });
        }
    }

    fn report(&mut self, at: usize, rule: Rule) {
        self.judged.violations.push(Violation { at, rule });
    }
}
