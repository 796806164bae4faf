//! A tree of files to take from: a commit's, or a working tree's on disk.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use git2::{ObjectType, Oid, Repository};
use rustix::fs::OFlags;

use super::SubmissionError;
use super::take::LIMIT;
use crate::files;
use crate::lab::{KindId, Lab};

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A regular file of so many bytes.
    File(u64),
    /// A symbolic link, at the path or on the way to it.
    Link,
    /// A folder.
    Folder,
    /// A submodule.
    Submodule,
    /// A device, pipe or socket.
    Special,
}

/// Files that are listed; no kernel has a tenth of them, and a few small objects of Git's can stand for millions.
const MOST_FILES: usize = 20_000;

/// Folders in folders that are looked into.
const DEEPEST: usize = 32;

/// A file, named by Git's id of its content.
pub type Listed = (PathBuf, Oid);

/// A tree of files. Paths are relative to the repository's root.
pub trait Tree {
    /// What lies at a path.
    fn entry(&self, path: &Path) -> Result<Option<Entry>, SubmissionError>;

    /// The content of a file that [`entry`](Self::entry) found no larger than [`LIMIT`].
    fn read(&self, path: &Path) -> Result<Vec<u8>, SubmissionError>;

    /// Git's id of the content of a file; none for what is no regular file. Files over [`LIMIT`] have the id zero.
    fn id(&self, path: &Path) -> Result<Option<Oid>, SubmissionError>;

    /// The regular files under a folder that the student means to keep: what Git ignores is left out. Files over
    /// [`LIMIT`] have the id zero. Of very many files, and of folders in folders without end, only the first are
    /// listed.
    fn list(&self, folder: &Path, ignore: &[String]) -> Result<Vec<Listed>, SubmissionError>;

    /// When its commit was made (its committer's date), in seconds since 1970-01-01 UTC.
    fn committed(&self) -> Option<i64>;

    /// Whether a file that the lab takes is other than in the current commit.
    fn differs_from_head(&self, _: &Lab, _: &KindId, _: &Path) -> Result<bool, SubmissionError> {
        Ok(false)
    }
}

/// A commit's tree.
pub struct CommitTree {
    pub repository: Repository,
    pub name: String,
    pub commit: Oid,
}

impl CommitTree {
    fn error(&self, cause: git2::Error) -> SubmissionError {
        SubmissionError::Git { repository: self.name.clone(), cause }
    }

    fn root(&self) -> Result<git2::Tree<'_>, SubmissionError> {
        let tree = self.repository.find_commit(self.commit).and_then(|commit| commit.tree());
        tree.map_err(|cause| self.object_error(Path::new("its files"), cause))
    }

    /// An error about the object of a path.
    fn object_error(&self, path: &Path, cause: git2::Error) -> SubmissionError {
        if cause.class() != git2::ErrorClass::Odb {
            return self.error(cause);
        }
        SubmissionError::ObjectMissing {
            repository: self.name.clone(),
            commit: self.commit.to_string(),
            path: path.to_owned(),
        }
    }
}

impl CommitTree {
    /// The path of every regular file, and whether it can be run.
    pub fn list_with_modes(&self, ignore: &[String]) -> Result<Vec<(PathBuf, bool)>, SubmissionError> {
        let root = self.root()?;
        let mut list = Vec::new();
        let walked = walk(&root, |parent, entry| {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            if files::is_left_out(&name, ignore) {
                return git2::TreeWalkResult::Skip;
            }
            if entry.kind() == Some(ObjectType::Blob) && entry.filemode() != 0o120_000 {
                list.push((Path::new(parent).join(name), entry.filemode() == 0o100_755));
            }
            git2::TreeWalkResult::Ok
        });
        walked.map_err(|cause| self.object_error(Path::new("its files"), cause))?;
        Ok(list)
    }
}

