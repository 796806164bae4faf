//! What `kmemtest` asks of page lists that all harts share, drawn from a seed; the host draws the same again.

use core::fmt;

use crate::draw::Draw;

/// What a workload drives: the kernel's lists in the guest, a trace on the host.
pub trait Lists {
    /// Why the workload cannot go on: never in the guest; on the host, the trace ends or departs from it.
    type Stop;

    /// The operations from here on belong to the phase of that name.
    ///
    /// # Errors
    /// When the workload must stop.
    fn phase(&mut self, name: &'static str) -> Result<(), Self::Stop>;

    /// Goes on on that hart. It is no operation of the lists.
    ///
    /// # Errors
    /// When the workload must stop.
    fn move_to(&mut self, hart: u64) -> Result<(), Self::Stop>;

    /// Asks for a page; the answer is its byte address, or nothing when there is none.
    ///
    /// # Errors
    /// When the workload must stop.
    fn allocate(&mut self) -> Result<Option<u64>, Self::Stop>;

    /// Gives a page back.
    ///
    /// # Errors
    /// When the workload must stop.
    fn free(&mut self, address: u64) -> Result<(), Self::Stop>;

    /// Asks how many pages are free; the workload does not depend on it.
    ///
    /// # Errors
    /// When the workload must stop.
    fn count(&mut self) -> Result<(), Self::Stop>;
}

/// The phase in which every client takes a page and gives one back, again and again.
pub const PAIRS: &str = "pairs";

/// The phase in which every client takes as many pages as it may hold, and gives all back, again and again.
pub const BURSTS: &str = "bursts";

/// The most pages that a client holds at a time.
pub const MOST_HELD: usize = 8192;

/// A kind of workload, by the word that names it on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// One client, which takes all pages on each hart in turn, and gives them back wherever it happens to be.
    Reach,
    /// Clients that take and give pages, each on a hart of its own, or roaming.
    Mixed,
    /// Clients that take pages until none is left, over and over.
    Scarce,
    /// What is measured: pairs, then pages that come and go, then as many as a client may hold, over and over; each
    /// client on a hart of its own.
    Bench,
}

impl Scenario {
    /// Every scenario, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Reach, Self::Mixed, Self::Scarce, Self::Bench];

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Mixed => "mixed",
            Self::Scarce => "scarce",
            Self::Bench => "bench",
        }
    }
}

/// A workload as the command line asks for it:
/// `SCENARIO [--operations N] [--clients N] [--harts N] [--hold PAGES] [--roam N] [--keep PAGES] [--pages N] [--uncounted]
/// [--interleaved] [--seed N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// What is asked for.
    pub scenario: Scenario,
    /// Roughly how many operations each client makes, where the scenario leaves that open.
    pub operations: u64,
    /// How many processes run it side by side.
    pub clients: u8,
    /// The harts that they are spread over.
    pub harts: u64,
    /// The most pages that a client holds at a time.
    pub hold: u64,
    /// A client goes on on another hart after so many operations; zero for never.
    pub roam: u64,
    /// Pages that the client that counts them all never gives back, whichever they are: what was written into them can be
    /// looked up in the machine's memory when it is off.
    pub keep: u64,
    /// How many pages the lists have, in kernels that cannot be given an arena.
    pub pages: u64,
    /// Whether the lists are never asked how many pages are free: those of some kernels do not know.
    pub uncounted: bool,
    /// Whether one hart plays all, and goes from one to another where locks are taken, in kernels that can be driven
    /// so.
    pub interleaved: bool,
    /// The seed that everything is drawn from.
    pub seed: u64,
}

/// The most clients that a workload can have. The number after the last one's is that of the client that counts the
/// pages when all others are done.
pub const MOST_CLIENTS: u8 = 16;

/// The most harts that a workload can be spread over.
pub const MOST_HARTS: u64 = 8;

/// An argument that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadArgument<'a>(pub &'a str);

