//! Drives page lists that all harts share with a workload: `kmemtest SCENARIO [--operations N] [--clients N] …`.

#![no_std]
#![no_main]

use abi::list_workload::Workload;
use ulib::{Arguments, list_test, println};

ulib::program!(main);

fn main(arguments: Arguments) -> i64 {
    match Workload::parse(arguments.iter().skip(1)) {
        Ok(workload) => list_test::run(&workload),
        Err(error) => {
            println!("kmemtest: {error}");
            2
        }
    }
}
