//! A program's arguments.

use core::{slice, str};

/// What stood on the command line, the program's own name first.
#[derive(Debug, Clone, Copy)]
pub struct Arguments {
    pairs: &'static [[usize; 2]],
}

impl Arguments {
    /// The arguments as the kernel leaves them: pairs of address and length.
    ///
    /// # Safety
    /// They are the values that the kernel started the program with.
    pub unsafe fn new(count: usize, pairs: *const [usize; 2]) -> Self {
        // SAFETY: so the kernel promises.
        Self { pairs: unsafe { slice::from_raw_parts(pairs, count) } }
    }

    /// All of them; one that is no UTF-8 is empty.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        self.pairs.iter().map(|&[start, length]| {
            // SAFETY: so the kernel promises; nobody writes there.
            let bytes = unsafe { slice::from_raw_parts(core::ptr::with_exposed_provenance(start), length) };
            str::from_utf8(bytes).unwrap_or("")
        })
    }
}
