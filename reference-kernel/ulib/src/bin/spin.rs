//! Loops for ever, in silence.

#![no_std]
#![no_main]

use ulib::Arguments;

ulib::program!(main);

fn main(_: Arguments) -> i64 {
    ulib::spin()
}
