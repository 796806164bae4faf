//! Cases for property tests: memory and requests drawn from a seed, and shrunk when they fail.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi::draw::Draw;
use mm::page::order::LARGEST;
use mm::page::{MAX_REGIONS, PAGE_SIZE, PageAllocator};

use crate::checked::{Checked, Judged};
use crate::ground::Bank;
use crate::model::Algorithm;

/// Numbers that are drawn again and again: many cases on the host, few and small ones under Miri, which is some
/// hundred times slower.
pub struct Sizes {
    pub cases: u64,
    pub requests: u64,
    pub most_pages: usize,
}

pub const SIZES: Sizes = if cfg!(miri) {
    Sizes { cases: 3, requests: 50, most_pages: 16 }
} else {
    Sizes { cases: 150, requests: 400, most_pages: 2500 }
};

/// One request. Whatever is picked is picked out of what is there by then, so that a case from which requests were
/// left out still makes sense.
#[derive(Debug, Clone, Copy)]
pub enum Request {
    Allocate { pages: usize },
    Free { place: Place, size: Size },
}

/// What is freed.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// A live block.
    Live { pick: u64 },
    /// A live block, but so many bytes behind its start.
    Behind { pick: u64, bytes: usize },
    /// A page that is free.
    Free { pick: u64 },
    /// A page in or around the regions, whatever it is.
    Around { pick: u64 },
    /// Any address at all.
    At { address: usize },
}

/// How many pages are said to be freed.
#[derive(Debug, Clone, Copy)]
pub enum Size {
    /// As many as were asked for.
    Asked,
    /// Another number that the same block is large enough for.
    Rounded,
    Pages(usize),
}

/// Memory and what is done with it.
#[derive(Debug, Clone)]
pub struct Case {
    pub banks: Vec<Bank>,
    pub requests: Vec<Request>,
}

impl Case {
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let mut banks = Vec::new();
        let mut regions = 0;
        for _ in 0..=draw.below(3) {
            let skew = [0, 1, draw.below(LARGEST as u64) as usize, LARGEST - 1][draw.below(4) as usize];
            let lengths: Vec<_> = (0..=draw.below(3)).map(|_| draw_length(&mut draw)).collect();
            regions += lengths.len();
            if regions <= MAX_REGIONS {
                banks.push(Bank { skew, lengths });
            }
        }
        let requests = (0..draw.below(SIZES.requests)).map(|_| draw_request(&mut draw)).collect();
        Self { banks, requests }
    }

    /// Makes the requests and then gives everything back; the first thing that went wrong, a panic included.
    pub fn run<A: PageAllocator>(&self, allocator: A, algorithm: Algorithm) -> Judged<()> {
        let run = || {
            let mut checked = Checked::new(allocator, algorithm, &self.banks)?;
            for &request in &self.requests {
                make(&mut checked, request)?;
                if !cfg!(miri) {
                    checked.statistics()?;
                }
            }
            checked.finish()
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("it panicked".into()))
    }

    /// The case with fewer requests and banks that still fails.
    fn shrink(mut self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut chunk = self.requests.len();
        while chunk > 0 {
            let mut start = 0;
            while start < self.requests.len() {
                let mut fewer = self.clone();
                fewer.requests.drain(start..(start + chunk).min(self.requests.len()));
                if fails(&fewer) { self = fewer } else { start += chunk }
            }
            chunk /= 2;
        }
        for bank in (0..self.banks.len()).rev() {
            let mut fewer = self.clone();
            fewer.banks.remove(bank);
            if fails(&fewer) {
                self = fewer;
            }
        }
        self
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.banks.iter().try_for_each(|bank| writeln!(f, "  {bank:?}"))?;
        self.requests.iter().try_for_each(|request| writeln!(f, "  {request:?}"))
    }
}

