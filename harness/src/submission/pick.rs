//! Finds the repository, and the commit or working tree in it that is asked for.

use std::path::Path;

use git2::{BranchType, ErrorCode, Oid, Repository};

use super::tree::{CommitTree, Tree, WorkTree};
use super::{Origin, Pick, Request, Search, SubmissionError, mirror};
use crate::cache::Cache;
use crate::similar;

type Picked = (Origin, Box<dyn Tree>);

fn boxed((origin, tree): (Origin, CommitTree)) -> Picked {
    (origin, Box::new(tree))
}

/// What is asked for; `None` means the course's own solution.
pub(super) fn pick(request: &Request, search: &Search<'_>) -> Result<Option<Picked>, SubmissionError> {
    let found = match find(request.repository.as_deref(), search.from, search.cache) {
        // A course without version control, as from an archive, is still where its author stands.
        Err(SubmissionError::NotARepository { path })
            if request.pick == Pick::Usual && is_within(&path, &search.course.root) =>
        {
            return Ok(None);
        }
        found => found?,
    };
    let lab = &search.lab.id.0;
    match &request.pick {
        Pick::WorkTree => found.work_tree().map(Some),
        Pick::Branch(branch) => found.branch(branch).map(boxed).map(Some),
        Pick::Revision(revision) => found.revision(revision).map(boxed).map(Some),
        Pick::Usual if found.current_branch().as_ref() == Some(lab) && found.repository.workdir().is_some() => {
            found.work_tree().map(Some)
        }
        Pick::Usual => {
            let is_course = found.repository.workdir().is_some_and(|folder| is_within(&search.course.root, folder));
            match found.branch(lab) {
                Err(SubmissionError::BranchMissing { .. }) if is_course => Ok(None),
                picked => picked.map(boxed).map(Some),
            }
        }
    }
}

/// The commit that is asked for.
pub(super) fn commit(request: &Request, search: &Search<'_>) -> Result<(Origin, CommitTree), SubmissionError> {
    let found = find(request.repository.as_deref(), search.from, search.cache)?;
    match &request.pick {
        Pick::Revision(revision) => found.revision(revision),
        Pick::Branch(branch) => found.branch(branch),
        Pick::Usual | Pick::WorkTree => found.branch(&search.lab.id.0),
    }
}

/// The repository of that path or URL.
fn find(repository: Option<&str>, from: &Path, cache: &Cache) -> Result<Found, SubmissionError> {
    match repository {
        Some(url) if mirror::is_url(url) => {
            Ok(Found { repository: mirror::fetch(url, cache)?, name: mirror::without_password(url) })
        }
        path => {
            let folder = path.map_or_else(|| from.to_owned(), |path| from.join(path));
            Found::at(&folder)
        }
    }
}

impl Found {
    /// The repository in a folder.
    pub(super) fn at(folder: &Path) -> Result<Self, SubmissionError> {
        let repository = open(folder)?;
        belongs_together(&repository, folder)?;
        let name = repository.workdir().unwrap_or(repository.path()).display().to_string();
        Ok(Self { repository, name })
    }
}