impl fmt::Display for BadArgument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no argument of a workload; SCENARIO [--operations N] [--clients 1-{MOST_CLIENTS}] \
             [--harts 1-{MOST_HARTS}] [--hold PAGES] [--roam N] [--keep PAGES] [--pages N] [--uncounted] \
             [--interleaved] [--seed N] with one of",
            self.0
        )?;
        Scenario::ALL.iter().try_for_each(|scenario| write!(f, " {}", scenario.word()))
    }
}

impl Workload {
    /// Reads the arguments of `kmemtest`, its own name left out.
    ///
    /// # Errors
    /// The first argument that is unknown, or the one whose value is missing or out of range.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, BadArgument<'a>> {
        let mut arguments = arguments.into_iter();
        let word = arguments.next().unwrap_or("");
        let scenario = Scenario::ALL.into_iter().find(|scenario| scenario.word() == word).ok_or(BadArgument(word))?;
        let mut workload = Self {
            scenario,
            operations: 1000,
            clients: 1,
            harts: 1,
            hold: MOST_HELD as u64,
            roam: 0,
            keep: 0,
            pages: 512,
            uncounted: false,
            interleaved: false,
            seed: 0,
        };
        while let Some(name) = arguments.next() {
            let flag = match name {
                "--uncounted" => Some(&mut workload.uncounted),
                "--interleaved" => Some(&mut workload.interleaved),
                _ => None,
            };
            if let Some(flag) = flag {
                *flag = true;
                continue;
            }
            let value: u64 = arguments.next().and_then(|value| value.parse().ok()).ok_or(BadArgument(name))?;
            match name {
                "--operations" => workload.operations = value,
                "--clients" if (1..=u64::from(MOST_CLIENTS)).contains(&value) => workload.clients = value as u8,
                "--harts" if (1..=MOST_HARTS).contains(&value) => workload.harts = value,
                "--hold" if (1..=MOST_HELD as u64).contains(&value) => workload.hold = value,
                "--roam" => workload.roam = value,
                "--keep" => workload.keep = value,
                "--pages" if (1..=MOST_HELD as u64).contains(&value) => workload.pages = value,
                "--seed" => workload.seed = value,
                _ => return Err(BadArgument(name)),
            }
        }
        Ok(workload)
    }

    /// The client that counts the pages when the others are done.
    pub const fn counter(&self) -> u8 {
        self.clients
    }

    /// Runs the part of one client. `room` is for the pages that it holds, [`MOST_HELD`] of them.
    ///
    /// # Errors
    /// Whatever stopped `lists`.
    pub fn run<L: Lists>(&self, client: u8, lists: &mut L, room: &mut [u64]) -> Result<(), L::Stop> {
        let mut run = Run {
            workload: self,
            draw: Draw::for_client(self.seed, client),
            lists,
            held: room,
            holding: 0,
            since_moved: 0,
        };
        if client == self.counter() {
            return run.count_all();
        }
        if self.harts > 1 {
            run.lists.move_to(u64::from(client) % self.harts)?;
        }
        match self.scenario {
            Scenario::Reach => run.reach(),
            Scenario::Mixed => run.mixed(self.operations, "mixed"),
            Scenario::Scarce => run.scarce(),
            Scenario::Bench => run.bench(),
        }?;
        run.lists.phase("give back")?;
        run.give_all()
    }
}

struct Run<'a, L> {
    workload: &'a Workload,
    draw: Draw,
    lists: &'a mut L,
    held: &'a mut [u64],
    holding: usize,
    since_moved: u64,
}

