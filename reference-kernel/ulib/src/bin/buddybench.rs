//! Drives the lab's page allocator with what its throughput is measured on: `buddybench [--operations N] [--seed N]`.
//!
//! The figures are in the trace; this prints none of its own.

#![no_std]
#![no_main]

use abi::workload::{Scenario, Workload};
use ulib::{Arguments, allocator_test, println};

ulib::program!(main);

fn main(arguments: Arguments) -> i64 {
    let word = Scenario::Bench.word();
    // The word may be said or left out.
    let rest = arguments.iter().skip(1).skip_while(|argument| *argument == word);
    match Workload::parse([word].into_iter().chain(rest)) {
        Ok(workload) => allocator_test::run(&workload),
        Err(error) => {
            println!("buddybench: {error}");
            2
        }
    }
}
