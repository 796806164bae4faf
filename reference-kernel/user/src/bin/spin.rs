//! Loops for ever, in silence.

#![no_std]
#![no_main]

use user::Arguments;

user::program!(main);

fn main(_: Arguments) -> i64 {
    user::spin()
}
