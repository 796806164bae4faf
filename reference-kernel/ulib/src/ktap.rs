//! Results of tests, as lines of the Kernel Test Anything Protocol, version 1 (Linux,
//! Documentation/dev-tools/ktap.rst).

use core::fmt;

use abi::mark;

use crate::println;

/// A run of tests, in order.
#[derive(Debug)]
pub struct Report {
    planned: usize,
    done: usize,
    failed: usize,
}

impl Report {
    /// Announces so many tests.
    pub fn begin(planned: usize) -> Self {
        println!("KTAP version 1");
        println!("1..{planned}");
        Self { planned, done: 0, failed: 0 }
    }

    /// Reports the next test: it passed, or why not.
    pub fn result(&mut self, name: impl fmt::Display, result: Result<(), impl fmt::Display>) {
        self.done += 1;
        match result {
            Ok(()) => {
                abi::grader_mark!(mark::PASSED);
                println!("ok {} {name}", self.done);
            }
            Err(why) => {
                abi::grader_mark!(mark::FAILED);
                self.failed += 1;
                println!("not ok {} {name} # {why}", self.done);
            }
        }
    }

    /// The status that a program with these tests ends with: 0 if all passed.
    pub fn status(&self) -> i64 {
        i64::from(self.failed > 0 || self.done != self.planned)
    }
}
