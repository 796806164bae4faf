//! Why nothing could be built, through no fault of the submission.

use std::io;
use std::path::PathBuf;

use super::diagnostic::{Diagnostic, Level};
use crate::cache::CacheError;
use crate::confinement::CageError;
use crate::confinement::watch::TooMuch;
use crate::owner::Owner;

/// Why nothing could be built, through no fault of the submission.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A program is not there.
    #[error("start `{program}`; {remedy}")]
    ToolMissing {
        /// The program.
        program: String,
        /// How to get it.
        remedy: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A program is there and cannot be run as it must be.
    #[error("start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// What failed.
        #[source]
        cause: io::Error,
    },
    /// A builder cannot be confined.
    #[error("confine the build")]
    Confine(#[from] CageError),
    /// A build of the course's own uses more than builds may.
    #[error("run {command}: it {what}")]
    TooMuch {
        /// The command.
        command: String,
        /// Of what.
        what: TooMuch,
    },
    /// The toolchain cannot make code for the kernel's machine.
    #[error("build for {target}: the toolchain has no such target; install it: rustup target add {target}")]
    TargetMissing {
        /// The target.
        target: String,
    },
    /// Dependencies are not on this machine and could not be fetched.
    #[error("fetch the course's dependencies; where there is a network, type\n  cd '{}' && {command}\n{log}", .folder.display())]
    Dependencies {
        /// Where the command must be run.
        folder: PathBuf,
        /// The command.
        command: String,
        /// What it said.
        log: String,
    },
    /// The course's own tree does not build.
    #[error("build the course's own tree{}", first_error(.diagnostics))]
    OwnTree {
        /// What the compiler said.
        diagnostics: Vec<Diagnostic>,
        /// What the builder said.
        log: String,
    },
    /// The builder failed without naming an error in the source.
    #[error("run {command}: {status}\n{log}")]
    Failed {
        /// The command.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it said.
        log: String,
    },
    /// The builder took too long.
    #[error(
        "finish {command} within {limit} s; the machine may be overloaded, or the source may keep the compiler busy forever"
    )]
    Overtime {
        /// The command.
        command: String,
        /// The bound in seconds.
        limit: u64,
    },
    /// The disk is full.
    #[error("write to {path}: the disk is full; free some space, or set GRADER_CACHE to a folder elsewhere")]
    DiskFull {
        /// What was written to.
        path: PathBuf,
    },
    /// The builder ended well and did not leave what the kind says.
    #[error("find {path}, which the build should have made; the kind's `kernel.yaml` names it")]
    OutputMissing {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("read or write {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// The first error with its place, for whoever has to mend it.
fn first_error(diagnostics: &[Diagnostic]) -> String {
    let first = diagnostics.iter().find(|said| said.level == Level::Error);
    let place = first.and_then(|first| first.place.as_ref());
    let place = place.map_or_else(String::new, |place| format!(": {}:{}:{}", place.file, place.line, place.column));
    first.map_or_else(String::new, |first| format!("{place}: {}", first.message))
}

impl BuildError {
    /// What reaches this type is ours; a submission that does not build is an [`Outcome`](super::Outcome).
    pub const OWNER: Owner = Owner::Harness;

    /// An error of the file system, with a full disk named as such.
    pub(super) fn io(path: impl Into<PathBuf>, cause: io::Error) -> Self {
        let path = path.into();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { path, cause },
        }
    }
}
