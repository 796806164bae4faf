//! The workloads that the lab's test programs run, over memory like the lab's arena.

use abi::page::PageError;
use abi::workload::{Held, MOST_HELD, Pages, Scenario, Workload};
use mm::page::PageAllocator;
use mm::page::bestfit::BestFit;
use mm::page::buddy::Buddy;
use mm::page::trusted::TrustedList;

use crate::checked::{Checked, Judged};
use crate::ground::Bank;
use crate::model::Algorithm;

struct Driven<A>(Checked<A>);

impl<A: PageAllocator> Pages for Driven<A> {
    type Stop = String;

    fn phase(&mut self, _: &'static str) -> Judged<()> {
        Ok(())
    }

    fn allocate(&mut self, pages: u64) -> Judged<Result<u64, PageError>> {
        Ok(self.0.allocate(pages as usize)?.map(|address| address as u64))
    }

    fn free(&mut self, address: u64, pages: u64) -> Judged<Result<(), PageError>> {
        self.0.free(address as usize, pages as usize)
    }

    fn statistics(&mut self) -> Judged<()> {
        self.0.statistics()
    }
}

/// The scenarios of an algorithm's lab that do not make a thousand requests however little memory there is.
fn brief(algorithm: Algorithm) -> &'static [Scenario] {
    match algorithm {
        Algorithm::BestFit => &[Scenario::Sizes, Scenario::Mistakes],
        _ => &[Scenario::Mixed, Scenario::Exhaust, Scenario::Fragment, Scenario::WrongFrees],
    }
}

fn drive<A: PageAllocator>(new: impl Fn() -> A, algorithm: Algorithm) {
    let (banks, operations, room) = if cfg!(miri) {
        ([Bank::of(18, 3), Bank { skew: 17, lengths: vec![6, 9] }], 60, 64)
    } else {
        ([Bank::of(4099, 3), Bank { skew: 17, lengths: vec![1500, 301] }], 4000, MOST_HELD)
    };
    let clients = if cfg!(miri) { 1 } else { 4 };
    for scenario in Scenario::ALL {
        if cfg!(miri) && !brief(algorithm).contains(&scenario) {
            continue;
        }
        for client in 0..clients {
            let workload =
                Workload { scenario, operations, clients, hold: u64::MAX, keep: 0, seed: 2, uncounted: false };
            let run = || {
                let mut driven = Driven(Checked::new(new(), algorithm, &banks)?);
                workload.run(client, &mut driven, &mut vec![Held::default(); room])?;
                driven.0.finish()
            };
            run().unwrap_or_else(|complaint| panic!("{scenario:?}, client {client}: {complaint}"));
        }
    }
}

#[test]
fn a_buddy_allocator_answers_every_workload_of_the_lab_as_it_must() {
    drive(Buddy::new, Algorithm::Buddy);
}

#[test]
#[cfg_attr(miri, ignore = "the properties reach all that Miri could object to")]
fn a_trusted_list_answers_every_workload_of_the_lab_as_it_must() {
    drive(TrustedList::new, Algorithm::List);
}

#[test]
fn a_best_fit_allocator_answers_every_workload_of_the_lab_as_it_must() {
    drive(BestFit::new, Algorithm::BestFit);
}