/// Runs cases of seeds of their own, and shows the first that fails, shrunk.
pub fn check<A: PageAllocator>(new: impl Fn() -> A, algorithm: Algorithm) {
    for seed in 0..SIZES.cases {
        let case = Case::draw(seed);
        let Err(complaint) = case.run(new(), algorithm) else { continue };
        let shrunk = case.shrink(|fewer| fewer.run(new(), algorithm).is_err());
        let last = shrunk.run(new(), algorithm).expect_err("the shrunk case fails");
        panic!("seed {seed}: {complaint}\nshrunk: {last}\n{shrunk}");
    }
}

fn draw_length(draw: &mut Draw) -> usize {
    let most = [5, 40, SIZES.most_pages / 4, SIZES.most_pages][draw.below(4) as usize];
    draw.below(most.min(SIZES.most_pages) as u64) as usize
}

fn draw_pages(draw: &mut Draw) -> usize {
    let order = draw.next().trailing_ones().min(10);
    match draw.below(16) {
        0 => [0, 3, LARGEST - 1, LARGEST, LARGEST + 1, 1 << 40, usize::MAX][draw.below(7) as usize],
        1..4 => 1 + draw.below(2 << order) as usize,
        _ => 1 << order,
    }
}

fn draw_request(draw: &mut Draw) -> Request {
    let pick = draw.next();
    match draw.below(32) {
        0..16 => Request::Allocate { pages: draw_pages(draw) },
        16..27 => {
            let size = if draw.below(4) == 0 { Size::Rounded } else { Size::Asked };
            Request::Free { place: Place::Live { pick }, size }
        }
        wrong => Request::Free { place: draw_place(draw, wrong), size: draw_size(draw) },
    }
}

fn draw_place(draw: &mut Draw, wrong: u64) -> Place {
    let pick = draw.next();
    match wrong {
        27 => Place::Live { pick },
        28 if draw.below(2) == 0 => Place::Behind { pick, bytes: 1 + draw.below(PAGE_SIZE as u64 - 1) as usize },
        28 => Place::Behind { pick, bytes: PAGE_SIZE * (1 + draw.below(8) as usize) },
        29 => Place::Free { pick },
        30 => Place::Around { pick },
        _ => Place::At { address: (draw.next() >> draw.below(64)).max(1) as usize },
    }
}

fn draw_size(draw: &mut Draw) -> Size {
    match draw.below(3) {
        0 => Size::Asked,
        1 => Size::Pages(1 << draw.below(11)),
        _ => Size::Pages(draw_pages(draw)),
    }
}

fn make<A: PageAllocator>(checked: &mut Checked<A>, request: Request) -> Judged<()> {
    let (place, size) = match request {
        Request::Allocate { pages } => return checked.allocate(pages).map(drop),
        Request::Free { place, size } => (place, size),
    };
    let live = |pick: u64| {
        let live = checked.model.live();
        (pick as usize).checked_rem(live.len()).map(|index| live[index])
    };
    let address = match place {
        Place::Live { pick } => live(pick).map(|block| block.first * PAGE_SIZE),
        Place::Behind { pick, bytes } => live(pick).map(|block| block.first * PAGE_SIZE + bytes),
        Place::Free { pick } => checked.model.any_free_page(pick).map(|page| page * PAGE_SIZE),
        Place::Around { pick } => {
            let index = (pick as usize).checked_rem(checked.extents.len());
            index.map(|index| checked.extents[index]).map(|extent| {
                let pages = extent.pages + 8;
                extent.start - 4 * PAGE_SIZE + (pick >> 32) as usize % pages * PAGE_SIZE
            })
        }
        Place::At { address } => Some(address),
    };
    let Some(address) = address else { return Ok(()) };
    let block = checked.model.live_at(address / PAGE_SIZE);
    let pages = match (size, block) {
        (Size::Pages(pages), _) => pages,
        (Size::Asked, Some(block)) => block.asked,
        (Size::Rounded, Some(block)) => block.pages,
        (_, None) => 1,
    };
    checked.free(address, pages).map(drop)
}
