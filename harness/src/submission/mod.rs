//! A student's branch, commit or working tree: where it came from, and the files of it that are graded.
//!
//! Submissions are untrusted. Only the files that the lab names are taken, as bytes; nothing else of the student's is
//! ever built or run.

mod error;
mod handout;
mod in_vain;
pub mod mirror;
pub mod mirrors;
mod pick;
mod take;
pub mod timely;
mod tree;
mod trusted;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base_tree::{BaseTree, BaseTreeError};
use crate::cache::Cache;
use crate::course::Course;
use crate::kind::Kind;
use crate::lab::{KindId, Lab};

pub use error::SubmissionError;
pub use in_vain::{InVain, Untaken};
pub use take::{FileFault, LIMIT, Taken, Unusable};
pub use trusted::Trusted;

/// Which submission is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// `--repo`: a path or a URL; the repository in which one stands where it is not given.
    pub repository: Option<String>,
    /// What of the repository.
    pub pick: Pick,
}

/// What of a repository is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pick {
    /// The working tree where the current branch is the lab's, else the branch of the lab's name.
    #[default]
    Usual,
    /// `--branch`: the branch of that name, a local one first.
    Branch(String),
    /// `--rev`: whatever Git makes a commit of.
    Revision(String),
    /// `--worktree`: the working tree as it is on disk, whatever its branch.
    WorkTree,
}

/// What is graded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Where it came from.
    pub origin: Origin,
    /// The kernel kind that its tree is of.
    pub kind: KindId,
    /// The folder of the repository that is the kernel's root: empty, or as in `reference-kernel`.
    pub root: PathBuf,
    /// The files that the lab names, relative to the kernel's root, or why some of them cannot be taken, which is
    /// the submission's fault. Empty for [`Origin::Reference`].
    pub files: Taken,
    /// Files that the student changed in vain.
    pub in_vain: InVain,
    /// The trusted tree that the files are laid into.
    pub base: Arc<BaseTree>,
    /// When the commit was made (its committer's date), in seconds since 1970-01-01 UTC.
    pub committed: Option<i64>,
}

/// Where a submission came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum Origin {
    /// The course's own solution.
    Reference,
    /// A commit.
    Commit {
        /// The repository's path or URL.
        repository: String,
        /// The branch or revision that led to it.
        name: String,
        /// Its id.
        commit: String,
    },
    /// A working tree, uncommitted and untracked files included.
    WorkTree {
        /// The working tree's path.
        repository: String,
        /// The current branch, if there is one.
        branch: Option<String>,
        /// The current commit, if there is one.
        commit: Option<String>,
        /// Whether a file that is taken differs from that commit.
        dirty: bool,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
        match self {
            Self::Reference => f.write_str("the course's reference solution"),
            Self::Commit { name, commit, .. } if commit.starts_with(name.as_str()) => {
                write!(f, "commit {}", short(commit))
            }
            Self::Commit { name, commit, .. } => write!(f, "{name} at commit {}", short(commit)),
            Self::WorkTree { branch, commit, dirty, .. } => {
                f.write_str("the working tree")?;
                if let Some(branch) = branch {
                    write!(f, " on branch {branch}")?;
                }
                match (commit, dirty) {
                    (None, _) => f.write_str(", nothing committed yet"),
                    (Some(commit), false) => write!(f, " at commit {}", short(commit)),
                    (Some(commit), true) => write!(f, " at commit {} with uncommitted changes", short(commit)),
                }
            }
        }
    }
}

/// What a submission is looked for with.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The folder in which one stands.
    pub from: &'a Path,
    /// The course.
    pub course: &'a Course,
    /// Its kernel kinds.
    pub kinds: &'a BTreeMap<KindId, Kind>,
    /// The lab.
    pub lab: &'a Lab,
    /// Where clones are kept.
    pub cache: &'a Cache,
    /// The course's own files, as far as they were read.
    pub trusted: &'a Trusted,
    /// `--kernel`: the kernel kind that the submission is of, whatever its tree looks like.
    pub kernel: Option<&'a KindId>,
    /// `--handout`: where the course's own files are, for kinds of which the course has no tree.
    pub handout: Option<&'a str>,
}

impl Submission {
    /// The course's own solution in a kind of kernel.
    ///
    /// # Errors
    /// When the course has no tree of its own of that kind, or it cannot be read.
    pub fn reference(course: &Course, kind: &Kind) -> Result<Self, BaseTreeError> {
        let base = BaseTree::of_course(course, kind)?;
        let base = base.ok_or_else(|| BaseTreeError::NoHandout { title: kind.title.clone() })?;
        Ok(Self {
            origin: Origin::Reference,
            kind: kind.id.clone(),
            root: PathBuf::new(),
            files: Ok(BTreeMap::new()),
            in_vain: InVain::default(),
            base: Arc::new(base),
            committed: None,
        })
    }

    /// Finds a submission and takes the lab's files out of it.
    ///
    /// Blocks: reads files, and may clone a repository.
    ///
    /// # Errors
    /// When there is no such repository, branch or commit, or when it cannot be read. Files that are missing or
    /// unfit are no error, but [part of the submission](Submission::files).
    pub fn find(request: &Request, search: &Search<'_>) -> Result<Self, SubmissionError> {
        let Some((origin, tree)) = pick::pick(request, search)? else {
            let own = |id: &&KindId| search.kinds.get(*id).is_some_and(|kind| kind.source.is_some());
            let kind = search.lab.kernels.keys().find(own).and_then(|id| search.kinds.get(id));
            let kind = kind.ok_or_else(|| SubmissionError::NoReference { lab: search.lab.id.0.clone() })?;
            return Ok(Self::reference(search.course, kind)?);
        };
        let (kind, root) = take::recognise(tree.as_ref(), search)?;
        let files = take::take(tree.as_ref(), search.lab, kind, &root)?;
        let known = search.trusted.of(search, kind)?;
        let in_vain = in_vain::find(tree.as_ref(), search, kind, &root, &known.handed_out)?;
        let committed = tree.committed();
        let base = Arc::clone(&known.base);
        let mut submission = Self { origin, kind: kind.id.clone(), root, files, in_vain, base, committed };
        if let Origin::WorkTree { dirty, .. } = &mut submission.origin {
            *dirty = tree.differs_from_head(search.lab, &submission.kind, &submission.root)?;
        }
        Ok(submission)
    }

    /// A file's path in the student's repository.
    pub fn path_in_repository(&self, file: &Path) -> PathBuf {
        self.root.join(file)
    }
}
