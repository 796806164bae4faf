//! What `forktest` asks of processes that share memory until one of them writes to it, drawn from a seed; the host
//! draws the same again.
//!
//! One process does one thing at a time, told by a driver in the kernel, so the trace has one order. A run with every
//! answer that an operating system may give goes on; after a death that nobody asked for it ends.

use core::fmt;

use crate::draw::Draw;

/// Where in its address space a process is told to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A word of its heap: number 2n lies near the beginning of page n, number 2n + 1 near its end.
    Word(u8),
    /// A word of its code that is never run.
    Text,
    /// Below its stack, where a page is kept from it.
    Guard,
    /// Above its heap, where nothing is.
    Hole,
    /// The first address that Sv39's lower half does not have, 2^38, where xv6's `MAXVA` is.
    Beyond,
    /// The last page that 64 bits can name.
    Last,
}

impl Place {
    /// The page of the heap that it is in.
    pub const fn page(self) -> Option<u8> {
        match self {
            Self::Word(word) => Some(word / 2),
            _ => None,
        }
    }

    /// Where a process has nothing to look for.
    pub const FORBIDDEN: [Self; 5] = [Self::Text, Self::Guard, Self::Hole, Self::Beyond, Self::Last];

    /// What stands for it in records.
    pub const fn number(self) -> u64 {
        match self {
            Self::Word(word) => word as u64,
            Self::Text => 256,
            Self::Guard => 257,
            Self::Hole => 258,
            Self::Beyond => 259,
            Self::Last => 260,
        }
    }

    /// The place of that number.
    pub fn from_number(number: u64) -> Option<Self> {
        let forbidden = Self::FORBIDDEN.into_iter().find(|place| place.number() == number);
        forbidden.or_else(|| u8::try_from(number).ok().map(Self::Word))
    }
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was carried out.
    Done,
    /// The kernel refused, and the process goes on.
    Refused,
    /// The kernel ended the process.
    Died,
}

/// What a workload drives: processes in the guest, a trace on the host.
pub trait Spaces {
    /// Why the workload cannot go on: never in the guest; on the host, the trace ends or departs from it.
    type Stop;

    /// The operations from here on belong to the phase of that name.
    ///
    /// # Errors
    /// When the workload must stop.
    fn phase(&mut self, name: &'static str) -> Result<(), Self::Stop>;

    /// Has a process fork, and tells where each of so many pages of the child's is.
    ///
    /// # Errors
    /// When the workload must stop.
    fn fork(&mut self, parent: u8, child: u8, pages: u8) -> Result<Answer, Self::Stop>;

    /// Has a process store a value.
    ///
    /// # Errors
    /// When the workload must stop.
    fn store(&mut self, process: u8, place: Place, value: u64) -> Result<Answer, Self::Stop>;

    /// Has the kernel copy a value to a process, as `read` does.
    ///
    /// # Errors
    /// When the workload must stop.
    fn receive(&mut self, process: u8, place: Place, value: u64) -> Result<Answer, Self::Stop>;

    /// Has a process look at what is there.
    ///
    /// # Errors
    /// When the workload must stop.
    fn look(&mut self, process: u8, place: Place) -> Result<Answer, Self::Stop>;

    /// Has a process exit.
    ///
    /// # Errors
    /// When the workload must stop.
    fn exit(&mut self, process: u8) -> Result<(), Self::Stop>;

    /// Has a process wait for its child, which has ended.
    ///
    /// # Errors
    /// When the workload must stop.
    fn wait(&mut self, parent: u8) -> Result<(), Self::Stop>;

    /// Has the driver count the free pages.
    ///
    /// # Errors
    /// When the workload must stop.
    fn count(&mut self) -> Result<(), Self::Stop>;

    /// Has the driver take all free pages but these, or give back all that it took.
    ///
    /// # Errors
    /// When the workload must stop.
    fn leave(&mut self, pages: Option<u64>) -> Result<(), Self::Stop>;

    /// The workload ends here, for a process is dead that should not be.
    fn stop(&mut self) -> Self::Stop;
}

/// A kind of workload, by the word that names it on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A tree of processes that fork, store, receive, look and exit.
    Mixed,
    /// Children reach where they must not.
    Bounds,
    /// Children write to more pages than are left.
    Scarce,
}

impl Scenario {
    /// Every scenario, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Mixed, Self::Bounds, Self::Scarce];

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Bounds => "bounds",
            Self::Scarce => "scarce",
        }
    }
}

