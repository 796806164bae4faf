//! Whether a trace holds exactly the requests that its workloads make: all of them, in order, and no others.
//!
//! The workload is drawn again from its seed, with the trace's own answers; a trace that was made up, cut off,
//! or recorded with another seed departs from it.

use abi::page::{KERNEL_CLIENT, PageError};
use abi::workload::{Held, MOST_HELD, Pages, Workload};

use crate::trace::{OpIndex, Operation, What};

/// How a trace and its workloads differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// A client's operation is not the one that its workload makes there.
    Other {
        /// The operation.
        at: OpIndex,
        /// The client.
        client: u8,
        /// What the workload asks there.
        due: Request,
    },
    /// A client's operations end before its workload does.
    Missing {
        /// The client.
        client: u8,
        /// How many operations it made.
        made: usize,
        /// The phase that it was in.
        phase: &'static str,
    },
    /// Operations follow that no workload makes.
    Surplus {
        /// The first of them.
        at: OpIndex,
        /// The client that they claim to be from.
        client: u8,
    },
}

/// What a workload asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// So many pages.
    Allocate(u64),
    /// That address and number of pages given back.
    Free(u64, u64),
    /// Statistics.
    Statistics,
}

/// A trace beside its workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The phase of each operation; empty for the kernel's own and for those that no workload makes.
    pub phases: Vec<&'static str>,
    /// Where they differ, one a client at most, and the surplus.
    pub departures: Vec<Departure>,
}

/// Draws the workloads again, one after the other as the script ran them, and compares.
pub fn compare(workloads: &[Workload], operations: &[Operation]) -> Comparison {
    let mut comparison = Comparison { phases: vec![""; operations.len()], departures: Vec::new() };
    let mut by_client = vec![Vec::new(); usize::from(KERNEL_CLIENT) + 1];
    for (at, operation) in operations.iter().enumerate() {
        by_client[usize::from(operation.client)].push(at);
    }
    let mut room = vec![Held::default(); MOST_HELD];
    for (client, indices) in (0u8..).zip(&by_client).take(usize::from(KERNEL_CLIENT)) {
        let mut replay = Replay { operations, left: indices, made: 0, phase: "start", comparison: &mut comparison };
        let due = workloads.iter().filter(|workload| client < workload.clients);
        let departure = due.map(|workload| workload.run(client, &mut replay, &mut room)).find_map(Result::err);
        let departure = departure.map(|stop| match stop {
            Stop::End => Departure::Missing { client, made: replay.made, phase: replay.phase },
            Stop::Other { at, due } => Departure::Other { at, client, due },
        });
        let surplus = replay.left.first().map(|&at| Departure::Surplus { at, client });
        comparison.departures.extend(departure.or(surplus));
    }
    comparison
}

/// One client's part of a trace, answering its workload from what is recorded.
struct Replay<'a> {
    operations: &'a [Operation],
    left: &'a [OpIndex],
    made: usize,
    phase: &'static str,
    comparison: &'a mut Comparison,
}

enum Stop {
    End,
    Other { at: OpIndex, due: Request },
}

impl Replay<'_> {
    /// The next recorded operation, when it is the one that is due.
    fn next<T>(&mut self, due: Request, answer: impl FnOnce(&What) -> Option<T>) -> Result<T, Stop> {
        let (&at, left) = self.left.split_first().ok_or(Stop::End)?;
        let answer = answer(&self.operations[at].what).ok_or(Stop::Other { at, due })?;
        self.comparison.phases[at] = self.phase;
        self.left = left;
        self.made += 1;
        Ok(answer)
    }
}

impl Pages for Replay<'_> {
    type Stop = Stop;

    fn phase(&mut self, name: &'static str) -> Result<(), Stop> {
        self.phase = name;
        Ok(())
    }

    fn allocate(&mut self, due: u64) -> Result<Result<u64, PageError>, Stop> {
        self.next(Request::Allocate(due), |what| match what {
            What::Allocate { pages, answer } if *pages == due => Some(*answer),
            _ => None,
        })
    }

    fn free(&mut self, due: u64, due_pages: u64) -> Result<Result<(), PageError>, Stop> {
        self.next(Request::Free(due, due_pages), |what| match what {
            What::Free { address, pages, answer } if *address == due && *pages == due_pages => Some(*answer),
            _ => None,
        })
    }

    fn statistics(&mut self) -> Result<(), Stop> {
        self.next(Request::Statistics, |what| matches!(what, What::Statistics(_)).then_some(()))
    }
}
