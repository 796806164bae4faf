//! The trace of page lists that all harts share, free of kernels and of how it travelled here.

use abi::lists::NUMBERED_LOCKS;
use serde::Deserialize;

/// One operation. Nothing puts operations in order but their stamps, which come from one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The process of the test program that asked.
    pub client: u8,
    /// The hart that it ended on.
    pub hart: u8,
    /// Guest instructions that it took; with several harts, those that others executed meanwhile are among them.
    pub instructions: u64,
    /// The counter before the lists were called.
    pub begin: u64,
    /// The counter when they had returned.
    pub end: u64,
    /// What was asked and answered.
    pub what: What,
    /// Which locks of the lists the hart took meanwhile, where that is known.
    pub locks: Option<Taken>,
}

/// Some of the locks of page lists, known by the places of their records among those of the lists' locks. Those beyond
/// the first [`NUMBERED_LOCKS`] are never among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Taken(pub u64);

impl Taken {
    /// All that could be.
    pub const ALL: Self = Self(u64::MAX);

    /// Their places, from zero.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..NUMBERED_LOCKS).filter(move |place| self.0 >> place & 1 == 1)
    }
}

/// A request with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A page was asked for; its byte address came back, or nothing.
    Allocate(Option<u64>),
    /// The page at that byte address was given back.
    Free(u64),
    /// The lists were asked how many pages are free, and answered this.
    Count(u64),
}

/// How a lock was used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Lock {
    /// Whose it is: `kernel`, or `lists` for those that a submission's lists take.
    pub of: String,
    /// Its name, which others may have, too.
    pub name: String,
    /// What each hart did with it, in order of harts.
    pub harts: Vec<Use>,
}

/// What one hart did with a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "(u64, u64, u64)")]
pub struct Use {
    /// How often it took the lock.
    pub acquisitions: u64,
    /// How often another one held it then.
    pub contended: u64,
    /// Guest instructions from taking it to giving it up, in sum.
    pub instructions: u64,
}

impl From<(u64, u64, u64)> for Use {
    fn from((acquisitions, contended, instructions): (u64, u64, u64)) -> Self {
        Self { acquisitions, contended, instructions }
    }
}

impl Lock {
    /// All harts together.
    pub fn total(&self) -> Use {
        self.harts.iter().fold(Use::default(), |sum, each| Use {
            acquisitions: sum.acquisitions.saturating_add(each.acquisitions),
            contended: sum.contended.saturating_add(each.contended),
            instructions: sum.instructions.saturating_add(each.instructions),
        })
    }

    /// The hart that takes it most: its own lock.
    pub fn owner(&self) -> Option<usize> {
        let most = self.harts.iter().map(|each| each.acquisitions).max()?;
        self.harts.iter().position(|each| each.acquisitions == most)
    }

    /// How often harts took it other than the one that takes it most: none for a lock that is one hart's own, three in
    /// four for one that four harts take alike.
    pub fn shared(&self) -> u64 {
        let most = self.harts.iter().map(|each| each.acquisitions).max().unwrap_or(0);
        self.total().acquisitions - most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acquisitions_by_others_than_its_main_user_make_a_lock_shared() {
        let lock = |counts: &[u64]| Lock {
            of: "lists".into(),
            name: "pages".into(),
            harts: counts.iter().map(|&acquisitions| Use { acquisitions, ..Use::default() }).collect(),
        };
        assert_eq!([lock(&[]).owner(), lock(&[2, 500, 1]).owner()], [None, Some(1)]);
        assert_eq!(lock(&[500, 0, 0, 0]).shared(), 0);
        assert_eq!(lock(&[100, 100, 100, 100]).shared(), 300);
        assert_eq!(lock(&[2, 500, 1]).shared(), 3);
        assert_eq!(lock(&[]).shared(), 0);
    }
}
