//! What `buffertest` asks of a kernel's buffer cache, drawn from a seed; the host draws the same again.
//!
//! No lock puts what several harts do in order, so each operation is stamped when it begins and when it has ended.
//! Block numbers collide on purpose: those of a set are a stride apart, so that a table of buckets has them all in a
//! few.

use core::fmt;

use crate::draw::Draw;

/// What a workload drives: a buffer cache in the guest, a trace on the host.
pub trait Buffers {
    /// Why the workload cannot go on: never in the guest; on the host, the trace ends or departs from it.
    type Stop;

    /// The operations from here on belong to the phase of that name.
    ///
    /// # Errors
    /// When the workload must stop.
    fn phase(&mut self, name: &'static str) -> Result<(), Self::Stop>;

    /// Gets the block's buffer, which is nobody else's until it is released.
    ///
    /// # Errors
    /// When the workload must stop.
    fn read(&mut self, block: u64) -> Result<(), Self::Stop>;

    /// Puts new content into a buffer that it has, and on the disk if `through`.
    ///
    /// # Errors
    /// When the workload must stop.
    fn write(&mut self, block: u64, content: u64, through: bool) -> Result<(), Self::Stop>;

    /// Releases a buffer.
    ///
    /// # Errors
    /// When the workload must stop.
    fn release(&mut self, block: u64) -> Result<(), Self::Stop>;

    /// Has the cache keep the buffer, which it has, beyond its release.
    ///
    /// # Errors
    /// When the workload must stop.
    fn pin(&mut self, block: u64) -> Result<(), Self::Stop>;

    /// Takes back a pin.
    ///
    /// # Errors
    /// When the workload must stop.
    fn unpin(&mut self, block: u64) -> Result<(), Self::Stop>;
}

/// A kind of workload, by the word that names it on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Clients read and write blocks of one set that is larger than the cache.
    Mixed,
    /// All clients ask for the same blocks at the same time, none of which is cached.
    Chase,
    /// Buffers are pinned with content that is not on the disk, while everything else is recycled.
    Pins,
    /// What is measured: each client reads blocks again that are all cached.
    Warm,
}

impl Scenario {
    /// Every scenario, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Mixed, Self::Chase, Self::Pins, Self::Warm];

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Chase => "chase",
            Self::Pins => "pins",
            Self::Warm => "warm",
        }
    }
}

/// A workload as the command line asks for it:
/// `SCENARIO [--operations N] [--clients N] [--blocks N] [--stride N] [--interleaved] [--seed N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// What is asked for.
    pub scenario: Scenario,
    /// Roughly how many times each client gets a buffer.
    pub operations: u64,
    /// How many clients run it, each on a hart of its own.
    pub clients: u8,
    /// How many blocks there are.
    pub blocks: u64,
    /// The distance between two block numbers.
    pub stride: u64,
    /// Whether one hart plays all, and goes from one to another where locks are taken.
    pub interleaved: bool,
    /// The seed that everything is drawn from.
    pub seed: u64,
}

/// The most clients that a workload can have.
pub const MOST_CLIENTS: u8 = 8;

/// Block numbers stay below this.
pub const MOST_BLOCKS: u64 = 4096;

/// The buffers that a client has at a time, at most; with those that it has pinned.
pub const MOST_HELD: usize = 3;

/// An argument that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadArgument<'a>(pub &'a str);

impl fmt::Display for BadArgument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no argument of a workload; SCENARIO [--operations N] [--clients 1-{MOST_CLIENTS}] [--blocks N] \
             [--stride N] [--interleaved] [--seed N], where blocks times stride stays below {MOST_BLOCKS}, with one of",
            self.0
        )?;
        Scenario::ALL.iter().try_for_each(|scenario| write!(f, " {}", scenario.word()))
    }
}

