//! Where a program begins, and what happens when it panics.

use core::{arch::naked_asm, panic::PanicInfo};

use crate::{call, println};

/// The status of a program that panicked, as of one in Rust everywhere.
pub const PANICKED: i64 = 101;

/// Names the function that a program begins with, `fn(Arguments) -> i64`, whose answer is the program's status.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn program(count: usize, pairs: *const [usize; 2]) -> ! {
            // SAFETY: these are the values that the kernel started the program with.
            let arguments = unsafe { $crate::Arguments::new(count, pairs) };
            $crate::call::exit($main(arguments))
        }
    };
}

/// The kernel leaves the number of arguments in `a0` and where they are in `a1`, on a stack that is ready.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.start")]
extern "C" fn _start() -> ! {
    naked_asm!("li fp, 0", "call program", "unimp")
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(location) => println!("panic at {}:{}: {}", location.file(), location.line(), info.message()),
        None => println!("panic: {}", info.message()),
    }
    call::exit(PANICKED)
}
