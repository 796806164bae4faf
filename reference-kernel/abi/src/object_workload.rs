//! What the test programs ask of object caches, drawn from a seed; the host draws it again, as in [`crate::workload`].

mod arguments;

use crate::draw::Draw;
use crate::object::{CONSTRUCTED_SIZES, CONSTRUCTOR, DEBUG, SCRIBBLE, SlabError, WRONG};
use crate::page::PAGE_SIZE;

pub use arguments::{BadArgument, MOST_CLIENTS, Scenario, Workload};

/// What a workload drives: object caches of the kernel in the guest, a trace on the host.
pub trait Objects {
    /// Why the workload cannot go on: never in the guest; on the host, the trace ends or departs from it.
    type Stop;

    /// The operations from here on belong to the phase of that name.
    ///
    /// # Errors
    /// When the workload must stop, as for all methods.
    fn phase(&mut self, name: &'static str) -> Result<(), Self::Stop>;

    /// Asks for a cache; the answer is its number.
    fn create(&mut self, size: u64, align: u64, flags: u8) -> Result<Result<u8, SlabError>, Self::Stop>;

    /// Gives a cache up.
    fn destroy(&mut self, cache: u8) -> Result<Result<(), SlabError>, Self::Stop>;

    /// Has a cache give back what it can spare; the answer does not matter to the workload.
    fn shrink(&mut self, cache: u8) -> Result<(), Self::Stop>;

    /// Asks for an object; the answer is its address.
    fn allocate(&mut self, cache: u8) -> Result<Result<u64, SlabError>, Self::Stop>;

    /// Gives an object back.
    fn free(&mut self, cache: u8, address: u64, flags: u8) -> Result<Result<(), SlabError>, Self::Stop>;

    /// Asks for statistics; the answer is the number of pages of a slab.
    fn info(&mut self, cache: u8) -> Result<u64, Self::Stop>;

    /// Asks for memory by size; the answer is its address.
    fn kmalloc(&mut self, bytes: u64) -> Result<Result<u64, SlabError>, Self::Stop>;

    /// Gives such memory back; so many bytes were asked for.
    fn kfree(&mut self, address: u64, bytes: u64) -> Result<Result<(), SlabError>, Self::Stop>;
}

/// Objects held, in memory that the caller provides.
#[derive(Debug)]
pub struct Holding<'a> {
    objects: &'a mut [u64],
    count: usize,
}

/// The most objects that a workload holds at a time.
pub const MOST_HELD: usize = 8192;

impl<'a> Holding<'a> {
    /// An empty holding with room for as many objects as the slice has elements.
    pub fn new(room: &'a mut [u64]) -> Self {
        Self { objects: room, count: 0 }
    }

    fn len(&self) -> u64 {
        self.count as u64
    }

    /// Whether there was room.
    fn push(&mut self, object: u64) {
        if let Some(room) = self.objects.get_mut(self.count) {
            *room = object;
            self.count += 1;
        }
    }

    fn swap_remove(&mut self, index: u64) -> u64 {
        let object = self.objects[index as usize];
        self.count -= 1;
        self.objects[index as usize] = self.objects[self.count];
        object
    }
}

/// The caches of a workload whose clients share them, which each of them knows from the first.
pub const SHARED_CACHES: usize = 3;

impl Workload {
    /// How many clients run side by side: numbers 1 and up. Client 0 runs before and after them.
    pub fn clients_beside(&self) -> u8 {
        if self.scenario.is_shared() { self.clients } else { 0 }
    }

    /// Runs the part of client 0 before the others, or all there is; answers the caches that they share.
    ///
    /// # Errors
    /// Whatever stopped `objects`.
    pub fn begin<O: Objects>(&self, objects: &mut O, room: &mut [u64]) -> Result<[u8; SHARED_CACHES], O::Stop> {
        let mut run = Run { draw: Draw::for_client(self.seed, 0), objects, holding: Holding::new(room) };
        match self.scenario {
            Scenario::Mixed => run.mixed(self.operations)?,
            Scenario::Lifecycle => run.lifecycle()?,
            Scenario::Batches => run.batches(self.operations)?,
            Scenario::Constructed => run.constructed(self.operations)?,
            Scenario::Colours => run.colours()?,
            Scenario::Partial => run.partial()?,
            Scenario::WrongFrees => run.wrong_frees()?,
            Scenario::General => run.general(self.operations)?,
            Scenario::Bench => run.bench(self.operations)?,
            Scenario::Shared | Scenario::Bursts => return run.make_shared(),
        }
        Ok([0; SHARED_CACHES])
    }

