//! Why there is no submission to grade, and who can do something about it.

use std::io;
use std::path::PathBuf;

use crate::base_tree::BaseTreeError;
use crate::cache::CacheError;
use crate::owner::Owner;

/// Why there is no submission to grade.
#[derive(Debug, thiserror::Error)]
pub enum SubmissionError {
    /// Nothing here is under version control.
    #[error(
        "find a Git repository at {path} or in a folder above it; stand in your repository, or name it with `--repo PATH`"
    )]
    NotARepository {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Git does not trust a repository of somebody else's.
    #[error(
        "open repository {path}: it belongs to another user; if you trust it, type\n  git config --global --add safe.directory '{}'",
        path.display()
    )]
    ForeignOwner {
        /// The repository.
        path: PathBuf,
    },
    /// No branch has the name.
    #[error("find branch `{name}` in {repository}: {}", missing_branch(.name, .similar, *.unborn))]
    BranchMissing {
        /// The branch.
        name: String,
        /// The repository.
        repository: String,
        /// Branches of similar names.
        similar: Vec<String>,
        /// Whether nothing was ever committed.
        unborn: bool,
    },
    /// Several remotes have the branch, at different commits.
    #[error(
        "choose between branches {}: they differ, and there is no local branch `{name}`; say which with `--branch {}`",
        .candidates.join(", "), .candidates.first().map_or("REMOTE/NAME", String::as_str)
    )]
    BranchAmbiguous {
        /// The branch.
        name: String,
        /// The remote-tracking branches.
        candidates: Vec<String>,
    },
    /// Nothing has the revision.
    #[error("find commit `{revision}` in {repository}: {reason}; `git log --oneline --all` lists what there is")]
    RevisionMissing {
        /// The revision.
        revision: String,
        /// The repository.
        repository: String,
        /// What libgit2 says.
        reason: String,
    },
    /// A bare repository, or one behind a URL, has no working tree.
    #[error("grade the working tree of {repository}: it has none; name a branch with `--branch NAME`")]
    NoWorkTree {
        /// The repository.
        repository: String,
    },
    /// A repository cannot be fetched.
    #[error("fetch {url}: {reason}")]
    Fetch {
        /// Its URL, without a password.
        url: String,
        /// What the transport says.
        reason: String,
    },
    /// `git` is needed to fetch and is not there.
    #[error("start `git`, which fetches {url}; install it with `apt-get install git`")]
    GitMissing {
        /// The URL, without a password.
        url: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A repository says that its files, or its commits, are somebody else's.
    #[error(
        "grade {repository}: its files and its history are not one repository ({other} belongs to it by its own word alone); clone it, and grade the clone"
    )]
    Elsewhere {
        /// The repository.
        repository: String,
        /// The folder that it names.
        other: PathBuf,
    },
    /// A commit is there, and a part of it is not.
    #[error(
        "read {path} at commit {commit} of {repository}: the object is not there; the clone is partial, shallow or damaged, so clone the repository again"
    )]
    ObjectMissing {
        /// The repository.
        repository: String,
        /// The commit.
        commit: String,
        /// What cannot be read.
        path: PathBuf,
    },
    /// A repository cannot be read.
    #[error("read repository {repository}")]
    Git {
        /// The repository.
        repository: String,
        /// What libgit2 says.
        #[source]
        cause: git2::Error,
    },
    /// A file cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The lab cannot be solved in the kernel that was named.
    #[error("grade lab {lab} as a kernel of kind `{kernel}`: it can be solved in {}", .known.join(", "))]
    NoSuchKind {
        /// What was asked for.
        kernel: String,
        /// The lab.
        lab: String,
        /// The kinds that it can be solved in.
        known: Vec<String>,
    },
    /// The course has no solution of its own.
    #[error("grade the reference of lab {lab}: the course has no tree of its own of any of its kernel kinds")]
    NoReference {
        /// The lab.
        lab: String,
    },
    /// `--handout` names neither a folder with a repository nor a URL.
    #[error("use {handout} as a handout: it must be REPO or REPO@REV, with the path or URL of a Git repository")]
    NoHandout {
        /// What was given.
        handout: String,
    },
    /// There is no trusted tree.
    #[error(transparent)]
    Base(#[from] BaseTreeError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

fn missing_branch(name: &str, similar: &[String], unborn: bool) -> String {
    if unborn {
        return format!(
            "nothing is committed yet; commit your work on a branch of that name (`git switch -c {name}`), or grade the working tree with `--worktree`"
        );
    }
    let similar = match similar {
        [] => String::new(),
        similar => format!("similar: {}; ", similar.join(", ")),
    };
    format!(
        "there is none; {similar}work on a branch of that name (`git switch -c {name}`), name another with `--branch NAME`, or grade the working tree as it is with `--worktree`"
    )
}

impl SubmissionError {
    /// Whose fault it is. What is asked for and not there is the caller's: nothing was handed in that could be graded.
    pub fn owner(&self) -> Owner {
        match self {
            Self::NotARepository { .. }
            | Self::BranchMissing { .. }
            | Self::BranchAmbiguous { .. }
            | Self::RevisionMissing { .. }
            | Self::NoSuchKind { .. }
            | Self::NoReference { .. }
            | Self::NoHandout { .. }
            | Self::NoWorkTree { .. } => Owner::Caller,
            Self::Base(error) => error.owner(),
            Self::ForeignOwner { .. }
            | Self::Fetch { .. }
            | Self::GitMissing { .. }
            | Self::Git { .. }
            | Self::Elsewhere { .. }
            | Self::ObjectMissing { .. }
            | Self::Read { .. }
            | Self::Cache(_) => Owner::Harness,
        }
    }
}
