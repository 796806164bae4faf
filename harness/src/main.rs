//! The `grader` command; everything that it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    grader::cli::main()
}
