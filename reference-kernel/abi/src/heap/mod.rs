//! Requests to the heap of a program, and the workloads that test programs draw from a seed.
//!
//! A workload depends on nothing but its seed, so the host draws the very same requests again and knows what must
//! have been asked. Blocks go by numbers: a block is numbered when it is first asked for, and never asked for again.

pub mod record;
pub mod rep;
pub mod shapes;
pub mod workload;

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// `umalloc(size)`; what comes back is block `id` from now on.
    Allocate {
        /// The block.
        id: u32,
        /// Bytes asked for.
        size: u64,
    },
    /// `umalloc_aligned(size, alignment)`
    Aligned {
        /// The block.
        id: u32,
        /// Bytes asked for.
        size: u64,
        /// A power of two.
        alignment: u64,
    },
    /// `urealloc(block, size)`; what comes back is block `id` from now on.
    Reallocate {
        /// The block; the null pointer if it is not there.
        id: u32,
        /// Bytes asked for.
        size: u64,
    },
    /// `ufree(block)`
    Free {
        /// The block; the null pointer if it is not there.
        id: u32,
    },
    /// `umalloc_trim()`
    Trim,
    /// `Pool::create(size, count)`: the pool that the requests after it are for.
    Create {
        /// Bytes of an object.
        size: u64,
        /// The most objects that are taken at a time.
        count: u64,
    },
    /// `take()`; what comes back is block `id` from now on.
    Take {
        /// The block.
        id: u32,
    },
    /// `give(block)`
    Give {
        /// The block, which is there.
        id: u32,
    },
    /// `destroy()`
    Destroy,
}

/// What must hold for the requests of a phase, beside what always must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing in particular.
    Nothing,
    /// What is asked for was there before and is free again: the heap does not grow.
    NoGrowth,
    /// Nothing is handed out, and the heap stays as it is: nothing was asked for, or more than there can be.
    Null,
    /// Memory runs out, so requests may be refused.
    Scarcity,
}

/// Whom a workload asks: the heap in the guest, a list of requests on the host.
pub trait Client {
    /// Why the workload cannot go on.
    type Stop;

    /// The requests from here on belong to the phase of that name.
    ///
    /// # Errors
    /// When the workload must stop.
    fn phase(&mut self, name: &'static str, expect: Expect) -> Result<(), Self::Stop>;

    /// Makes a request.
    ///
    /// # Errors
    /// When the workload must stop.
    fn request(&mut self, request: Request) -> Result<(), Self::Stop>;
}
