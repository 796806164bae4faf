//! Allocation traces of the classic shapes, drawn from a seed.
//!
//! They are what the traces of the malloc labs since Bryant and O'Hallaron ("Computer Systems: A Programmer's
//! Perspective", §9.9) have in common; the sizes are ours.

use super::{Client, Expect, Request};
use crate::draw::Draw;

/// A trace, by what it is a test of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Many small objects, most of which live for a short time.
    Short,
    /// Blocks side by side are freed, and larger ones asked for that only fit if their space is merged.
    Coalesce,
    /// Small and large blocks in turn; the large ones are freed, and slightly larger ones asked for.
    Binary,
    /// The same with sizes that are small and very small.
    Tiny,
    /// Blocks that grow bit by bit or by doubling, among others that come and go.
    Growing,
    /// Last in, first out.
    Stack,
    /// First in, first out.
    Queue,
    /// Sizes and lifetimes at random.
    Random,
}

impl Shape {
    /// Every shape, in the order of reports.
    pub const ALL: [Self; 8] =
        [Self::Short, Self::Coalesce, Self::Binary, Self::Tiny, Self::Growing, Self::Stack, Self::Queue, Self::Random];

    /// The name in records and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Coalesce => "coalesce",
            Self::Binary => "binary",
            Self::Tiny => "tiny",
            Self::Growing => "growing",
            Self::Stack => "stack",
            Self::Queue => "queue",
            Self::Random => "random",
        }
    }

    /// The shape of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.word() == word)
    }

    /// Makes the requests of the trace.
    ///
    /// # Errors
    /// Whatever stopped the client.
    pub fn run<C: Client + ?Sized>(self, seed: u64, client: &mut C) -> Result<(), C::Stop> {
        client.phase(self.word(), Expect::Nothing)?;
        // Traces of one seed must differ, or a small one would be the beginning of a large one.
        let mut trace = Trace { draw: Draw::for_client(seed, self as u8), client, live: Live::new(), next: 0 };
        match self {
            Self::Short => trace.short()?,
            Self::Coalesce => trace.coalesce()?,
            Self::Binary => trace.binary(400, 64, 448, 512)?,
            Self::Tiny => trace.binary(500, 16, 112, 128)?,
            Self::Growing => trace.growing()?,
            Self::Stack => trace.stack()?,
            Self::Queue => trace.queue()?,
            Self::Random => trace.random()?,
        }
        trace.free_all()
    }
}

/// The most blocks that a trace has at a time.
const MOST_LIVE: usize = 2048;

/// The blocks that there are, in the order in which they came.
struct Live {
    ids: [u32; MOST_LIVE],
    first: usize,
    count: usize,
}

impl Live {
    const fn new() -> Self {
        Self { ids: [0; MOST_LIVE], first: 0, count: 0 }
    }

    fn push(&mut self, id: u32) {
        self.ids[(self.first + self.count) % MOST_LIVE] = id;
        self.count += 1;
    }

    fn pop_last(&mut self) -> Option<u32> {
        self.count = self.count.checked_sub(1)?;
        Some(self.ids[(self.first + self.count) % MOST_LIVE])
    }

    fn pop_first(&mut self) -> Option<u32> {
        self.count = self.count.checked_sub(1)?;
        let id = self.ids[self.first];
        self.first = (self.first + 1) % MOST_LIVE;
        Some(id)
    }

    /// Takes one from anywhere; the last one moves into its place.
    fn take(&mut self, index: u64) -> Option<u32> {
        let at = (self.first + index as usize) % MOST_LIVE;
        let id = self.ids[at];
        let last = self.pop_last()?;
        if id != last {
            self.ids[at] = last;
        }
        Some(id)
    }
}

struct Trace<'a, C: ?Sized> {
    draw: Draw,
    client: &'a mut C,
    live: Live,
    next: u32,
}