    /// Runs the part of one of the clients that share caches.
    ///
    /// # Errors
    /// Whatever stopped `objects`.
    pub fn share<O: Objects>(
        &self,
        client: u8,
        caches: [u8; SHARED_CACHES],
        objects: &mut O,
        room: &mut [u64],
    ) -> Result<(), O::Stop> {
        let mut run = Run { draw: Draw::for_client(self.seed, client), objects, holding: Holding::new(room) };
        if self.scenario == Scenario::Bursts {
            run.bursts(self.operations, caches)
        } else {
            run.share(self.operations, caches)
        }
    }

    /// Runs the part of client 0 after the others.
    ///
    /// # Errors
    /// Whatever stopped `objects`.
    pub fn finish<O: Objects>(&self, caches: [u8; SHARED_CACHES], objects: &mut O) -> Result<(), O::Stop> {
        if !self.scenario.is_shared() {
            return Ok(());
        }
        objects.phase("everything back")?;
        for cache in caches {
            objects.info(cache)?;
            objects.shrink(cache)?;
            objects.info(cache)?;
            objects.destroy(cache)?.ok();
        }
        Ok(())
    }
}

struct Run<'a, O> {
    draw: Draw,
    objects: &'a mut O,
    holding: Holding<'a>,
}

/// A cache in use.
#[derive(Debug, Clone, Copy)]
struct Cache(u8);

/// Where the number of the cache, or the bytes asked for, stand in what is held: addresses have fewer bits.
const ADDRESS_BITS: u32 = 48;

/// An address out of what is held.
const fn address_of(held: u64) -> u64 {
    held & ((1 << ADDRESS_BITS) - 1)
}

