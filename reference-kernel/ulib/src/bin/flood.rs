//! Prints for ever.

#![no_std]
#![no_main]

use ulib::{Arguments, println};

ulib::program!(main);

fn main(_: Arguments) -> i64 {
    for line in 0u64.. {
        println!("flood: this is line {line}, and there will be another");
    }
    0
}
