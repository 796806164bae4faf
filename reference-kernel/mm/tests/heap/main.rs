//! The heap of programs (`user/src/umalloc/heap.rs`), which knows no system call and so runs here as well, held against
//! a list of blocks. Under Miri too, in smaller numbers:
//! `MIRIFLAGS=-Zmiri-strict-provenance cargo +nightly miri test -p mm --test heap`.

#[path = "../../../user/src/umalloc/heap.rs"]
mod heap;
#[path = "../../../user/src/umalloc/lists.rs"]
mod lists;

mod checked;

use abi::draw::Draw;
use abi::heap::workload::{Part, Scenario, Workload};
use abi::heap::{Client, Expect, Request};

use checked::Checked;

/// Numbers that are drawn again and again: few and small ones under Miri, which is some hundred times slower.
const CASES: u64 = if cfg!(miri) { 2 } else { 60 };
const REQUESTS: u64 = if cfg!(miri) { 80 } else { 4000 };

fn any_size(draw: &mut Draw) -> usize {
    let scale = draw.below(if cfg!(miri) { 8 } else { 14 });
    1 + draw.below(2 << scale) as usize
}

#[test]
fn any_requests_are_answered_with_blocks_of_ones_own_and_everything_merges_in_the_end() {
    for seed in 0..CASES {
        let mut draw = Draw::new(seed);
        let mut heap = Checked::new(16 << 20);
        for _ in 0..REQUESTS {
            let size = any_size(&mut draw);
            match draw.below(16) {
                0..6 => heap.allocate(size),
                6 | 7 => heap.aligned(size, 16 << draw.below(8)),
                8..11 => heap.reallocate(draw.next(), size),
                11 if draw.below(20) == 0 => heap.trim(),
                _ => heap.free(draw.next()),
            }
        }
        let total = heap.free_all();
        heap.allocate_without_growth(total);
    }
}

#[test]
fn memory_that_somebody_else_took_in_between_is_left_alone() {
    for seed in 0..CASES {
        let mut draw = Draw::new(seed);
        let mut heap = Checked::new(16 << 20);
        for _ in 0..REQUESTS / 4 {
            match draw.below(8) {
                0 => heap.somebody_else_grows(16 * (1 + draw.below(100) as usize)),
                1..5 => {
                    let size = any_size(&mut draw);
                    heap.allocate(size);
                }
                5 => heap.trim(),
                _ => heap.free(draw.next()),
            }
        }
        heap.free_all();
    }
}

#[test]
fn without_memory_the_answer_is_null_and_nothing_is_lost() {
    let limit = if cfg!(miri) { 1 << 13 } else { 1 << 16 };
    let mut heap = Checked::new(limit);
    for part in [3, 16, 64, 128, 640, 4096] {
        while heap.try_allocate(limit / part) {}
    }
    heap.reallocate_in_vain(limit / 2);
    let total = heap.free_all();
    heap.allocate_without_growth(total);
}

#[test]
fn impossible_sizes_are_null() {
    let mut heap = Checked::new(1 << 16);
    for size in [0, usize::MAX, usize::MAX - 7, usize::MAX - 15, usize::MAX - 16, 1 << 63, 1 << 47] {
        assert!(!heap.try_allocate(size), "{size}");
    }
}

/// Makes the requests of a workload.
struct Driven(Checked);

impl Client for Driven {
    type Stop = std::convert::Infallible;

    fn phase(&mut self, _: &'static str, _: Expect) -> Result<(), Self::Stop> {
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), Self::Stop> {
        let heap = &mut self.0;
        match request {
            Request::Allocate { id, size } => heap.allocate_as(id, size as usize, 16),
            Request::Aligned { id, size, alignment } => heap.allocate_as(id, size as usize, alignment as usize),
            Request::Reallocate { id, size } => heap.reallocate_as(id, size as usize),
            Request::Free { id } => heap.free_as(id),
            Request::Trim => heap.trim(),
            Request::Create { .. } | Request::Take { .. } | Request::Give { .. } | Request::Destroy => {}
        }
        Ok(())
    }
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn the_workloads_that_are_graded_leave_every_block_intact() {
    for scenario in Scenario::ALL {
        let workload = Workload { scenario, operations: 3000, clients: 1, seed: 7 };
        for part in workload.parts() {
            let mut driven = Driven(Checked::new(4 << 20));
            workload.run(part, 0, &mut driven);
            driven.0.check_all();
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn heaps_of_the_traces_are_not_much_larger_than_what_is_in_them() {
    let workload = Workload { scenario: Scenario::Traces, operations: 1, clients: 1, seed: 5 };
    let utilisation = |part: Part| {
        let mut driven = Driven(Checked::new(4 << 20));
        workload.run(part, 0, &mut driven);
        let (peak, heap) = driven.0.peaks();
        println!("{:>10} {:5.1} %", part.word(), 100.0 * peak as f64 / heap as f64);
        peak as f64 / heap as f64
    };
    let sum: f64 = workload.parts().map(utilisation).sum();
    // Half is where points begin; `--nocapture` shows how much more it is.
    assert!(sum / workload.parts().count() as f64 > 0.5, "{sum}");
}
