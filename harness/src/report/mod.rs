//! A grade in the forms that people and their tools read; each form a file of its own.

pub mod json;
pub mod junit;
pub mod live;
pub mod map;
pub mod safe;
mod table;
pub mod terminal;
