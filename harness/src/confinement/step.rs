//! What failed between fork and exec, told through the one number that gets from there to here.
//!
//! The standard library hands the raw number of an error from a child that cannot start to its parent, and nothing
//! else; so the step is put into the half of it that no error of the system uses.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// What a child does before it becomes the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It ties its life to its parent's.
    Parent = 1,
    /// It lets go of files that are not its own.
    Files,
    /// It sets its limits.
    Limits,
    /// It moves into namespaces of its own.
    Namespaces,
    /// It leaves a process behind that waits for it.
    Keeper,
    /// It gives up its privileges.
    Privileges,
    /// It gives up most of the file system.
    Landlock,
    /// It gives up system calls.
    SystemCalls,
}

impl Step {
    const ALL: [Self; 8] = [
        Self::Parent,
        Self::Files,
        Self::Limits,
        Self::Namespaces,
        Self::Keeper,
        Self::Privileges,
        Self::Landlock,
        Self::SystemCalls,
    ];

    /// An error of the system with this step in it.
    pub(super) fn failed(self, errno: Errno) -> io::Error {
        io::Error::from_raw_os_error((self as i32) << 16 | errno.raw_os_error())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parent => "tie its life to the grader's",
            Self::Files => "close the grader's files",
            Self::Limits => "set its limits",
            Self::Namespaces => "move it into namespaces of its own",
            Self::Keeper => "leave a process behind that waits for it",
            Self::Privileges => "drop its privileges",
            Self::Landlock => "confine it to its files with Landlock",
            Self::SystemCalls => "refuse it system calls with seccomp",
        })
    }
}

/// The step at which a child failed, and what the system said; any other error as it is.
pub fn explain(error: io::Error) -> io::Error {
    let Some(number) = error.raw_os_error().filter(|number| number >> 16 != 0) else { return error };
    let cause = io::Error::from_raw_os_error(number & 0xffff);
    let step = Step::ALL.into_iter().find(|step| *step as i32 == number >> 16);
    step.map_or(error, |step| io::Error::new(cause.kind(), format!("could not {step}: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_back_with_its_step() {
        let error = explain(Step::Landlock.failed(Errno::PERM));
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("Landlock"), "{error}");
        let plain = explain(io::Error::from_raw_os_error(Errno::NOENT.raw_os_error()));
        assert_eq!(plain.raw_os_error(), Some(Errno::NOENT.raw_os_error()));
    }
}
