//! Drives the lab's object caches with a workload: `slabtest SCENARIO [--operations N] [--clients N] [--seed N]`.

#![no_std]
#![no_main]

use abi::object_workload::Workload;
use ulib::{Arguments, object_test, println};

ulib::program!(main);

fn main(arguments: Arguments) -> i64 {
    match Workload::parse(arguments.iter().skip(1)) {
        Ok(workload) => object_test::run(&workload),
        Err(error) => {
            println!("slabtest: {error}");
            2
        }
    }
}
