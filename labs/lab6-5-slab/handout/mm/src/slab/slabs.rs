//! One slab: pages cut into objects, and the account of which of them are free; and lists of slabs.
//!
//! To do.