fn is_within(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

fn open(folder: &Path) -> Result<Repository, SubmissionError> {
    Repository::discover(folder).map_err(|cause| match cause.code() {
        ErrorCode::NotFound => SubmissionError::NotARepository { path: folder.to_owned() },
        ErrorCode::Owner => {
            // Git wants the very folder that holds the repository to be named.
            let root = folder.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(folder);
            SubmissionError::ForeignOwner { path: root.to_owned() }
        }
        _ => SubmissionError::Git { repository: folder.display().to_string(), cause },
    })
}

/// Refuses a repository whose settings claim the files or the commits of another: a solution would be graded in the
/// name of whoever wrote no more than the settings.
fn belongs_together(repository: &Repository, folder: &Path) -> Result<(), SubmissionError> {
    let Some(files) = repository.workdir() else { return Ok(()) };
    let history = repository.path();
    let name = || folder.display().to_string();
    if !is_within(folder, files) && !is_within(folder, history) {
        return Err(SubmissionError::Elsewhere { repository: name(), other: files.to_owned() });
    }
    if is_within(history, files) || points_back(history, files) {
        return Ok(());
    }
    Err(SubmissionError::Elsewhere { repository: name(), other: history.to_owned() })
}

/// Whether a history elsewhere names these files as its own, as those of linked working trees and of submodules do.
fn points_back(history: &Path, files: &Path) -> bool {
    let same = |other: &Path| matches!((other.canonicalize(), files.canonicalize()), (Ok(one), Ok(two)) if one == two);
    let linked = std::fs::read_to_string(history.join("gitdir")).unwrap_or_default();
    let of_linked = Path::new(linked.trim()).parent().is_some_and(|folder| same(&history.join(folder)));
    let settings = git2::Config::open(&history.join("config"));
    let of_submodule = settings.and_then(|settings| settings.get_string("core.worktree"));
    of_linked || of_submodule.is_ok_and(|folder| same(&history.join(folder)))
}

/// A repository with the name that it goes by in messages.
pub(super) struct Found {
    pub(super) repository: Repository,
    pub(super) name: String,
}

impl Found {
    pub(super) fn error(&self, cause: git2::Error) -> SubmissionError {
        SubmissionError::Git { repository: self.name.clone(), cause }
    }

    /// The branch that is checked out, which need not have a commit yet; none where a commit itself is.
    fn current_branch(&self) -> Option<String> {
        let head = self.repository.find_reference("HEAD").ok()?;
        Some(head.symbolic_target().ok()??.strip_prefix("refs/heads/")?.to_owned())
    }

    fn work_tree(self) -> Result<Picked, SubmissionError> {
        let Some(root) = self.repository.workdir().map(Path::to_owned) else {
            return Err(SubmissionError::NoWorkTree { repository: self.name });
        };
        let head = match self.repository.head() {
            Ok(head) => Some(head.peel_to_commit().map_err(|cause| self.error(cause))?.id()),
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => None,
            Err(cause) => return Err(self.error(cause)),
        };
        let origin = Origin::WorkTree {
            branch: self.current_branch(),
            commit: head.map(|commit| commit.to_string()),
            dirty: false,
            repository: self.name,
        };
        Ok((origin, Box::new(WorkTree { repository: self.repository, root, head })))
    }

    /// The branch of that name: a local one, else the remote-tracking one of any remote.
    fn branch(self, name: &str) -> Result<(Origin, CommitTree), SubmissionError> {
        let (full, commit) = self.find_branch(name)?;
        self.commit(full, commit)
    }

    pub(super) fn find_branch(&self, name: &str) -> Result<(String, Oid), SubmissionError> {
        // A repository can have many thousands of them.
        if let Ok(branch) = self.repository.find_branch(name, BranchType::Local)
            && let Ok(commit) = branch.get().peel_to_commit()
        {
            return Ok((name.to_owned(), commit.id()));
        }
        let mut tracking: Vec<(String, Oid)> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for branch in self.repository.branches(None).map_err(|cause| self.error(cause))? {
            let (branch, of) = branch.map_err(|cause| self.error(cause))?;
            // Branches whose names are no UTF-8, and those that lead nowhere, cannot be asked for.
            let (Ok(full), Ok(commit)) = (branch.name(), branch.get().peel_to_commit()) else { continue };
            let Some(full) = full.map(str::to_owned) else { continue };
            if of == BranchType::Remote
                && (full == name || full.split_once('/').is_some_and(|(_, short)| short == name))
            {
                tracking.push((full.clone(), commit.id()));
            }
            if !full.ends_with("/HEAD") {
                names.push(full);
            }
        }
        match &tracking[..] {
            [] => {
                let similar = similar::near(name, names.iter().map(String::as_str));
                let similar = similar.into_iter().map(str::to_owned).collect();
                let unborn = names.is_empty();
                Err(SubmissionError::BranchMissing {
                    name: name.to_owned(),
                    repository: self.name.clone(),
                    similar,
                    unborn,
                })
            }
            [(full, commit), others @ ..] if others.iter().all(|(_, other)| other == commit) => {
                Ok((full.clone(), *commit))
            }
            several => {
                let candidates = several.iter().map(|(full, _)| full.clone()).collect();
                Err(SubmissionError::BranchAmbiguous { name: name.to_owned(), candidates })
            }
        }
    }

    fn revision(self, revision: &str) -> Result<(Origin, CommitTree), SubmissionError> {
        let commit = self.find_revision(revision)?;
        self.commit(revision.to_owned(), commit)
    }

    pub(super) fn find_revision(&self, revision: &str) -> Result<Oid, SubmissionError> {
        let commit = self.repository.revparse_single(revision).and_then(|object| object.peel_to_commit());
        commit.map(|commit| commit.id()).map_err(|cause| SubmissionError::RevisionMissing {
            revision: revision.to_owned(),
            repository: self.name.clone(),
            reason: cause.message().to_owned(),
        })
    }

    fn commit(self, name: String, commit: Oid) -> Result<(Origin, CommitTree), SubmissionError> {
        let origin = Origin::Commit { repository: self.name.clone(), name, commit: commit.to_string() };
        Ok((origin, CommitTree { repository: self.repository, name: self.name, commit }))
    }
}
