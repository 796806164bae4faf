//! What a workload of the heap is asked for by, on the command line of `umalloctest`.

use core::fmt;

use super::super::shapes::Shape;

/// A kind of workload, by the word that names it on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Blocks of all sizes come, go, grow and shrink; with several clients, in as many threads of one process.
    Mixed,
    /// No bytes at all, more than there can be, the null pointer, and every small size.
    Sizes,
    /// Everything is freed in various orders, and one block asked for that is as large as all of it.
    Merge,
    /// Blocks until memory runs out; then all is freed, and asked for again.
    Limit,
    /// Blocks at multiples of 64 bytes and of other powers of two.
    Aligned,
    /// Pools of objects of one size, among other blocks; and how fast they are beside `umalloc`.
    Pool,
    /// The top of the heap given back, with blocks below it and without.
    Trim,
    /// The traces of [`Shape`], each in a process of its own: what utilisation and throughput are measured on.
    Traces,
}

impl Scenario {
    /// Every scenario, in the order of the documentation.
    pub const ALL: [Self; 8] =
        [Self::Mixed, Self::Sizes, Self::Merge, Self::Limit, Self::Aligned, Self::Pool, Self::Trim, Self::Traces];

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Sizes => "sizes",
            Self::Merge => "merge",
            Self::Limit => "limit",
            Self::Aligned => "aligned",
            Self::Pool => "pool",
            Self::Trim => "trim",
            Self::Traces => "traces",
        }
    }
}

/// A part of a workload, which has a process and so a heap of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of any scenario but [`Scenario::Traces`].
    Whole(Scenario),
    /// One of the traces.
    Trace(Shape),
}

impl Part {
    /// The name in records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Whole(scenario) => scenario.word(),
            Self::Trace(shape) => shape.word(),
        }
    }
}

/// A workload as the command line of `umalloctest` asks for it.
///
/// `SCENARIO [--operations N] [--clients N] [--seed N]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// What is asked for.
    pub scenario: Scenario,
    /// Roughly how many requests each client of [`Scenario::Mixed`] makes.
    pub operations: u64,
    /// How many threads of [`Scenario::Mixed`] run side by side, each with numbers of its own.
    pub clients: u8,
    /// The seed that everything is drawn from.
    pub seed: u64,
}

/// The most clients that a workload can have.
pub const MOST_CLIENTS: u8 = 8;

/// The most requests that a client of a workload makes, and so the most blocks that it numbers.
pub const MOST_REQUESTS: u64 = 8192;

/// An argument of a workload that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadArgument<'a>(pub &'a str);

impl fmt::Display for BadArgument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "argument {:?} makes no sense; expected SCENARIO [--operations N] [--clients N] [--seed N]", self.0)?;
        let mut lead = ", where SCENARIO is one of";
        for scenario in Scenario::ALL {
            write!(f, "{lead} {}", scenario.word())?;
            lead = ",";
        }
        Ok(())
    }
}

impl Workload {
    /// Reads the words after a program's name.
    ///
    /// # Errors
    /// The first word that makes no sense.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, BadArgument<'a>> {
        let mut words = words.into_iter();
        let first = words.next().ok_or(BadArgument(""))?;
        let scenario = Scenario::ALL.into_iter().find(|scenario| scenario.word() == first).ok_or(BadArgument(first))?;
        let mut workload = Self { scenario, operations: 3000, clients: 1, seed: 1 };
        while let Some(name) = words.next() {
            let value: u64 = words.next().and_then(|word| word.parse().ok()).ok_or(BadArgument(name))?;
            match name {
                // What is left at the end is freed, which takes a few more requests.
                "--operations" if (1..=MOST_REQUESTS - 1024).contains(&value) => workload.operations = value,
                "--clients" if scenario == Scenario::Mixed && (1..=u64::from(MOST_CLIENTS)).contains(&value) => {
                    workload.clients = value as u8;
                }
                "--seed" => workload.seed = value,
                _ => return Err(BadArgument(name)),
            }
        }
        Ok(workload)
    }
}
