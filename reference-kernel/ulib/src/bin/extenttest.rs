//! Drives the lab's page allocator with requests for any number of pages: `extenttest SCENARIO [--operations N]
//! [--clients N] …`.

#![no_std]
#![no_main]

use abi::workload::Workload;
use ulib::{Arguments, allocator_test, println};

ulib::program!(main);

fn main(arguments: Arguments) -> i64 {
    match Workload::parse(arguments.iter().skip(1)) {
        Ok(workload) => allocator_test::run(&workload),
        Err(error) => {
            println!("extenttest: {error}");
            2
        }
    }
}
