//! What the kernel stands on: whatever hands out pages and objects, which is what labs are about.
//!
//! It is not in this crate, but in `kernel`, which depends on this one. So a build compiles what hands out memory with
//! a submission's files in it, and nothing of this again.

use core::{ops::Range, ptr::NonNull};

use abi::{boot::Options, syscall::Syscall};

use crate::{console::Console, memory_map::MemoryMap, process::Process, syscall::Code};

/// The most regions that the arena can have.
pub const MAX_REGIONS: usize = 8;

/// All that hands out memory in a kernel, with what is noted of it.
pub trait Memory: Sync {
    /// The boot options that hold unless others are said.
    fn default_options(&self) -> Options;

    /// Shares out the memory that is left in the map, and has the heap work from here on; says in a record what is
    /// traced. Answers the arena's regions, empty ones after them, which have a page to either side that is nobody's.
    ///
    /// # Panics
    /// When there is no room for what the options ask for.
    fn set_up(&self, map: &mut MemoryMap, options: &Options) -> [Range<usize>; MAX_REGIONS];

    /// A page for the kernel itself, or nothing when there is none.
    fn allocate_page(&self) -> Option<usize>;

    /// Takes a page of the kernel's own back.
    fn free_page(&self, page: NonNull<u8>);

    /// Serves one of the system calls through which test programs drive what hands out memory.
    ///
    /// # Errors
    /// Those of the call.
    fn serve(&self, process: &mut Process, call: Syscall, arguments: [usize; 4]) -> Result<usize, Code>;

    /// Prints what is left of traces.
    ///
    /// # Safety
    /// The machine is about to stop, and no other hart runs any more.
    unsafe fn print_rest(&self, console: &mut Console);

    /// Prints how locks that count were used.
    fn print_locks(&self, console: &mut Console);
}

unsafe extern "Rust" {
    safe fn kernel_memory() -> &'static dyn Memory;
}

/// This kernel's.
#[inline]
pub fn the() -> &'static dyn Memory {
    kernel_memory()
}
