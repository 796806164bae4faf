//! What a workload of object caches is asked for by, on the command line of a test program.

use core::fmt;

/// A kind of workload, by the word that names it on a test program's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Caches of many sizes and alignments, objects that come and go, statistics every so often.
    Mixed,
    /// Caches come, are used, refuse to go while objects live, shrink, and go.
    Lifecycle,
    /// Long runs of allocations, and of frees, as they move objects in batches.
    Batches,
    /// Caches with a constructor.
    Constructed,
    /// Caches whose slabs have room to spare.
    Colours,
    /// Slabs that are partly and wholly free, and which of them are used next.
    Partial,
    /// Caches in debug mode, and frees that must be refused.
    WrongFrees,
    /// Memory by size.
    General,
    /// Several clients that share caches.
    Shared,
    /// Several clients that take many objects in a row, and give them all back.
    Bursts,
    /// What the throughput is measured on.
    Bench,
}

impl Scenario {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Mixed,
        Self::Lifecycle,
        Self::Batches,
        Self::Constructed,
        Self::Colours,
        Self::Partial,
        Self::WrongFrees,
        Self::General,
        Self::Shared,
        Self::Bursts,
        Self::Bench,
    ];

    /// The word that names it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Lifecycle => "lifecycle",
            Self::Batches => "batches",
            Self::Constructed => "constructed",
            Self::Colours => "colours",
            Self::Partial => "partial",
            Self::WrongFrees => "wrong-frees",
            Self::General => "general",
            Self::Shared => "shared",
            Self::Bursts => "bursts",
            Self::Bench => "bench",
        }
    }

    /// Whether clients run side by side.
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Shared | Self::Bursts)
    }
}

/// A workload, as a test program's arguments ask for it.
///
/// `SCENARIO [--operations N] [--clients N] [--seed N]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// What is asked for.
    pub scenario: Scenario,
    /// Roughly how many operations each client makes, where the scenario leaves that open.
    pub operations: u64,
    /// How many processes run side by side, if any do, beside the one that makes their caches.
    pub clients: u8,
    /// The seed that everything is drawn from.
    pub seed: u64,
}

/// The most clients that a workload can have.
pub const MOST_CLIENTS: u8 = 8;

/// An argument of a workload that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadArgument<'a>(pub &'a str);

impl fmt::Display for BadArgument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0;
        write!(
            f,
            "{word:?} is no argument of a workload; SCENARIO [--operations N] [--clients 1-8] [--seed N] with one of"
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
        let mut workload = Self { scenario, operations: 2000, clients: 1, seed: 0 };
        while let Some(name) = arguments.next() {
            let value: u64 = arguments.next().and_then(|value| value.parse().ok()).ok_or(BadArgument(name))?;
            match name {
                "--operations" => workload.operations = value,
                "--clients" if (1..=u64::from(MOST_CLIENTS)).contains(&value) && scenario.is_shared() => {
                    workload.clients = value as u8;
                }
                "--seed" => workload.seed = value,
                _ => return Err(BadArgument(name)),
            }
        }
        Ok(workload)
    }
}
