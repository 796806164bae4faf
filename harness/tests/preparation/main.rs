//! From nothing to an image on disk, on a small course that the tests make.

mod build;
mod confinement;
mod console_file;
mod damaged;
mod fake;
mod git;
mod hostile_trees;
mod lab_file;
mod submission;
mod thousand;