/// What a block of the disk holds before anybody wrote to it.
pub const fn initial(block: u64) -> u64 {
    (block + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a client writes: nobody else does, nor does it ever again.
pub const fn content(client: u8, count: u64) -> u64 {
    ((client as u64 + 1) << 56) | count
}

impl Workload {
    /// Reads the arguments of `buffertest`, its own name left out.
    ///
    /// # Errors
    /// The first argument that is unknown, or the one whose value is missing or out of range.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, BadArgument<'a>> {
        let mut arguments = arguments.into_iter();
        let word = arguments.next().unwrap_or("");
        let scenario = Scenario::ALL.into_iter().find(|scenario| scenario.word() == word).ok_or(BadArgument(word))?;
        let mut workload =
            Self { scenario, operations: 500, clients: 1, blocks: 40, stride: 1, interleaved: false, seed: 0 };
        while let Some(name) = arguments.next() {
            if name == "--interleaved" {
                workload.interleaved = true;
                continue;
            }
            let value: u64 = arguments.next().and_then(|value| value.parse().ok()).ok_or(BadArgument(name))?;
            match name {
                "--operations" => workload.operations = value,
                "--clients" if (1..=u64::from(MOST_CLIENTS)).contains(&value) => workload.clients = value as u8,
                "--blocks" if (4..MOST_BLOCKS).contains(&value) => workload.blocks = value,
                "--stride" if (1..MOST_BLOCKS).contains(&value) => workload.stride = value,
                "--seed" => workload.seed = value,
                _ => return Err(BadArgument(name)),
            }
        }
        match workload.blocks.checked_mul(workload.stride) {
            Some(end) if end < MOST_BLOCKS => Ok(workload),
            _ => Err(BadArgument("--stride")),
        }
    }

    /// Runs the part of one client.
    ///
    /// # Errors
    /// Whatever stopped `buffers`.
    pub fn run<B: Buffers>(&self, client: u8, buffers: &mut B) -> Result<(), B::Stop> {
        // The clients of a chase run after the same blocks.
        let follow = Draw::for_client(self.seed, MOST_CLIENTS);
        let mut run =
            Run { workload: self, client, draw: Draw::for_client(self.seed, client), follow, buffers, written: 0 };
        match self.scenario {
            Scenario::Mixed => run.mixed(),
            Scenario::Chase => run.chase(),
            Scenario::Pins => run.pins(),
            Scenario::Warm => run.warm(),
        }
    }
}

struct Run<'a, B> {
    workload: &'a Workload,
    client: u8,
    draw: Draw,
    follow: Draw,
    buffers: &'a mut B,
    written: u64,
}

