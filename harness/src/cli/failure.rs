//! Why a command could not be done, with its owner and what helps.

use std::error::Error;
use std::io;

use crate::owner::Owner;

/// Why a command could not be done.
#[derive(Debug)]
pub struct Failure {
    /// Who has to do something about it.
    pub owner: Owner,
    /// What happened: reads on from "failed to".
    pub error: Box<dyn Error + Send + Sync>,
    /// What to do next.
    pub help: Option<String>,
}

impl Failure {
    /// One of ours.
    pub fn harness(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { owner: Owner::Harness, error: error.into(), help: None }
    }

    /// One of whoever typed the command.
    pub fn caller(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { owner: Owner::Caller, error: error.into(), help: None }
    }

    /// The same, with advice.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The current folder was deleted, or cannot be read.
    pub fn no_current_folder(cause: io::Error) -> Self {
        Self::harness(format!("find the current folder: {cause}"))
    }
}

/// Failures that know their owner by themselves.
macro_rules! owned {
    ($($error:ty => $owner:expr),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let owner: fn(&$error) -> Owner = $owner;
                Self { owner: owner(&error), error: Box::new(error), help: None }
            }
        }
    )*};
}

owned! {
    crate::cache::CacheError => |_| crate::cache::CacheError::OWNER,
    crate::base_tree::BaseTreeError => |error| error.owner(),
    crate::course::CourseError => |error| error.owner(),
    crate::gradebook::GradebookError => |error| error.owner(),
    crate::handout::HandoutError => |error| error.owner(),
    crate::submission::SubmissionError => |error| error.owner(),
    crate::image::BuildError => |_| Owner::Harness,
    crate::report::json::ReadError => |_| Owner::Caller,
}
