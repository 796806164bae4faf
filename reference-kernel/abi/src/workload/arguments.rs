//! What a workload is asked for by, on the command line of a test program.

use core::fmt;

/// A kind of workload, by the word that names it on a test program's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Blocks of mixed orders come and go; every so often the statistics are asked for.
    Mixed,
    /// Single pages until none is left, everything back in random order, then again in the largest blocks.
    Exhaust,
    /// Every second page freed, so that no two free pages are buddies, then the rest.
    Fragment,
    /// Zero, odd and oversized requests.
    Requests,
    /// Frees that must be refused.
    WrongFrees,
    /// What the throughput is measured on: pairs, mixed orders, a fragmented pool.
    Bench,
    /// Blocks of any number of pages come and go; every so often the statistics are asked for.
    Sizes,
    /// Holes of many lengths between blocks that stay, and requests of lengths in between.
    Holes,
    /// Any sizes until no page is left, everything back in random order, then whole regions; twice.
    Refill,
    /// Requests at the limits: zero, oversized, the longest extent, the length of a hole and those next to it.
    Limits,
    /// Frees that must be refused, of blocks of any number of pages.
    Mistakes,
    /// What the throughput is measured on where sizes are not rounded up: pairs, mixed sizes, a fragmented pool.
    SizeBench,
}

impl Scenario {
    /// Every scenario, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Mixed,
        Self::Exhaust,
        Self::Fragment,
        Self::Requests,
        Self::WrongFrees,
        Self::Bench,
        Self::Sizes,
        Self::Holes,
        Self::Refill,
        Self::Limits,
        Self::Mistakes,
        Self::SizeBench,
    ];

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Exhaust => "exhaust",
            Self::Fragment => "fragment",
            Self::Requests => "requests",
            Self::WrongFrees => "wrong-frees",
            Self::Bench => "bench",
            Self::Sizes => "sizes",
            Self::Holes => "holes",
            Self::Refill => "refill",
            Self::Limits => "limits",
            Self::Mistakes => "mistakes",
            Self::SizeBench => "size-bench",
        }
    }
}

/// A workload as a test program's command line asks for it.
///
/// `SCENARIO [--operations N] [--clients N] [--hold PAGES] [--keep BLOCKS] [--uncounted] [--seed N]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// What is asked for.
    pub scenario: Scenario,
    /// Roughly how many operations each client makes, where the scenario leaves that open.
    pub operations: u64,
    /// How many processes run it side by side, each with numbers of its own.
    pub clients: u8,
    /// The most pages that a client of [`Scenario::Mixed`] or [`Scenario::Sizes`] holds at a time.
    pub hold: u64,
    /// Blocks that a client of [`Scenario::Mixed`] or [`Scenario::Sizes`] never gives back, whichever they are: what was
    /// written into them can be looked up in the machine's memory when it is off.
    pub keep: u64,
    /// The seed that everything is drawn from.
    pub seed: u64,
    /// Statistics are never asked for: the allocator's interface has none.
    pub uncounted: bool,
}

/// The most clients that a workload can have.
pub const MOST_CLIENTS: u8 = 8;

/// An argument of a workload that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadArgument<'a>(pub &'a str);

impl fmt::Display for BadArgument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no argument of a workload; SCENARIO [--operations N] [--clients 1-8] [--hold PAGES] [--keep BLOCKS] [--uncounted] [--seed N] with one of",
            self.0
        )?;
        Scenario::ALL.iter().try_for_each(|scenario| write!(f, " {}", scenario.word()))
    }
}

impl Workload {
    /// Reads the arguments of a test program, its own name left out.
    ///
    /// # Errors
    /// The first argument that is unknown, or the one whose value is missing or out of range.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, BadArgument<'a>> {
        let mut arguments = arguments.into_iter();
        let word = arguments.next().unwrap_or("");
        let scenario = Scenario::ALL.into_iter().find(|scenario| scenario.word() == word).ok_or(BadArgument(word))?;
        let mut workload =
            Self { scenario, operations: 2000, clients: 1, hold: u64::MAX, keep: 0, seed: 0, uncounted: false };
        while let Some(name) = arguments.next() {
            if name == "--uncounted" {
                workload.uncounted = true;
                continue;
            }
            let value: u64 = arguments.next().and_then(|value| value.parse().ok()).ok_or(BadArgument(name))?;
            match name {
                "--operations" => workload.operations = value,
                "--clients" if (1..=u64::from(MOST_CLIENTS)).contains(&value) => workload.clients = value as u8,
                "--hold" if value > 0 => workload.hold = value,
                "--keep" => workload.keep = value,
                "--seed" => workload.seed = value,
                _ => return Err(BadArgument(name)),
            }
        }
        Ok(workload)
    }
}
