//! From the bytes of a serial line to records, results of the guest's own checks, and console text.

pub mod framer;
pub mod ktap;
pub mod reading;
pub mod record;
