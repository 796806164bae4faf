//! What `umalloctest` asks of the heap of its own process.

mod arguments;

use core::convert::Infallible;

use super::shapes::Shape;
use super::{Client, Expect, Request};
use crate::draw::Draw;

pub use arguments::{BadArgument, MOST_CLIENTS, MOST_REQUESTS, Part, Scenario, Workload};

impl Workload {
    /// The parts, in the order in which they run.
    pub fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let whole = (self.scenario != Scenario::Traces).then_some(Part::Whole(self.scenario));
        let traces = if whole.is_none() { &Shape::ALL[..] } else { &[] };
        whole.into_iter().chain(traces.iter().map(|&shape| Part::Trace(shape)))
    }

    /// Makes the requests of one client in one part.
    ///
    /// Through a table of functions, so that it is compiled once, and not with every heap that it is tried on.
    pub fn run(&self, part: Part, client: u8, heap: &mut dyn Client<Stop = Infallible>) {
        let scenario = match part {
            Part::Whole(scenario) => scenario,
            Part::Trace(shape) => {
                let Ok(()) = shape.run(self.seed, heap);
                return;
            }
        };
        let draw = Draw::for_client(self.seed, client);
        let mut run = Run { draw, heap, ids: [0; MOST_LIVE], count: 0, next: 0 };
        match scenario {
            Scenario::Mixed => run.mixed(self.operations),
            Scenario::Sizes => run.sizes(),
            Scenario::Merge => run.merge(),
            Scenario::Limit => run.limit(),
            Scenario::Aligned => run.aligned(),
            Scenario::Pool => run.pool(),
            Scenario::Trim => run.trim(),
            Scenario::Traces => {}
        }
    }
}

/// The most blocks that a workload has at a time, but for those that it names one by one.
const MOST_LIVE: usize = 512;

/// The order in which blocks are freed.
#[derive(Debug, Clone, Copy)]
enum Order {
    FirstCome,
    LastCome,
    EverySecond,
    Random,
}

struct Run<'a> {
    draw: Draw,
    heap: &'a mut dyn Client<Stop = Infallible>,
    ids: [u32; MOST_LIVE],
    count: usize,
    next: u32,
}

