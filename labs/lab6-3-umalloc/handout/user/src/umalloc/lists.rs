//! A place of its own for what `heap.rs` can do without knowing: headers, lists of free blocks. Leave it empty if you
//! need none.