impl<B: Buffers> Run<'_, B> {
    fn block(&self, index: u64) -> u64 {
        // Block 0 is left alone: a cache may take it for none.
        1 + index * self.workload.stride
    }

    fn write(&mut self, block: u64, through: bool) -> Result<(), B::Stop> {
        self.written += 1;
        self.buffers.write(block, content(self.client, self.written), through)
    }

    fn mixed(&mut self) -> Result<(), B::Stop> {
        self.buffers.phase("mixed")?;
        for _ in 0..self.workload.operations {
            // In ascending order, so that no two clients wait for each other.
            let most = self.workload.blocks / 4;
            let first = self.draw.below(most);
            let count = 1 + self.draw.below(MOST_HELD as u64);
            let mut held = [0; MOST_HELD];
            let mut index = first;
            for held in &mut held[..count as usize] {
                *held = self.block(index);
                self.buffers.read(*held)?;
                if self.draw.below(3) == 0 {
                    self.write(*held, true)?;
                }
                index += 1 + self.draw.below(most);
            }
            for &held in held[..count as usize].iter().rev() {
                self.buffers.release(held)?;
            }
        }
        Ok(())
    }

    fn chase(&mut self) -> Result<(), B::Stop> {
        self.buffers.phase("chase")?;
        for _ in 0..self.workload.operations {
            let index = self.follow.below(self.workload.blocks);
            let block = self.block(index);
            self.buffers.read(block)?;
            if self.draw.below(4) == 0 {
                self.write(block, true)?;
            }
            self.buffers.release(block)?;
        }
        Ok(())
    }

    fn pins(&mut self) -> Result<(), B::Stop> {
        // Each client has blocks of its own to pin, and all share the others.
        let clients = u64::from(self.workload.clients);
        let own = self.block(u64::from(self.client));
        let rounds = self.workload.operations / 16;
        for _ in 0..rounds {
            self.buffers.phase("pin")?;
            self.buffers.read(own)?;
            self.write(own, false)?;
            self.buffers.pin(own)?;
            self.buffers.release(own)?;
            self.buffers.phase("recycle")?;
            for _ in 0..12 {
                let index = clients + self.draw.below(self.workload.blocks - clients);
                let block = self.block(index);
                self.buffers.read(block)?;
                self.buffers.release(block)?;
            }
            self.buffers.phase("see again")?;
            self.buffers.read(own)?;
            self.write(own, true)?;
            self.buffers.unpin(own)?;
            self.buffers.release(own)?;
        }
        Ok(())
    }

    fn warm(&mut self) -> Result<(), B::Stop> {
        self.buffers.phase("warm-up")?;
        for index in 0..self.workload.blocks {
            let block = self.block(index);
            self.buffers.read(block)?;
            self.buffers.release(block)?;
        }
        self.buffers.phase("warm")?;
        for _ in 0..self.workload.operations {
            let index = self.draw.below(self.workload.blocks);
            let block = self.block(index);
            self.buffers.read(block)?;
            self.buffers.release(block)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{collections::BTreeMap, vec::Vec};

    /// Writes down what is asked, and sees that a client asks only what makes sense.
    #[derive(Default)]
    struct Log {
        held: Vec<u64>,
        pinned: BTreeMap<u64, u64>,
        reads: Vec<u64>,
    }

    impl Buffers for Log {
        type Stop = core::convert::Infallible;
        fn phase(&mut self, _: &'static str) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn read(&mut self, block: u64) -> Result<(), Self::Stop> {
            assert!(self.held.last().is_none_or(|&last| last < block), "{block} after {:?}", self.held);
            assert!((1..MOST_BLOCKS).contains(&block));
            self.held.push(block);
            self.reads.push(block);
            Ok(())
        }
        fn write(&mut self, block: u64, _: u64, _: bool) -> Result<(), Self::Stop> {
            assert!(self.held.contains(&block));
            Ok(())
        }
        fn release(&mut self, block: u64) -> Result<(), Self::Stop> {
            let at = self.held.iter().position(|&held| held == block).unwrap();
            self.held.remove(at);
            Ok(())
        }
        fn pin(&mut self, block: u64) -> Result<(), Self::Stop> {
            assert!(self.held.contains(&block));
            *self.pinned.entry(block).or_default() += 1;
            Ok(())
        }
        fn unpin(&mut self, block: u64) -> Result<(), Self::Stop> {
            *self.pinned.get_mut(&block).unwrap() -= 1;
            Ok(())
        }
    }

    fn parse(text: &'static str) -> Workload {
        Workload::parse(text.split_whitespace()).unwrap()
    }

    #[test]
    fn every_scenario_gives_all_back_and_repeats_itself_for_the_same_seed_only() {
        for scenario in Scenario::ALL {
            let workload = Workload { scenario, ..parse("mixed --clients 3 --operations 64 --stride 13 --seed 7") };
            let run = |workload: Workload| {
                let mut log = Log::default();
                let Ok(()) = workload.run(1, &mut log);
                assert!(log.held.is_empty() && log.pinned.values().all(|&pins| pins == 0), "{scenario:?}");
                log.reads
            };
            assert_eq!(run(workload), run(workload));
            assert_ne!(run(workload), run(Workload { seed: 8, ..workload }), "{scenario:?}");
        }
    }

    #[test]
    fn all_clients_of_a_chase_ask_for_the_same_blocks() {
        let workload = parse("chase --clients 2 --seed 5");
        let [mut first, mut second] = [Log::default(), Log::default()];
        let (Ok(()), Ok(())) = (workload.run(0, &mut first), workload.run(1, &mut second));
        assert_eq!(first.reads, second.reads);
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_named() {
        let workload = parse("pins --operations 10 --clients 4 --blocks 100 --stride 13 --seed 5");
        assert_eq!((workload.operations, workload.clients), (10, 4));
        assert_eq!((workload.blocks, workload.stride, workload.seed), (100, 13, 5));
        for (text, wrong) in [("", ""), ("soup", "soup"), ("mixed --clients 9", "--clients"), ("mixed -x 1", "-x")] {
            assert_eq!(Workload::parse(text.split_whitespace()), Err(BadArgument(wrong)));
        }
        let far = "mixed --blocks 400 --stride 13";
        assert_eq!(Workload::parse(far.split_whitespace()), Err(BadArgument("--stride")));
    }
}