/// A workload as the command line asks for it: `SCENARIO [--operations N] [--processes N] [--pages N] [--seed N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// What is asked for.
    pub scenario: Scenario,
    /// Roughly how many orders are given.
    pub operations: u64,
    /// How many processes there are at a time, at most.
    pub processes: u8,
    /// How many pages of its heap each uses, of which it uses two words.
    pub pages: u8,
    /// The seed that everything is drawn from.
    pub seed: u64,
}

/// The most processes that a workload can have.
pub const MOST_PROCESSES: u8 = 8;

/// The most pages that it can use.
pub const MOST_PAGES: u8 = 32;

/// An argument that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadArgument<'a>(pub &'a str);

impl fmt::Display for BadArgument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no argument of a workload; SCENARIO [--operations N] [--processes 2-{MOST_PROCESSES}] \
             [--pages 1-{MOST_PAGES}] [--seed N], with one of",
            self.0
        )?;
        Scenario::ALL.iter().try_for_each(|scenario| write!(f, " {}", scenario.word()))
    }
}

/// What is stored: nothing else is, at any other time.
pub const fn content(count: u64) -> u64 {
    (count + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Workload {
    /// Reads the arguments of `forktest`, its own name left out.
    ///
    /// # Errors
    /// The first argument that is unknown, or the one whose value is missing or out of range.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, BadArgument<'a>> {
        let mut arguments = arguments.into_iter();
        let word = arguments.next().unwrap_or("");
        let scenario = Scenario::ALL.into_iter().find(|scenario| scenario.word() == word).ok_or(BadArgument(word))?;
        let mut workload = Self { scenario, operations: 500, processes: 4, pages: 4, seed: 0 };
        while let Some(name) = arguments.next() {
            let value: u64 = arguments.next().and_then(|value| value.parse().ok()).ok_or(BadArgument(name))?;
            match name {
                "--operations" => workload.operations = value,
                "--processes" if (2..=u64::from(MOST_PROCESSES)).contains(&value) => workload.processes = value as u8,
                "--pages" if (1..=u64::from(MOST_PAGES)).contains(&value) => workload.pages = value as u8,
                "--seed" => workload.seed = value,
                _ => return Err(BadArgument(name)),
            }
        }
        Ok(workload)
    }

    /// Runs it. Process 0 is there from the start, and to the end.
    ///
    /// # Errors
    /// Whatever stopped `spaces`.
    pub fn run<S: Spaces>(&self, spaces: &mut S) -> Result<(), S::Stop> {
        let parents = [None; MOST_PROCESSES as usize];
        let mut run = Run { workload: self, draw: Draw::for_client(self.seed, 0), spaces, stored: 0, parents };
        run.spaces.phase("start")?;
        run.parents[0] = Some(0);
        for word in 0..2 * self.pages {
            run.store(0, word)?;
        }
        run.look(0, Place::Text)?;
        run.spaces.count()?;
        match self.scenario {
            Scenario::Mixed => run.mixed()?,
            Scenario::Bounds => run.bounds()?,
            Scenario::Scarce => run.scarce()?,
        }
        run.spaces.phase("end")?;
        run.look_at_all(0)?;
        run.spaces.count()
    }
}

struct Run<'a, S> {
    workload: &'a Workload,
    draw: Draw,
    spaces: &'a mut S,
    stored: u64,
    /// The parent of each process that lives; the first one's is itself.
    parents: [Option<u8>; MOST_PROCESSES as usize],
}