/// Walks a tree, and no further than to [`MOST_FILES`] entries and [`DEEPEST`] folders.
fn walk(
    tree: &git2::Tree<'_>,
    mut visit: impl FnMut(&str, &git2::TreeEntry<'_>) -> git2::TreeWalkResult,
) -> Result<(), git2::Error> {
    let mut seen = 0;
    let walked = tree.walk(git2::TreeWalkMode::PreOrder, |parent, entry| {
        seen += 1;
        // Git makes no such names, and no file can have them.
        if entry.name_bytes().contains(&b'/') || [&b"."[..], b".."].contains(&entry.name_bytes()) {
            return git2::TreeWalkResult::Skip;
        }
        let parent = String::from_utf8_lossy(parent.as_ref());
        match visit(&parent, entry) {
            _ if seen > MOST_FILES => git2::TreeWalkResult::Abort,
            git2::TreeWalkResult::Ok if parent.matches('/').count() >= DEEPEST => git2::TreeWalkResult::Skip,
            next => next,
        }
    });
    // To stop early is an error to the library.
    if seen > MOST_FILES { Ok(()) } else { walked }
}

/// What a tree has at a path; a file on the way there means that nothing does.
fn tree_entry(tree: &git2::Tree<'_>, path: &Path) -> Result<Option<git2::TreeEntry<'static>>, git2::Error> {
    match tree.get_path(path) {
        Ok(entry) => Ok(Some(entry)),
        // That an object is missing has the same code, and another class.
        Err(error) if error.code() == git2::ErrorCode::NotFound && error.class() == git2::ErrorClass::Tree => Ok(None),
        Err(error) => Err(error),
    }
}

/// When a commit was made.
fn committed(repository: &Repository, commit: Oid) -> Option<i64> {
    Some(repository.find_commit(commit).ok()?.time().seconds())
}

impl Tree for CommitTree {
    fn committed(&self) -> Option<i64> {
        committed(&self.repository, self.commit)
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>, SubmissionError> {
        let root = self.root()?;
        if path.as_os_str().is_empty() {
            return Ok(Some(Entry::Folder));
        }
        for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            match tree_entry(&root, folder)
                .map_err(|cause| self.object_error(folder, cause))?
                .map(|entry| entry.filemode())
            {
                Some(0o120_000) => return Ok(Some(Entry::Link)),
                Some(0o160_000) => return Ok(Some(Entry::Submodule)),
                _ => {}
            }
        }
        let entry = tree_entry(&root, path).map_err(|cause| self.object_error(path, cause))?;
        let Some(entry) = entry else { return Ok(None) };
        Ok(Some(match (entry.filemode(), entry.kind()) {
            (0o120_000, _) => Entry::Link,
            (0o160_000, _) => Entry::Submodule,
            (_, Some(ObjectType::Tree)) => Entry::Folder,
            _ => {
                // The header has the size: nothing large is unpacked to learn that it is large.
                let header = self.repository.odb().and_then(|odb| odb.read_header(entry.id()));
                Entry::File(header.map_err(|cause| self.object_error(path, cause))?.0 as u64)
            }
        }))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, SubmissionError> {
        let root = self.root()?;
        let entry = root.get_path(path).map_err(|cause| self.object_error(path, cause))?;
        let blob = self.repository.find_blob(entry.id()).map_err(|cause| self.object_error(path, cause))?;
        Ok(blob.content().to_vec())
    }

    fn id(&self, path: &Path) -> Result<Option<Oid>, SubmissionError> {
        let root = self.root()?;
        let entry = tree_entry(&root, path).map_err(|cause| self.object_error(path, cause))?;
        Ok(entry.filter(|entry| entry.kind() == Some(ObjectType::Blob)).map(|entry| entry.id()))
    }

    fn list(&self, folder: &Path, ignore: &[String]) -> Result<Vec<Listed>, SubmissionError> {
        let root = self.root()?;
        let tree = if folder.as_os_str().is_empty() {
            root
        } else {
            let entry = tree_entry(&root, folder).map_err(|cause| self.object_error(folder, cause))?;
            let Some(Ok(tree)) = entry.map(|entry| self.repository.find_tree(entry.id())) else {
                return Ok(Vec::new());
            };
            tree
        };
        let mut list = Vec::new();
        let walked = walk(&tree, |parent, entry| {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            if files::is_left_out(&name, ignore) {
                return git2::TreeWalkResult::Skip;
            }
            if entry.kind() == Some(ObjectType::Blob) && entry.filemode() != 0o120_000 {
                list.push((folder.join(parent).join(name), entry.id()));
            }
            git2::TreeWalkResult::Ok
        });
        walked.map_err(|cause| self.object_error(folder, cause))?;
        Ok(list)
    }
}

/// A working tree on disk.
pub struct WorkTree {
    pub repository: Repository,
    pub root: PathBuf,
    pub head: Option<Oid>,
}

impl WorkTree {
    fn git_error(&self, cause: git2::Error) -> SubmissionError {
        SubmissionError::Git { repository: self.root.display().to_string(), cause }
    }

    fn error(&self, path: &Path, cause: io::Error) -> SubmissionError {
        SubmissionError::Read { path: self.root.join(path), cause }
    }
}

impl Tree for WorkTree {
    fn committed(&self) -> Option<i64> {
        committed(&self.repository, self.head?)
    }

    fn entry(&self, path: &Path) -> Result<Option<Entry>, SubmissionError> {
        let mut walked = PathBuf::new();
        let mut entry = Entry::Folder;
        for part in path.components().filter(|part| matches!(part, Component::Normal(_))) {
            if entry != Entry::Folder {
                return Ok(None);
            }
            walked.push(part);
            let data = match fs::symlink_metadata(self.root.join(&walked)) {
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    return Ok(None);
                }
                data => data.map_err(|cause| self.error(&walked, cause))?,
            };
            entry = match data.file_type() {
                kind if kind.is_symlink() => return Ok(Some(Entry::Link)),
                kind if kind.is_dir() => Entry::Folder,
                kind if kind.is_file() => Entry::File(data.len()),
                _ => Entry::Special,
            };
        }
        let is_submodule =
            entry == Entry::Folder && walked != Path::new("") && self.root.join(&walked).join(".git").exists();
        Ok(Some(if is_submodule { Entry::Submodule } else { entry }))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, SubmissionError> {
        let mut content = Vec::new();
        // It may have become something else since it was looked at: a link is not followed, a pipe not waited for.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = fs::File::options().read(true).custom_flags(flags.bits().cast_signed()).open(self.root.join(path));
        let file = file.map_err(|cause| self.error(path, cause))?;
        if !file.metadata().is_ok_and(|data| data.is_file()) {
            return Err(self.error(path, io::Error::other("it is no regular file any more")));
        }
        // The file may have grown since its size was asked for.
        file.take(LIMIT + 1).read_to_end(&mut content).map_err(|cause| self.error(path, cause))?;
        Ok(content)
    }

    fn id(&self, path: &Path) -> Result<Option<Oid>, SubmissionError> {
        let Some(Entry::File(size)) = self.entry(path)? else { return Ok(None) };
        if size > LIMIT {
            return Ok(Some(Oid::ZERO_SHA1));
        }
        Oid::hash_object(ObjectType::Blob, &self.read(path)?).map(Some).map_err(|cause| self.git_error(cause))
    }

    fn list(&self, folder: &Path, ignore: &[String]) -> Result<Vec<Listed>, SubmissionError> {
        if self.entry(folder)? != Some(Entry::Folder) {
            return Ok(Vec::new());
        }
        let paths = files::list(&self.root.join(folder), ignore).map_err(|cause| self.error(folder, cause))?;
        let mut list = Vec::new();
        for path in paths.into_iter().take(MOST_FILES).map(|path| folder.join(path)) {
            if !self.repository.is_path_ignored(&path).unwrap_or(false)
                && let Some(id) = self.id(&path)?
            {
                list.push((path, id));
            }
        }
        Ok(list)
    }

    fn differs_from_head(&self, lab: &Lab, kind: &KindId, root: &Path) -> Result<bool, SubmissionError> {
        let Some(head) = self.head else { return Ok(true) };
        let tree = self
            .repository
            .find_commit(head)
            .and_then(|commit| commit.tree())
            .map_err(|cause| self.git_error(cause))?;
        for file in lab.kernels.get(kind).map(|kernel| &kernel.files).into_iter().flatten() {
            let path = root.join(file);
            let committed = tree_entry(&tree, &path).map_err(|cause| self.git_error(cause))?.map(|entry| entry.id());
            let on_disk = self.id(&path)?;
            if committed != on_disk {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
