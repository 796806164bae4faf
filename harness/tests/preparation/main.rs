//! From nothing to an image on disk, on a small course that the tests make.

mod fake;
mod lab_file;