impl<L: Lists> Run<'_, L> {
    /// Asks for a page and holds it; false when there is none to be had.
    fn take(&mut self) -> Result<bool, L::Stop> {
        self.roam()?;
        let answer = self.lists.allocate()?;
        if let Some(address) = answer {
            self.held[self.holding] = address;
            self.holding += 1;
        }
        Ok(answer.is_some())
    }

    /// Gives one of the pages held back, whichever is drawn.
    fn give_any(&mut self) -> Result<(), L::Stop> {
        self.roam()?;
        let index = self.draw.below(self.holding as u64) as usize;
        self.holding -= 1;
        self.held.swap(index, self.holding);
        self.lists.free(self.held[self.holding])
    }

    fn count(&mut self) -> Result<(), L::Stop> {
        if self.workload.uncounted { Ok(()) } else { self.lists.count() }
    }

    fn give_all(&mut self) -> Result<(), L::Stop> {
        self.give_all_but(0)
    }

    fn give_all_but(&mut self, keep: u64) -> Result<(), L::Stop> {
        while self.holding as u64 > keep {
            self.give_any()?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.holding as u64 >= self.workload.hold || self.holding == self.held.len()
    }

    fn roam(&mut self) -> Result<(), L::Stop> {
        self.since_moved += 1;
        if self.workload.roam > 0 && self.since_moved > self.workload.roam {
            self.since_moved = 1;
            self.move_anywhere()?;
        }
        Ok(())
    }

    fn move_anywhere(&mut self) -> Result<(), L::Stop> {
        let hart = self.draw.below(self.workload.harts);
        self.lists.move_to(hart)
    }

    fn take_all(&mut self) -> Result<(), L::Stop> {
        while !self.is_full() && self.take()? {}
        Ok(())
    }

    fn count_all(&mut self) -> Result<(), L::Stop> {
        self.lists.phase("every page, when all others are done")?;
        self.count()?;
        while self.holding < self.held.len() && self.take()? {}
        self.count()?;
        self.give_all_but(self.workload.keep)?;
        self.count()
    }

    fn reach(&mut self) -> Result<(), L::Stop> {
        for hart in 0..self.workload.harts {
            self.lists.phase("every page, from one hart")?;
            self.lists.move_to(hart)?;
            self.count()?;
            self.take_all()?;
            self.lists.phase("back again, here and there")?;
            while self.holding > 0 {
                self.move_anywhere()?;
                for _ in 0..1 + self.draw.below(32) {
                    if self.holding > 0 {
                        self.give_any()?;
                    }
                }
            }
        }
        self.count()
    }

    fn mixed(&mut self, operations: u64, phase: &'static str) -> Result<(), L::Stop> {
        self.lists.phase(phase)?;
        for operation in 0..operations {
            // Slow swings between filling up and emptying.
            let filling = (operation / 128) % 2 == 0;
            let take = self.draw.below(8) < if filling { 5 } else { 3 };
            if self.holding == 0 || (take && !self.is_full()) {
                self.take()?;
            } else {
                self.give_any()?;
            }
        }
        Ok(())
    }

    fn scarce(&mut self) -> Result<(), L::Stop> {
        // By numbers of frees, since an attempt to take may make any number of operations.
        let mut left = self.workload.operations / 2;
        while left > 0 {
            self.lists.phase("until none is left")?;
            self.take_all()?;
            // Nothing may have changed, and nothing must: this page cannot be had either.
            if !self.is_full() {
                self.take()?;
            }
            self.lists.phase("some back")?;
            let back = 1 + self.draw.below(self.holding.max(1) as u64);
            for _ in 0..back.min(left) {
                if self.holding > 0 {
                    self.give_any()?;
                }
            }
            left = left.saturating_sub(back);
        }
        Ok(())
    }

    fn bench(&mut self) -> Result<(), L::Stop> {
        self.lists.phase("warm-up")?;
        for _ in 0..self.workload.hold / 2 {
            self.take()?;
        }
        self.lists.phase(PAIRS)?;
        for _ in 0..self.workload.operations / 4 {
            self.take()?;
            if self.holding > 0 {
                self.give_any()?;
            }
        }
        self.mixed(self.workload.operations / 2, "mixed")?;
        self.bursts(self.workload.operations / 2)
    }

    /// Many pages at a time, so that where harts share a list, what one of them gives back the others take.
    fn bursts(&mut self, operations: u64) -> Result<(), L::Stop> {
        self.lists.phase(BURSTS)?;
        for _ in 0..operations / (2 * self.workload.hold) {
            self.take_all()?;
            self.give_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{vec, vec::Vec};

    /// Hands out the lowest pages first, and writes everything down.
    struct Few {
        log: Vec<(char, u64)>,
        free: Vec<u64>,
    }

    impl Lists for Few {
        type Stop = core::convert::Infallible;
        fn phase(&mut self, _: &'static str) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn move_to(&mut self, hart: u64) -> Result<(), Self::Stop> {
            self.log.push(('m', hart));
            Ok(())
        }
        fn allocate(&mut self) -> Result<Option<u64>, Self::Stop> {
            let answer = self.free.pop();
            self.log.push(('a', answer.unwrap_or(0)));
            Ok(answer)
        }
        fn free(&mut self, address: u64) -> Result<(), Self::Stop> {
            self.log.push(('f', address));
            assert!(!self.free.contains(&address), "{address} is given back twice");
            self.free.push(address);
            Ok(())
        }
        fn count(&mut self) -> Result<(), Self::Stop> {
            self.log.push(('c', 0));
            Ok(())
        }
    }

    fn parse(text: &'static str) -> Workload {
        Workload::parse(text.split_whitespace()).unwrap()
    }

    fn run(workload: Workload, client: u8, pages: u64) -> Few {
        let mut lists = Few { log: Vec::new(), free: (1..=pages).collect() };
        let Ok(()) = workload.run(client, &mut lists, &mut vec![0; MOST_HELD]);
        lists
    }

    #[test]
    fn every_scenario_ends_gives_all_back_and_repeats_itself_for_the_same_seed_only() {
        for scenario in Scenario::ALL {
            for pages in [0, 1, 7, 300] {
                let workload = Workload { scenario, ..parse("mixed --harts 3 --clients 2 --roam 9 --seed 11") };
                let first = run(workload, 0, pages);
                assert_eq!(first.free.len() as u64, pages, "{scenario:?}");
                assert_eq!(first.log, run(workload, 0, pages).log);
                let other = run(Workload { seed: 12, ..workload }, 0, pages);
                assert!(pages < 300 || first.log != other.log, "{scenario:?}");
            }
        }
    }

    #[test]
    fn the_client_that_counts_takes_every_page_once() {
        let log = run(parse("scarce --clients 2 --hold 3"), 2, 5).log;
        assert_eq!(log.iter().filter(|(kind, _)| *kind == 'a').count(), 6, "five pages, and none after them");
        assert_eq!(log.iter().filter(|(kind, _)| *kind == 'f').count(), 5);
    }

    #[test]
    fn the_client_that_counts_keeps_as_many_as_it_is_told_to() {
        assert_eq!(
            [0, 3, 9].map(|keep| run(Workload { keep, ..parse("reach --clients 2") }, 2, 5).free.len()),
            [5, 2, 0]
        );
    }

    #[test]
    fn lists_that_cannot_count_are_not_asked_to() {
        let counts = |workload| run(workload, 1, 5).log.iter().filter(|(kind, _)| *kind == 'c').count();
        assert_eq!([counts(parse("mixed")), counts(parse("mixed --uncounted"))], [3, 0]);
    }

    #[test]
    fn no_client_holds_more_than_it_may() {
        for scenario in [Scenario::Mixed, Scenario::Scarce, Scenario::Bench] {
            let mut held = 0;
            for (kind, page) in run(Workload { scenario, ..parse("mixed --hold 4") }, 0, 100).log {
                match kind {
                    'a' if page > 0 => held += 1,
                    'f' => held -= 1,
                    _ => {}
                }
                assert!(held <= 4, "{scenario:?}");
            }
        }
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_named() {
        let workload = parse("mixed --operations 10 --clients 4 --harts 2 --hold 99 --roam 3 --seed 5");
        assert_eq!((workload.operations, workload.clients, workload.harts), (10, 4, 2));
        assert_eq!((workload.hold, workload.roam, workload.seed), (99, 3, 5));
        for (text, wrong) in [("", ""), ("soup", "soup"), ("mixed --harts 9", "--harts"), ("mixed -x 1", "-x")] {
            assert_eq!(Workload::parse(text.split_whitespace()), Err(BadArgument(wrong)));
        }
    }
}
