//! One object cache: arrays of objects at hand of each hart, and the slabs behind them.
//!
//! To do.
