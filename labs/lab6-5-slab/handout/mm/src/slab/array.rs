//! The objects that one hart has at hand: the last one in is the first one out.
//!
//! To do.