impl Run<'_> {
    fn phase(&mut self, name: &'static str, expect: Expect) {
        let Ok(()) = self.heap.phase(name, expect);
    }

    fn request(&mut self, request: Request) {
        let Ok(()) = self.heap.request(request);
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.draw.below(most - least + 1)
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    fn allocate(&mut self, size: u64) -> u32 {
        let id = self.number();
        self.request(Request::Allocate { id, size });
        id
    }

    fn keep(&mut self, size: u64) {
        let id = self.allocate(size);
        self.push(id);
    }

    fn push(&mut self, id: u32) {
        self.ids[self.count] = id;
        self.count += 1;
    }

    fn free(&mut self, id: u32) {
        self.request(Request::Free { id })
    }

    fn any(&mut self) -> usize {
        self.draw.below(self.count as u64) as usize
    }

    /// Takes a block out; the last one moves into its place.
    fn take(&mut self, index: usize) -> u32 {
        let id = self.ids[index];
        self.count -= 1;
        self.ids[index] = self.ids[self.count];
        id
    }

    fn free_all(&mut self, order: Order) {
        match order {
            Order::FirstCome => {
                for index in 0..self.count {
                    self.free(self.ids[index]);
                }
            }
            Order::LastCome => {
                for index in (0..self.count).rev() {
                    self.free(self.ids[index]);
                }
            }
            Order::EverySecond => {
                for start in 0..2 {
                    for index in (start..self.count).step_by(2) {
                        self.free(self.ids[index]);
                    }
                }
            }
            Order::Random => {
                while self.count > 0 {
                    let index = self.any();
                    let id = self.take(index);
                    self.free(id);
                }
            }
        }
        self.count = 0;
    }

    /// Small sizes more often than large ones.
    fn size(&mut self) -> u64 {
        let scale = [4, 5, 6, 7, 8, 10, 12][self.draw.below(7) as usize];
        self.between(1, 2 << scale)
    }

    fn mixed(&mut self, operations: u64) {
        self.phase("mixed", Expect::Nothing);
        for operation in 0..operations {
            let filling = (operation / 256) % 2 == 0;
            let take = self.draw.below(8) < if filling { 5 } else { 3 };
            if self.count == 0 || (take && self.count < MOST_LIVE / 2) {
                let size = if self.draw.below(64) == 0 { self.between(1 << 14, 1 << 15) } else { self.size() };
                self.keep(size);
                continue;
            }
            let index = self.any();
            if self.draw.below(4) == 0 {
                let (id, size) = (self.ids[index], self.size());
                self.request(Request::Reallocate { id, size });
            } else {
                let id = self.take(index);
                self.free(id);
            }
        }
        self.phase("give back", Expect::Nothing);
        self.free_all(Order::Random)
    }

    fn sizes(&mut self) {
        const TOO_MANY: [u64; 10] = [
            u64::MAX,
            u64::MAX - 7,
            u64::MAX - 8,
            u64::MAX - 15,
            u64::MAX - 16,
            u64::MAX - 4095,
            1 << 63,
            (1 << 63) - 16,
            1 << 47,
            1 << 38,
        ];
        self.phase("some blocks, to see whether they are harmed", Expect::Nothing);
        for _ in 0..32 {
            let size = self.size();
            self.keep(size);
        }
        self.phase("no bytes at all", Expect::Null);
        for _ in 0..4 {
            self.allocate(0);
        }
        self.phase("more bytes than there can be", Expect::Null);
        for size in TOO_MANY {
            self.allocate(size);
        }
        for size in TOO_MANY {
            let index = self.any();
            self.request(Request::Reallocate { id: self.ids[index], size });
        }
        self.phase("free of the null pointer", Expect::Null);
        for _ in 0..4 {
            let id = self.number();
            self.free(id);
        }
        self.phase("reallocation from the null pointer", Expect::Nothing);
        for _ in 0..8 {
            let (id, size) = (self.number(), self.size());
            self.request(Request::Reallocate { id, size });
            self.push(id);
        }
        self.phase("reallocation to no bytes at all", Expect::Null);
        for _ in 0..8 {
            let index = self.any();
            let id = self.take(index);
            self.request(Request::Reallocate { id, size: 0 });
        }
        self.phase("every size", Expect::Nothing);
        self.free_all(Order::Random);
        for start in [1, 257] {
            for size in start..start + 256 {
                self.keep(size);
            }
            self.free_all(Order::Random);
        }
        self.phase("sizes around powers of two", Expect::Nothing);
        for scale in 9..17 {
            for less in [24, 17, 16, 9, 8, 7, 1, 0] {
                self.keep((1 << scale) - less);
                self.keep((1 << scale) + less);
            }
        }
        self.phase("growing and shrinking by every size", Expect::Nothing);
        for step in 0..256 {
            let (id, size) = (self.ids[step % 8], self.between(1, 600));
            self.request(Request::Reallocate { id, size });
        }
        self.free_all(Order::Random)
    }

    fn merge(&mut self) {
        for (order, name) in [
            (Order::FirstCome, "all freed in the order in which they came"),
            (Order::LastCome, "all freed in the opposite order"),
            (Order::EverySecond, "every second one freed, then the others"),
            (Order::Random, "all freed in random order"),
        ] {
            self.phase("blocks of many sizes", Expect::Nothing);
            let mut total = 0;
            for _ in 0..200 {
                let size = self.between(1, 1500);
                total += size;
                self.keep(size);
            }
            self.phase(name, Expect::Nothing);
            self.free_all(order);
            self.phase("one block as large as all that were freed", Expect::NoGrowth);
            let id = self.allocate(total);
            self.free(id);
            self.phase("the same again in two halves", Expect::NoGrowth);
            let (first, second) = (self.allocate(total / 2), self.allocate(total / 2 - 64));
            self.free(first);
            self.free(second);
        }
        self.phase("blocks between others", Expect::Nothing);
        for _ in 0..100 {
            let size = self.between(16, 700);
            self.keep(size);
        }
        for _ in 0..100 {
            self.phase("a block that there was no room for yet", Expect::Nothing);
            let size = self.between(700, 9000);
            let id = self.allocate(size);
            self.free(id);
            self.phase("the size that was just freed", Expect::NoGrowth);
            let id = self.allocate(size);
            self.free(id);
        }
        self.phase("give back", Expect::Nothing);
        self.free_all(Order::Random)
    }

    fn limit(&mut self) {
        self.phase("until memory runs out", Expect::Scarcity);
        for _ in 0..400 {
            self.keep(200_000);
        }
        for _ in 0..16 {
            self.keep(16_000);
        }
        for _ in 0..64 {
            self.keep(500);
        }
        self.phase("growing when there is nothing left", Expect::Scarcity);
        for index in 0..8 {
            self.request(Request::Reallocate { id: self.ids[index], size: 3_000_000 });
        }
        self.phase("all freed", Expect::Nothing);
        self.free_all(Order::Random);
        self.phase("again, some of what there was", Expect::NoGrowth);
        for _ in 0..10 {
            self.keep(200_000);
        }
        self.free_all(Order::Random)
    }

    fn aligned(&mut self) {
        const OTHERS: [u64; 8] = [1, 8, 16, 32, 128, 256, 1024, 4096];
        self.phase("multiples of 64, and of other powers of two", Expect::Nothing);
        for operation in 0..1200 {
            let filling = (operation / 200) % 2 == 0;
            let take = self.draw.below(8) < if filling { 6 } else { 3 };
            if self.count == 0 || (take && self.count < MOST_LIVE) {
                let (id, size) = (self.number(), self.size());
                let alignment = match self.draw.below(4) {
                    0 => OTHERS[self.draw.below(8) as usize],
                    1 => {
                        self.request(Request::Allocate { id, size });
                        self.push(id);
                        continue;
                    }
                    _ => 64,
                };
                self.request(Request::Aligned { id, size, alignment });
                self.push(id);
                continue;
            }
            let index = self.any();
            if self.draw.below(6) == 0 {
                let (id, size) = (self.ids[index], self.size());
                self.request(Request::Reallocate { id, size });
            } else {
                let id = self.take(index);
                self.free(id);
            }
        }
        self.phase("no bytes at all, or more than there can be", Expect::Null);
        for size in [0, u64::MAX, u64::MAX - 63, u64::MAX - 127, 1 << 47] {
            let id = self.number();
            self.request(Request::Aligned { id, size, alignment: 64 });
        }
        self.phase("give back", Expect::Nothing);
        self.free_all(Order::Random);
        self.phase("blocks of 64 bytes at multiples of 64", Expect::Nothing);
        for _ in 0..256 {
            let id = self.number();
            self.request(Request::Aligned { id, size: 64, alignment: 64 });
            self.push(id);
        }
        self.free_all(Order::Random);
        self.phase("one block as large as all that were freed", Expect::NoGrowth);
        let id = self.allocate(256 * 64);
        self.free(id)
    }

    fn pool(&mut self) {
        for (size, count) in [(24, 200), (8, 100), (64, 128), (100, 60), (1, 40), (700, 30)] {
            self.phase("blocks beside the pool", Expect::Nothing);
            let beside = [self.allocate(100), self.allocate(3000)];
            self.phase("all objects of a pool, and one more", Expect::Nothing);
            self.request(Request::Create { size, count });
            for _ in 0..=count {
                let id = self.number();
                self.request(Request::Take { id });
                self.push(id);
            }
            self.count -= 1; // the pool had none for that one
            self.phase("objects given back and taken again", Expect::NoGrowth);
            for _ in 0..3 * count {
                let giving = self.draw.below(2) == 0;
                if self.count == 0 || (!giving && (self.count as u64) < count) {
                    let id = self.number();
                    self.request(Request::Take { id });
                    self.push(id);
                } else {
                    let index = self.any();
                    let id = self.take(index);
                    self.request(Request::Give { id });
                }
            }
            self.phase("all given back", Expect::NoGrowth);
            while self.count > 0 {
                let index = self.any();
                let id = self.take(index);
                self.request(Request::Give { id });
            }
            self.phase("the pool destroyed, and its memory asked for", Expect::NoGrowth);
            self.request(Request::Destroy);
            let id = self.allocate(size * count);
            self.free(id);
            for id in beside {
                self.free(id);
            }
        }
        self.phase("a pool of more than there can be", Expect::Null);
        for (size, count) in [(1 << 40, 1 << 40), (u64::MAX, 1), (8, u64::MAX), (1 << 32, 1 << 32)] {
            self.request(Request::Create { size, count });
        }
        self.pool_and_heap()
    }

    /// The same takes and gives from a pool and from the heap.
    fn pool_and_heap(&mut self) {
        const SIZE: u64 = 56;
        const COUNT: u64 = 256;
        let draw = self.draw.clone();
        self.phase("a pool to be measured", Expect::Nothing);
        self.request(Request::Create { size: SIZE, count: COUNT });
        self.phase(FROM_POOL, Expect::NoGrowth);
        self.take_and_give(COUNT, |id| Request::Take { id }, |id| Request::Give { id });
        self.phase("the pool destroyed", Expect::NoGrowth);
        self.request(Request::Destroy);
        self.phase("blocks between those to be measured", Expect::Nothing);
        self.draw = draw;
        self.phase(FROM_HEAP, Expect::Nothing);
        self.take_and_give(COUNT, |id| Request::Allocate { id, size: SIZE }, |id| Request::Free { id })
    }

    fn take_and_give(&mut self, most: u64, take: impl Fn(u32) -> Request, give: impl Fn(u32) -> Request) {
        for operation in 0..1000 {
            let filling = (operation / 250) % 2 == 0;
            let taking = self.draw.below(8) < if filling { 6 } else { 2 };
            if self.count == 0 || (taking && (self.count as u64) < most) {
                let id = self.number();
                self.request(take(id));
                self.push(id);
            } else {
                let index = self.any();
                let id = self.take(index);
                self.request(give(id));
            }
        }
        while self.count > 0 {
            let index = self.any();
            let id = self.take(index);
            self.request(give(id));
        }
    }

    fn trim(&mut self) {
        self.phase("nothing there yet", Expect::Nothing);
        self.request(Request::Trim);
        for _ in 0..3 {
            self.phase("blocks, and more above them", Expect::Nothing);
            for _ in 0..60 {
                let size = self.between(1, 1000);
                self.keep(size);
            }
            let below = self.count;
            for _ in 0..100 {
                let size = self.between(1000, 5000);
                self.keep(size);
            }
            self.phase("nothing free at the top", Expect::Nothing);
            self.request(Request::Trim);
            self.phase("the upper ones freed", Expect::Nothing);
            while self.count > below {
                let index = below + self.draw.below((self.count - below) as u64) as usize;
                let id = self.take(index);
                self.free(id);
            }
            self.request(Request::Trim);
            self.phase("grown again after a trim", Expect::Nothing);
            for _ in 0..40 {
                let size = self.size();
                self.keep(size);
            }
            self.free_all(Order::Random);
            self.phase("nothing left", Expect::Nothing);
            self.request(Request::Trim);
            self.request(Request::Trim);
        }
    }
}

