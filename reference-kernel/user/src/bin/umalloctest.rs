//! Drives the heap of this library with a workload: `umalloctest SCENARIO [--operations N] [--clients N] [--seed N]`.

#![no_std]
#![no_main]

use abi::heap::workload::Workload;
use user::{Arguments, heap_test, println};

user::program!(main);

fn main(arguments: Arguments) -> i64 {
    match Workload::parse(arguments.iter().skip(1)) {
        Ok(workload) => heap_test::run(&workload),
        Err(error) => {
            println!("umalloctest: {error}");
            2
        }
    }
}
