//! Says hello, and what it was told.

#![no_std]
#![no_main]

use ulib::{Arguments, println};

ulib::program!(main);

fn main(arguments: Arguments) -> i64 {
    let mut rest = arguments.iter().skip(1);
    match rest.next() {
        None => println!("hello"),
        Some(name) => println!("hello, {name}"),
    }
    0
}
