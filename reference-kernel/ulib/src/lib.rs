//! What programs are written with: system calls, printing, arguments, and the way in and out.

#![no_std]

pub mod allocator_test;
pub mod arguments;
pub mod call;
mod entry;
pub mod ktap;
pub mod list_test;
pub mod mutex;
pub mod object_test;
pub mod print;
pub mod thread;

pub use arguments::Arguments;

/// Loops for ever. Without the instruction that hints at it: QEMU takes that one for a reason to pause.
pub fn spin() -> ! {
    loop {
        core::hint::black_box(());
    }
}