impl<O: Objects> Run<'_, O> {
    /// A cache, or none when it is refused.
    fn create(&mut self, size: u64, align: u64, flags: u8) -> Result<Option<Cache>, O::Stop> {
        Ok(self.objects.create(size, align, flags)?.ok().map(Cache))
    }

    /// Asks for an object and holds it; false when there is none to be had.
    fn take(&mut self, cache: Cache) -> Result<bool, O::Stop> {
        let answer = self.objects.allocate(cache.0)?;
        if let Ok(address) = answer {
            self.holding.push(address | u64::from(cache.0) << ADDRESS_BITS);
        }
        Ok(answer.is_ok())
    }

    fn give_at(&mut self, index: u64) -> Result<(), O::Stop> {
        let held = self.holding.swap_remove(index);
        self.objects.free((held >> ADDRESS_BITS) as u8, address_of(held), 0)?.ok();
        Ok(())
    }

    /// Gives one of the objects held back, whichever is drawn.
    fn give_any(&mut self) -> Result<(), O::Stop> {
        let index = self.draw.below(self.holding.len());
        self.give_at(index)
    }

    /// Gives everything back, in an order that is drawn.
    fn give_all(&mut self) -> Result<(), O::Stop> {
        while self.holding.len() > 0 {
            self.give_any()?;
        }
        Ok(())
    }

    /// Shrinks and destroys a cache, with statistics on the way.
    fn close(&mut self, cache: Cache) -> Result<(), O::Stop> {
        self.objects.shrink(cache.0)?;
        self.objects.info(cache.0)?;
        self.objects.destroy(cache.0)?.ok();
        Ok(())
    }

    fn mixed(&mut self, operations: u64) -> Result<(), O::Stop> {
        const CACHES: [(u64, u64); 6] = [(24, 8), (64, 64), (100, 4), (320, 16), (1024, 8), (3000, 128)];
        const BETWEEN_STATISTICS: u64 = 50;
        self.objects.phase("mixed")?;
        let mut caches = [None; CACHES.len() + 1];
        for ((size, align), cache) in CACHES.into_iter().zip(&mut caches) {
            *cache = self.create(size, align, 0)?;
        }
        let drawn = 8 + self.draw.below(2000);
        let align = 1 << self.draw.below(7);
        caches[CACHES.len()] = self.create(drawn, align, 0)?;
        for operation in 0..operations {
            let Some(cache) = caches[self.draw.below(caches.len() as u64) as usize] else { continue };
            if operation % BETWEEN_STATISTICS == BETWEEN_STATISTICS - 1 {
                self.objects.info(cache.0)?;
            }
            // Slow swings between filling up and emptying reach full, empty and all that is between.
            let filling = (operation / 512) % 2 == 0;
            if self.holding.len() == 0 || self.draw.below(8) < if filling { 6 } else { 2 } {
                self.take(cache)?;
            } else {
                self.give_any()?;
            }
        }
        self.objects.phase("give back")?;
        self.give_all()?;
        caches.into_iter().flatten().try_for_each(|cache| self.close(cache))
    }

    fn lifecycle(&mut self) -> Result<(), O::Stop> {
        self.objects.phase("caches that cannot be")?;
        for (size, align) in [(0, 8), (8, 3), (1 << 20, 8), (64, 0), (64, 1 << 16)] {
            if let Some(cache) = self.create(size, align, 0)? {
                self.objects.destroy(cache.0)?.ok();
            }
        }
        for size in [8, 48, 64, 256, 700, 1024, 2048, 4096] {
            self.objects.phase("use")?;
            let Some(cache) = self.create(size, 8, 0)? else { continue };
            self.objects.info(cache.0)?;
            let count = 40 + self.draw.below(160);
            for _ in 0..count {
                self.take(cache)?;
            }
            self.objects.info(cache.0)?;
            self.objects.phase("refuse to go")?;
            self.objects.destroy(cache.0)?.ok();
            while self.holding.len() > 1 {
                self.give_any()?;
            }
            self.objects.phase("shrink around one object")?;
            self.objects.shrink(cache.0)?;
            self.objects.info(cache.0)?;
            self.objects.destroy(cache.0)?.ok();
            self.give_all()?;
            self.objects.phase("shrink to nothing")?;
            self.objects.shrink(cache.0)?;
            self.objects.info(cache.0)?;
            self.objects.phase("go")?;
            self.take(cache)?;
            self.give_all()?;
            self.objects.destroy(cache.0)?.ok();
        }
        Ok(())
    }

    fn batches(&mut self, operations: u64) -> Result<(), O::Stop> {
        for (size, up, down) in
            [(64, "allocate 64", "free 64"), (512, "allocate 512", "free 512"), (2048, "allocate 2048", "free 2048")]
        {
            let Some(cache) = self.create(size, 8, 0)? else { continue };
            self.objects.info(cache.0)?;
            self.objects.phase(up)?;
            for _ in 0..operations / 6 {
                self.take(cache)?;
            }
            self.objects.phase(down)?;
            // The oldest first, so that the order in which slabs become free is the one in which they were made.
            for index in 0..self.holding.len() {
                let held = address_of(self.holding.objects[index as usize]);
                self.objects.free(cache.0, held, 0)?.ok();
            }
            self.holding.count = 0;
            self.objects.phase("close")?;
            self.close(cache)?;
        }
        Ok(())
    }

    fn constructed(&mut self, operations: u64) -> Result<(), O::Stop> {
        let rounds = CONSTRUCTED_SIZES.len() as u64 * 2;
        for (round, size) in (0..).zip(CONSTRUCTED_SIZES.into_iter().chain(CONSTRUCTED_SIZES)) {
            self.objects.phase("construct")?;
            let debug = if round >= CONSTRUCTED_SIZES.len() { DEBUG } else { 0 };
            let Some(cache) = self.create(size, 8, CONSTRUCTOR | debug)? else { continue };
            for _ in 0..operations / rounds {
                if self.holding.len() == 0 || self.draw.below(5) < 3 {
                    self.take(cache)?;
                } else {
                    self.give_any()?;
                }
            }
            self.give_all()?;
            self.objects.phase("and again")?;
            self.objects.shrink(cache.0)?;
            for _ in 0..operations / rounds / 4 {
                self.take(cache)?;
            }
            self.give_all()?;
            self.close(cache)?;
        }
        Ok(())
    }

    fn colours(&mut self) -> Result<(), O::Stop> {
        self.objects.phase("colours")?;
        for (size, align) in [(320, 8), (340, 4), (704, 64), (1272, 8)] {
            let Some(cache) = self.create(size, align, 0)? else { continue };
            self.objects.info(cache.0)?;
            for _ in 0..130 {
                self.take(cache)?;
            }
            self.objects.info(cache.0)?;
            self.give_all()?;
            self.close(cache)?;
        }
        Ok(())
    }

    fn partial(&mut self) -> Result<(), O::Stop> {
        for (size, limit, batch) in [(1024, 54, 27), (512, 54, 27), (200, 120, 60)] {
            self.objects.phase("fill")?;
            let Some(cache) = self.create(size, 8, 0)? else { continue };
            let slab = self.objects.info(cache.0)?.clamp(1, 8) * PAGE_SIZE;
            // Freed in this order: one slab wholly, then holes in others, so many that the hart's array is flushed
            // twice. Then the slab that is wholly free is where it belongs, the cache may keep it, and what the hart
            // has at hand are holes alone.
            let most_holes = limit + batch;
            for _ in 0..3 * most_holes + 4 * (slab / size).max(1) {
                self.take(cache)?;
            }
            self.objects.phase("make holes")?;
            let before = self.holding.len();
            let index = self.draw.below(most_holes);
            if index < before {
                self.give_slab(address_of(self.holding.objects[index as usize]) / slab, slab)?;
            }
            let holes = (most_holes + 1).saturating_sub(before - self.holding.len()).max(1);
            for hole in 0..holes {
                // Every second one, so that no slab loses all of its objects; the last one comes here, and stays.
                if 2 * hole < self.holding.len() {
                    self.give_at(2 * hole)?;
                }
            }
            self.objects.phase("fill holes")?;
            for _ in 0..holes {
                self.take(cache)?;
            }
            self.objects.phase("give back")?;
            self.give_all()?;
            self.close(cache)?;
        }
        Ok(())
    }

    /// Gives back every object of a slab of so many bytes.
    fn give_slab(&mut self, number: u64, bytes: u64) -> Result<(), O::Stop> {
        let mut index = 0;
        while index < self.holding.len() {
            if address_of(self.holding.objects[index as usize]) / bytes == number {
                self.give_at(index)?;
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    fn wrong_frees(&mut self) -> Result<(), O::Stop> {
        for size in [16, 60, 200, 512, 1500] {
            self.objects.phase("right frees")?;
            let Some(cache) = self.create(size, 8, DEBUG)? else { continue };
            let other = self.create(size, 8, DEBUG)?;
            for _ in 0..24 {
                self.take(cache)?;
            }
            for _ in 0..8 {
                if self.holding.len() < 2 {
                    return Ok(()); // nothing was handed out, so there is nothing to free wrongly
                }
                let index = self.draw.below(self.holding.len());
                let object = address_of(self.holding.objects[index as usize]);
                self.objects.phase("an address within an object")?;
                let within = 8 * (1 + self.draw.below(size.div_ceil(8) - 1));
                self.objects.free(cache.0, object + within.min(size - 1), WRONG)?.ok();
                self.objects.phase("an object of another cache")?;
                if let Some(other) = other {
                    self.objects.free(other.0, object, WRONG)?.ok();
                }
                self.objects.phase("an address in no slab")?;
                let outside = [4096, 1 << 30, 1 << 38][self.draw.below(3) as usize];
                self.objects.free(cache.0, outside, WRONG)?.ok();
                self.objects.phase("an object freed twice")?;
                self.give_at(index)?;
                self.objects.free(cache.0, object, WRONG)?.ok();
                self.objects.phase("an object that was written beyond its end")?;
                if let Ok(object) = self.objects.allocate(cache.0)? {
                    self.objects.free(cache.0, object, SCRIBBLE)?.ok();
                }
                self.objects.phase("nothing was harmed")?;
                self.objects.info(cache.0)?;
                self.take(cache)?;
            }
            self.objects.phase("right frees")?;
            self.give_all()?;
            self.close(cache)?;
            if let Some(other) = other {
                self.close(other)?;
            }
        }
        Ok(())
    }

    /// A size, small ones far more often.
    fn draw_size(&mut self) -> u64 {
        let bits = 3 + self.draw.next().trailing_ones().min(9) as u64;
        (1 << bits) - self.draw.below(1 << (bits - 1))
    }

    fn general(&mut self, operations: u64) -> Result<(), O::Stop> {
        self.objects.phase("no bytes")?;
        self.objects.kmalloc(0)?.ok();
        self.objects.phase("every size")?;
        for bits in 3..16 {
            for bytes in [(1 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                self.take_bytes(bytes)?;
            }
        }
        self.objects.phase("mixed sizes")?;
        for operation in 0..operations {
            let filling = (operation / 300) % 2 == 0;
            if self.holding.len() == 0 || self.draw.below(8) < if filling { 5 } else { 3 } {
                let bytes = self.draw_size();
                self.take_bytes(bytes)?;
            } else {
                self.give_bytes()?;
            }
        }
        self.objects.phase("give back")?;
        while self.holding.len() > 0 {
            self.give_bytes()?;
        }
        Ok(())
    }

    fn make_shared(&mut self) -> Result<[u8; SHARED_CACHES], O::Stop> {
        self.objects.phase("shared caches")?;
        let mut caches = [0; SHARED_CACHES];
        for (cache, (size, flags)) in caches.iter_mut().zip([(64, CONSTRUCTOR), (200, 0), (2048, 0)]) {
            *cache = self.create(size, 8, flags)?.map_or(0, |Cache(number)| number);
        }
        Ok(caches)
    }

    fn share(&mut self, operations: u64, caches: [u8; SHARED_CACHES]) -> Result<(), O::Stop> {
        self.objects.phase("shared")?;
        for operation in 0..operations {
            let filling = (operation / 200) % 2 == 0;
            if self.holding.len() == 0 || self.draw.below(8) < if filling { 5 } else { 3 } {
                let cache = caches[self.draw.below(SHARED_CACHES as u64) as usize];
                self.take(Cache(cache))?;
            } else {
                self.give_any()?;
            }
            if operation % 256 == 255 {
                let cache = caches[self.draw.below(SHARED_CACHES as u64) as usize];
                self.objects.shrink(cache)?;
            }
        }
        self.objects.phase("give back")?;
        self.give_all()
    }

    fn bursts(&mut self, operations: u64, caches: [u8; SHARED_CACHES]) -> Result<(), O::Stop> {
        self.objects.phase("bursts")?;
        let mut left = operations / 2;
        let mut round = 0;
        while left > 0 {
            // Of small objects, whose arrays are the largest; as many as two arrays hold.
            let burst = (1 + self.draw.below(240)).min(left);
            for _ in 0..burst {
                self.take(Cache(caches[round % 2]))?;
            }
            while self.holding.len() > 0 {
                self.give_at(self.holding.len() - 1)?;
            }
            left -= burst;
            round += 1;
        }
        Ok(())
    }

    fn bench(&mut self, operations: u64) -> Result<(), O::Stop> {
        let Some(cache) = self.create(64, 8, 0)? else { return Ok(()) };
        self.objects.phase("cold-pair")?;
        self.pair(cache)?;
        self.objects.phase("warm-pair")?;
        for _ in 0..operations / 8 {
            self.pair(cache)?;
        }
        // Bursts as large as an array and a half: every one of them moves objects to and fro.
        self.objects.phase("burst")?;
        for _ in 0..operations / 8 / 180 {
            for _ in 0..180 {
                self.take(cache)?;
            }
            while self.holding.len() > 0 {
                self.give_at(self.holding.len() - 1)?;
            }
        }
        self.objects.phase("mixed")?;
        for _ in 0..operations / 4 {
            if self.holding.len() < 16 || self.draw.below(2) == 0 {
                self.take(cache)?;
            } else {
                self.give_any()?;
            }
        }
        self.objects.phase("give back")?;
        self.give_all()?;
        self.close(cache)?;
        self.objects.phase("general")?;
        for _ in 0..operations / 4 {
            if self.holding.len() < 16 || self.draw.below(2) == 0 {
                let bytes = self.draw_size();
                self.take_bytes(bytes)?;
            } else {
                self.give_bytes()?;
            }
        }
        self.objects.phase("give back")?;
        while self.holding.len() > 0 {
            self.give_bytes()?;
        }
        Ok(())
    }

    /// Asks for memory and holds it.
    fn take_bytes(&mut self, bytes: u64) -> Result<(), O::Stop> {
        if let Ok(address) = self.objects.kmalloc(bytes)? {
            self.holding.push(address | bytes << ADDRESS_BITS);
        }
        Ok(())
    }

    /// Gives back some of the memory held.
    fn give_bytes(&mut self) -> Result<(), O::Stop> {
        let index = self.draw.below(self.holding.len());
        let held = self.holding.swap_remove(index);
        self.objects.kfree(address_of(held), held >> ADDRESS_BITS)?.ok();
        Ok(())
    }

    fn pair(&mut self, cache: Cache) -> Result<(), O::Stop> {
        if let Ok(address) = self.objects.allocate(cache.0)? {
            self.objects.free(cache.0, address, 0)?.ok();
        }
        Ok(())
    }
}
