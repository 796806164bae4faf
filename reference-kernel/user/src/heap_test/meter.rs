//! Counting the instructions of a call.

use core::arch::asm;

use abi::mark::Meter::Heap;

/// What can be counted: a function of two words that answers one.
pub type Function = extern "C" fn(usize, usize) -> usize;

/// Counts instructions, less those that a call takes that does nothing.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    nothing: u64,
}

impl Meter {
    /// A meter that knows what nothing takes.
    pub fn calibrated() -> Self {
        extern "C" fn nothing(first: usize, _: usize) -> usize {
            first
        }
        let nothing = call(nothing, 0, 0).1;
        abi::grader_mark!(Heap.calibrated());
        Self { nothing }
    }

    /// Calls; answers what that answered, and the instructions that it took.
    pub fn count(&self, function: Function, first: usize, second: usize) -> (usize, u64) {
        let (answer, instructions) = call(function, first, second);
        (answer, instructions.saturating_sub(self.nothing))
    }
}

/// Between the two looks at the counter lies the call, and nothing that the compiler thinks could lie there as well.
fn call(function: Function, first: usize, second: usize) -> (usize, u64) {
    let (answer, before, after): (usize, u64, u64);
    // SAFETY: it is a call as the calling convention has it. What the function does is its own business.
    unsafe {
        asm!(
            "2: rdinstret s2",
            "jalr {function}",
            "3: rdinstret s3",
            ".pushsection .grader_marks, \"\", @progbits",
            ".dword 2b, {begin}",
            ".dword 3b, {end}",
            ".popsection",
            begin = const Heap.begin(),
            end = const Heap.end(),
            function = in(reg) function as usize,
            inlateout("a0") first => answer,
            inlateout("a1") second => _,
            lateout("s2") before,
            lateout("s3") after,
            clobber_abi("C"),
        );
    }
    (answer, after - before)
}
