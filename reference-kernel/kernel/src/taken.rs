//! Which locks of page lists a hart takes meanwhile.

use abi::lists::{NUMBERED_LOCKS, UNCOUNTED};
use base::spin::RiscV;
use mm::sync::{Registry, without_interrupts};

/// How often a hart had taken each lock.
pub struct Taken {
    registry: Option<&'static Registry>,
    hart: usize,
    counts: [u64; NUMBERED_LOCKS],
}

impl Taken {
    /// What the hart that this runs on has taken so far.
    pub fn so_far(registry: Option<&'static Registry>) -> Self {
        let mut counts = [0; NUMBERED_LOCKS];
        let hart = without_interrupts::<RiscV, _>(|hart| {
            let counters = registry.into_iter().flat_map(Registry::counters);
            counts.iter_mut().zip(counters).for_each(|(count, counters)| *count = counters.of(hart).acquisitions);
            hart
        });
        Self { registry, hart, counts }
    }

    /// The hart that it is about.
    pub fn hart(&self) -> usize {
        self.hart
    }

    /// A bit for each lock that was taken since then, in the order of their records; [`UNCOUNTED`] if no lock counts,
    /// or this is another hart.
    pub fn since(&self) -> u64 {
        let Some(registry) = self.registry else { return UNCOUNTED };
        without_interrupts::<RiscV, _>(|hart| {
            if hart != self.hart {
                return UNCOUNTED;
            }
            let taken = |(before, now): (&u64, &mm::sync::Counters)| now.of(hart).acquisitions != *before;
            let bits = self.counts.iter().zip(registry.counters()).map(|each| u64::from(taken(each)));
            bits.enumerate().fold(0, |mask, (number, bit)| mask | bit << number)
        })
    }
}