/// The phase of [`Scenario::Pool`] that measures a pool.
pub const FROM_POOL: &str = "objects of a pool, measured";

/// The phase of [`Scenario::Pool`] that measures the heap on the same sizes.
pub const FROM_HEAP: &str = "blocks of the same size, measured";

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[derive(Default)]
    struct List(Vec<Request>);

    impl Client for List {
        type Stop = Infallible;
        fn phase(&mut self, _: &'static str, _: Expect) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn request(&mut self, request: Request) -> Result<(), Self::Stop> {
            self.0.push(request);
            Ok(())
        }
    }

    fn list(workload: Workload, part: Part, client: u8) -> Vec<Request> {
        let mut list = List::default();
        workload.run(part, client, &mut list);
        list.0
    }

    fn parse(text: &'static str) -> Workload {
        Workload::parse(text.split_whitespace()).unwrap()
    }

    #[test]
    fn every_part_ends_within_its_bounds_and_repeats_itself_for_the_same_seed_only() {
        for scenario in Scenario::ALL {
            let workload = Workload { scenario, ..parse("mixed --seed 11") };
            for part in workload.parts() {
                let requests = list(workload, part, 0);
                assert!((100..MOST_REQUESTS as usize).contains(&requests.len()), "{part:?}: {}", requests.len());
                assert_eq!(requests, list(workload, part, 0));
                assert_ne!(requests, list(Workload { seed: 12, ..workload }, part, 0), "{part:?}");
            }
        }
        let two = parse("mixed --clients 2");
        assert_ne!(list(two, Part::Whole(Scenario::Mixed), 0), list(two, Part::Whole(Scenario::Mixed), 1));
    }

    #[test]
    fn every_block_is_freed_in_the_end_and_none_is_used_after_that() {
        for scenario in Scenario::ALL {
            let workload = Workload { scenario, ..parse("mixed --seed 3") };
            for part in workload.parts() {
                let mut live = std::collections::BTreeSet::new();
                for request in list(workload, part, 0) {
                    match request {
                        Request::Allocate { id, size } | Request::Aligned { id, size, .. } => {
                            assert!(live.insert(id), "{part:?}: block {id} twice");
                            // Nothing is handed out for these.
                            if size == 0 || size >= 1 << 38 {
                                live.remove(&id);
                            }
                        }
                        Request::Take { id } => {
                            live.insert(id);
                        }
                        Request::Reallocate { id, size: 0 } => assert!(live.remove(&id)),
                        Request::Reallocate { id, .. } => {
                            live.insert(id);
                        }
                        Request::Give { id } => assert!(live.remove(&id)),
                        Request::Free { id } => {
                            live.remove(&id);
                        }
                        Request::Trim | Request::Create { .. } | Request::Destroy => {}
                    }
                }
                // A pool is asked for one object more than it has, six times.
                let left = if part == Part::Whole(Scenario::Pool) { 6 } else { 0 };
                assert_eq!(live.len(), left, "{part:?}");
            }
        }
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_named() {
        let workload = parse("mixed --operations 10 --clients 4 --seed 5");
        assert_eq!((workload.operations, workload.clients, workload.seed), (10, 4, 5));
        let wrong =
            [("", ""), ("soup", "soup"), ("mixed --clients 9", "--clients"), ("sizes --clients 2", "--clients")];
        for (text, wrong) in wrong {
            assert_eq!(Workload::parse(text.split_whitespace()), Err(BadArgument(wrong)));
        }
    }
}
