//! How a slab is laid out: how many pages, how many objects, where its management goes.
//!
//! To do. Nothing here need touch memory, so it is the easiest part to test by itself.