impl<S: Spaces> Run<'_, S> {
    fn word(&mut self) -> u8 {
        self.draw.below(2 * u64::from(self.workload.pages)) as u8
    }

    fn value(&mut self) -> u64 {
        self.stored += 1;
        content(self.stored)
    }

    /// Ends the run unless the order was carried out.
    fn insist(&mut self, answer: Answer) -> Result<(), S::Stop> {
        if answer == Answer::Done { Ok(()) } else { Err(self.spaces.stop()) }
    }

    fn store(&mut self, process: u8, word: u8) -> Result<(), S::Stop> {
        let value = self.value();
        let answer = self.spaces.store(process, Place::Word(word), value)?;
        self.insist(answer)
    }

    fn receive(&mut self, process: u8, word: u8) -> Result<(), S::Stop> {
        let value = self.value();
        let answer = self.spaces.receive(process, Place::Word(word), value)?;
        self.insist(answer)
    }

    fn look(&mut self, process: u8, place: Place) -> Result<(), S::Stop> {
        let answer = self.spaces.look(process, place)?;
        self.insist(answer)
    }

    fn look_at_all(&mut self, process: u8) -> Result<(), S::Stop> {
        (0..2 * self.workload.pages).try_for_each(|word| self.look(process, Place::Word(word)))?;
        self.look(process, Place::Text)
    }

    fn fork(&mut self, parent: u8, child: u8) -> Result<(), S::Stop> {
        let answer = self.spaces.fork(parent, child, self.workload.pages)?;
        self.insist(answer)?;
        self.parents[usize::from(child)] = Some(parent);
        Ok(())
    }

    fn bury(&mut self, process: u8) -> Result<(), S::Stop> {
        let parent = self.parents[usize::from(process)].take().unwrap_or(0);
        self.spaces.wait(parent)
    }

    fn exit(&mut self, process: u8) -> Result<(), S::Stop> {
        self.spaces.exit(process)?;
        self.bury(process)
    }

    fn has_children(&self, process: u8) -> bool {
        (1..MOST_PROCESSES).any(|child| self.parents[usize::from(child)] == Some(process))
    }

    /// The first process from a drawn one on that lives.
    fn living(&mut self) -> u8 {
        let processes = self.workload.processes;
        let mut process = self.draw.below(u64::from(processes)) as u8;
        while self.parents[usize::from(process)].is_none() {
            process = (process + 1) % processes;
        }
        process
    }

    fn mixed(&mut self) -> Result<(), S::Stop> {
        for round in 0..4 {
            self.spaces.phase("tree")?;
            for _ in 0..self.workload.operations / 4 {
                let process = self.living();
                let vacant = (1..self.workload.processes).find(|&process| self.parents[usize::from(process)].is_none());
                match (self.draw.below(16), vacant) {
                    (0..=2, Some(child)) => self.fork(process, child)?,
                    (3, _) if process != 0 && !self.has_children(process) => {
                        self.look_at_all(process)?;
                        self.exit(process)?;
                    }
                    (4..=7, _) => {
                        let word = self.word();
                        self.store(process, word)?;
                    }
                    (8..=11, _) => {
                        let word = self.word();
                        self.receive(process, word)?;
                    }
                    _ => {
                        let word = self.word();
                        self.look(process, Place::Word(word))?;
                    }
                }
            }
            self.spaces.phase("dismantled")?;
            while let Some(leaf) = (1..self.workload.processes)
                .find(|&process| self.parents[usize::from(process)].is_some() && !self.has_children(process))
            {
                self.look_at_all(leaf)?;
                self.exit(leaf)?;
            }
            if round < 3 {
                self.spaces.count()?;
            }
        }
        Ok(())
    }

    fn bounds(&mut self) -> Result<(), S::Stop> {
        for _ in 0..self.workload.operations / 100 {
            for place in Place::FORBIDDEN {
                for by_kernel in [false, true] {
                    self.spaces.phase("child")?;
                    self.fork(0, 1)?;
                    let word = self.word();
                    self.store(1, word)?;
                    self.spaces.phase("out of bounds")?;
                    let value = self.value();
                    let answer = if by_kernel {
                        self.spaces.receive(1, place, value)?
                    } else {
                        self.spaces.store(1, place, value)?
                    };
                    if answer != Answer::Died {
                        self.spaces.phase("child")?;
                        self.look(1, Place::Word(word))?;
                        self.look(1, Place::Text)?;
                        self.spaces.exit(1)?;
                    }
                    self.spaces.phase("parent")?;
                    self.bury(1)?;
                    self.look(0, Place::Word(word))?;
                    self.look(0, Place::Text)?;
                }
            }
        }
        Ok(())
    }

    fn scarce(&mut self) -> Result<(), S::Stop> {
        let pages = self.workload.pages;
        for _ in 0..self.workload.operations / (4 * u64::from(pages) + 4) {
            self.spaces.phase("child")?;
            self.fork(0, 1)?;
            self.spaces.phase("few pages left")?;
            let left = self.draw.below(u64::from(pages) + 3);
            self.spaces.leave(Some(left))?;
            let mut is_alive = true;
            for page in 0..pages {
                let value = self.value();
                let place = Place::Word(2 * page);
                let by_kernel = self.draw.below(3) == 0;
                let answer = if by_kernel {
                    self.spaces.receive(1, place, value)?
                } else {
                    self.spaces.store(1, place, value)?
                };
                is_alive = answer != Answer::Died;
                if !is_alive {
                    break;
                }
            }
            self.spaces.phase("pages again")?;
            self.spaces.leave(None)?;
            if is_alive {
                self.look_at_all(1)?;
                self.spaces.exit(1)?;
            }
            self.bury(1)?;
            self.look_at_all(0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{vec, vec::Vec};

    /// Writes down what is asked, and sees that nobody is asked who is not there.
    #[derive(Default)]
    struct Log {
        living: Vec<u8>,
        zombies: usize,
        asked: Vec<(u8, u8, u64)>,
        kills: bool,
    }

    impl Log {
        fn order(&mut self, letter: u8, process: u8, place: u64) {
            assert!(
                self.living.contains(&process),
                "{} to {process}, who is none of {:?}",
                letter as char,
                self.living
            );
            self.asked.push((letter, process, place));
        }

        fn reach(&mut self, letter: u8, process: u8, place: Place) -> Answer {
            self.order(letter, process, place.number());
            if !self.kills || matches!(place, Place::Word(_)) {
                return Answer::Done;
            }
            self.die(process);
            Answer::Died
        }

        fn die(&mut self, process: u8) {
            self.living.retain(|&each| each != process);
            self.zombies += 1;
        }
    }

    impl Spaces for Log {
        type Stop = &'static str;
        fn phase(&mut self, _: &'static str) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn fork(&mut self, parent: u8, child: u8, _: u8) -> Result<Answer, Self::Stop> {
            self.order(b'f', parent, child.into());
            assert!(!self.living.contains(&child) && child < MOST_PROCESSES);
            self.living.push(child);
            Ok(Answer::Done)
        }
        fn store(&mut self, process: u8, place: Place, _: u64) -> Result<Answer, Self::Stop> {
            Ok(self.reach(b's', process, place))
        }
        fn receive(&mut self, process: u8, place: Place, _: u64) -> Result<Answer, Self::Stop> {
            Ok(self.reach(b'r', process, place))
        }
        fn look(&mut self, process: u8, place: Place) -> Result<Answer, Self::Stop> {
            self.order(b'l', process, place.number());
            Ok(Answer::Done)
        }
        fn exit(&mut self, process: u8) -> Result<(), Self::Stop> {
            self.order(b'x', process, 0);
            self.die(process);
            Ok(())
        }
        fn wait(&mut self, parent: u8) -> Result<(), Self::Stop> {
            self.order(b'w', parent, 0);
            self.zombies -= 1;
            Ok(())
        }
        fn count(&mut self) -> Result<(), Self::Stop> {
            assert_eq!((&self.living, self.zombies), (&vec![0], 0), "pages are counted while others have some");
            Ok(())
        }
        fn leave(&mut self, _: Option<u64>) -> Result<(), Self::Stop> {
            Ok(())
        }
        fn stop(&mut self) -> Self::Stop {
            "stopped"
        }
    }

    fn run(workload: Workload, kills: bool) -> Vec<(u8, u8, u64)> {
        let mut log = Log { living: vec![0], kills, ..Log::default() };
        workload.run(&mut log).unwrap();
        log.asked
    }

    #[test]
    fn every_scenario_ends_with_one_process_and_repeats_itself_for_the_same_seed_only() {
        for scenario in Scenario::ALL {
            let workload = Workload { scenario, operations: 400, processes: 5, pages: 6, seed: 7 };
            assert!(!run(workload, true).is_empty());
            assert_eq!(run(workload, false), run(workload, false));
            assert_ne!(run(workload, false), run(Workload { seed: 8, ..workload }, false), "{scenario:?}");
        }
    }

    #[test]
    fn every_place_out_of_bounds_is_reached_by_the_process_and_by_the_kernel() {
        let asked = run(Workload::parse("bounds --operations 100".split_whitespace()).unwrap(), true);
        for place in Place::FORBIDDEN {
            assert!(asked.contains(&(b's', 1, place.number())) && asked.contains(&(b'r', 1, place.number())));
            assert_eq!(Place::from_number(place.number()), Some(place));
        }
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_named() {
        let workload = Workload::parse("scarce --operations 10 --processes 3 --pages 9 --seed 5".split_whitespace());
        let due = Workload { scenario: Scenario::Scarce, operations: 10, processes: 3, pages: 9, seed: 5 };
        assert_eq!(workload, Ok(due));
        for (text, wrong) in [("", ""), ("mixed --processes 9", "--processes"), ("mixed --pages 0", "--pages")] {
            assert_eq!(Workload::parse(text.split_whitespace()), Err(BadArgument(wrong)));
        }
    }
}
