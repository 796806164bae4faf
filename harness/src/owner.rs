//! Whose fault something is, which decides what it costs and how the command exits.

use serde::{Deserialize, Serialize};

/// Who has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// Whoever wrote the submission: it costs points.
    Submission,
    /// Whoever typed the command or wrote the lab: nothing is graded.
    Caller,
    /// Us, or the machine that we run on: never costs points, and may be tried again.
    Harness,
}

impl Owner {
    /// The exit code of `grader` that names this owner.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Submission => 1,
            Self::Caller => 2,
            Self::Harness => 3,
        }
    }
}