impl<C: Client + ?Sized> Trace<'_, C> {
    /// Asks for a block that the caller keeps track of.
    fn allocate(&mut self, size: u64) -> Result<u32, C::Stop> {
        let id = self.next;
        self.next += 1;
        self.client.request(Request::Allocate { id, size })?;
        Ok(id)
    }

    /// Asks for a block that is kept among the live ones.
    fn keep(&mut self, size: u64) -> Result<(), C::Stop> {
        let id = self.allocate(size)?;
        self.live.push(id);
        Ok(())
    }

    fn free(&mut self, id: Option<u32>) -> Result<(), C::Stop> {
        id.map_or(Ok(()), |id| self.client.request(Request::Free { id }))
    }

    fn free_any(&mut self) -> Result<(), C::Stop> {
        let index = self.draw.below(self.live.count as u64);
        let id = self.live.take(index);
        self.free(id)
    }

    fn free_all(&mut self) -> Result<(), C::Stop> {
        while self.live.count > 0 {
            self.free_any()?;
        }
        Ok(())
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.draw.below(most - least + 1)
    }

    /// The size of an object: mostly of a few kinds, as a program has them, some of any size, small ones more often.
    fn object(&mut self) -> u64 {
        match self.draw.below(8) {
            0 => self.between(1, 64),
            1 => self.between(64, 512),
            2 | 3 => 24,
            4 => 40,
            5 => 56,
            6 => 96,
            _ => 136,
        }
    }

    fn short(&mut self) -> Result<(), C::Stop> {
        const KEPT: usize = 900;
        for _ in 0..KEPT {
            let size = self.object();
            self.keep(size)?;
        }
        for _ in 0..1000 {
            // Three of four that go are among the latest that came.
            let (count, recent) = (self.live.count as u64, self.draw.below(24));
            let index = if self.draw.below(4) == 0 { self.draw.below(count) } else { count - 1 - recent };
            let id = self.live.take(index);
            self.free(id)?;
            let size = self.object();
            self.keep(size)?;
        }
        Ok(())
    }

    fn coalesce(&mut self) -> Result<(), C::Stop> {
        for _ in 0..70 {
            // From rung to rung, as many blocks as make up one of the next rung.
            let mut size = self.between(400, 600);
            for rung in 0..4 {
                let count = self.between(2, 4);
                for _ in 0..count {
                    self.keep(size)?;
                }
                self.free_all()?;
                size = size * count + 8 * rung;
            }
            let id = self.allocate(size)?;
            self.free(Some(id))?;
        }
        Ok(())
    }

    fn binary(&mut self, pairs: u32, small: u64, large: u64, larger: u64) -> Result<(), C::Stop> {
        for _ in 0..pairs {
            self.keep(small)?;
            self.allocate(large)?;
        }
        for pair in 0..pairs {
            self.free(Some(2 * pair + 1))?;
        }
        for _ in 0..pairs {
            self.keep(larger)?;
        }
        Ok(())
    }

    fn growing(&mut self) -> Result<(), C::Stop> {
        // One that grows all the time, as a log does.
        let mut log = self.between(200, 600);
        let log_id = self.allocate(log)?;
        for step in 0..240 {
            // Vectors that double, each next to what is allocated while it grows.
            if step % 4 == 0 {
                let mut size = 16;
                let id = self.allocate(size)?;
                for _ in 0..self.draw.below(7) {
                    if self.draw.below(2) == 0 {
                        let size = self.object();
                        self.keep(size)?;
                    }
                    size *= 2;
                    self.client.request(Request::Reallocate { id, size })?;
                }
                self.live.push(id);
            }
            log += self.between(16, 256);
            self.client.request(Request::Reallocate { id: log_id, size: log })?;
            let size = self.object();
            self.keep(size)?;
            if self.live.count > 200 {
                self.free_any()?;
                self.free_any()?;
            }
        }
        // Some shrink to what they need in the end.
        for id in 0..40 {
            let Some(kept) = self.live.pop_first() else { break };
            self.client.request(Request::Reallocate { id: kept, size: 8 + id })?;
            self.live.push(kept);
        }
        self.free(Some(log_id))
    }

    fn stack(&mut self) -> Result<(), C::Stop> {
        for _ in 0..4 {
            let top = self.between(500, 900) as usize;
            while self.live.count < top {
                let size = self.object();
                self.keep(size)?;
                if self.draw.below(8) == 0 {
                    let id = self.live.pop_last();
                    self.free(id)?;
                }
            }
            let rest = self.between(200, 700) as usize;
            while self.live.count > rest {
                let id = self.live.pop_last();
                self.free(id)?;
            }
        }
        Ok(())
    }

    fn queue(&mut self) -> Result<(), C::Stop> {
        for _ in 0..1500 {
            let size = if self.draw.below(4) == 0 { self.between(200, 1500) } else { self.object() };
            self.keep(size)?;
            if self.live.count > 500 {
                let id = self.live.pop_first();
                self.free(id)?;
            }
        }
        Ok(())
    }

    fn random(&mut self) -> Result<(), C::Stop> {
        for operation in 0..2600 {
            // Swings between filling up and emptying.
            let filling = (operation / 500) % 2 == 0;
            let take = self.draw.below(8) < if filling { 5 } else { 3 };
            if self.live.count == 0 || (take && self.live.count < 500) {
                // As many of a size between 2^n and 2^(n+1) for each n up to 4 KiB.
                let scale = 4 + self.draw.below(8);
                let size = self.between(1 << scale, 2 << scale);
                self.keep(size)?;
            } else if self.draw.below(12) == 0 {
                let index = self.draw.below(self.live.count as u64);
                let id = self.live.take(index).unwrap_or(0);
                let scale = 4 + self.draw.below(8);
                let size = self.between(1 << scale, 2 << scale);
                self.client.request(Request::Reallocate { id, size })?;
                self.live.push(id);
            } else {
                self.free_any()?;
            }
        }
        Ok(())
    }
}
