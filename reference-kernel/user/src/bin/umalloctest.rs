//! Drives the heap of this library with a workload: `umalloctest SCENARIO [--operations N] [--clients N] [--seed N]`,
//! or with the requests of a file, `traces/NAME.rep` in the initrd: `umalloctest replay NAME`.

#![no_std]
#![no_main]

use abi::heap::workload::Workload;
use user::{Arguments, heap_test, println};

user::program!(main);

fn main(arguments: Arguments) -> i64 {
    if arguments.iter().nth(1) == Some("replay") {
        return heap_test::replay(arguments.iter().nth(2).unwrap_or(""));
    }
    match Workload::parse(arguments.iter().skip(1)) {
        Ok(workload) => heap_test::run(&workload),
        Err(error) => {
            println!("umalloctest: {error}");
            2
        }
    }
}
