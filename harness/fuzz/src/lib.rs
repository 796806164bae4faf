//! What must hold of everything that reads what a submission, an author or a damaged disk can have written; one target
//! of `cargo fuzz` for each reader. The harness's tests check the same properties without a fuzzer.

pub mod properties;
