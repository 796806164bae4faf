//! Takes the files that a lab names out of a tree, and says of each why it cannot be taken.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tree::{Entry, Tree};
use super::{Search, SubmissionError};
use crate::kind::Kind;
use crate::lab::Lab;

/// The most bytes that a file of a submission can have.
pub const LIMIT: u64 = 1 << 20;

/// Files relative to the kernel's root with their contents, or what is wrong with some of them.
pub type Taken = Result<BTreeMap<PathBuf, Vec<u8>>, Vec<FileFault>>;

/// A file that the lab names, and that the submission does not have as a file. The submission's fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFault {
    /// Its path in the student's repository.
    pub path: PathBuf,
    /// Why it cannot be taken.
    pub why: Unusable,
}

/// Why a file cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unusable {
    /// It is not there.
    Missing,
    /// It is a symbolic link, or lies behind one.
    Link,
    /// It is a folder.
    Folder,
    /// It is a submodule, or lies in one.
    Submodule,
    /// It is a device, pipe or socket.
    Special,
    /// It has more bytes than [`LIMIT`].
    TooLarge(u64),
    /// It is what Git LFS keeps in place of a file.
    LfsPointer,
    /// It is Rust source, and the byte at this place is no UTF-8.
    NotUtf8(usize),
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.why {
            Unusable::Missing => {
                write!(f, "{path} is missing: the lab is solved in that file; was it moved, or not committed?")
            }
            Unusable::Link => write!(f, "{path} is a symbolic link or lies behind one; it must be a regular file"),
            Unusable::Folder => write!(f, "{path} is a folder; it must be a regular file"),
            Unusable::Submodule => {
                write!(f, "{path} is a submodule or lies in one; it must be a regular file of this repository")
            }
            Unusable::Special => write!(f, "{path} is a device, pipe or socket; it must be a regular file"),
            Unusable::TooLarge(size) => write!(f, "{path} has {size} bytes; at most {LIMIT} are taken"),
            Unusable::LfsPointer => write!(
                f,
                "{path} is a pointer of Git LFS, and the file is elsewhere; commit the file itself: git lfs untrack '{path}'"
            ),
            Unusable::NotUtf8(at) => write!(f, "{path} is no UTF-8 text (byte {at}), and so no Rust source"),
        }
    }
}

/// Which of the lab's kinds a tree is of, and where in it the kernel's root lies: at the repository's root, or in a
/// folder named as in the course. Of several that would do, the one with the most of its files there; without any,
/// the lab's first kind, whose files are then reported as missing.
pub(super) fn recognise<'k>(tree: &dyn Tree, search: &Search<'k>) -> Result<(&'k Kind, PathBuf), SubmissionError> {
    let mut best: Option<(usize, &Kind, PathBuf)> = None;
    let asked = |kind: &&Kind| search.kernel.is_none_or(|kernel| kind.id == *kernel);
    for kind in search.lab.kernels.keys().filter_map(|id| search.kinds.get(id)).filter(asked) {
        let own_files = search.lab.kernels.get(&kind.id).map(|kernel| &kernel.files);
        for root in [Some(PathBuf::new()), kind.source.clone()].into_iter().flatten() {
            let mut there = 0;
            for path in kind.recognise.iter().chain(own_files.into_iter().flatten()) {
                there += usize::from(tree.entry(&root.join(path))?.is_some());
            }
            if best.as_ref().is_none_or(|(most, ..)| there > *most) {
                best = Some((there, kind, root));
            }
        }
    }
    let (_, kind, root) = best.ok_or_else(|| SubmissionError::NoSuchKind {
        kernel: search.kernel.map_or_else(String::new, |kernel| kernel.0.clone()),
        lab: search.lab.id.0.clone(),
        known: search.lab.kernels.keys().map(|id| id.0.clone()).collect(),
    })?;
    Ok((kind, root))
}

/// The files that the lab names, relative to the kernel's root, or what is wrong with some of them.
pub(super) fn take(tree: &dyn Tree, lab: &Lab, kind: &Kind, root: &Path) -> Result<Taken, SubmissionError> {
    let mut files = BTreeMap::new();
    let mut faults = Vec::new();
    for file in lab.kernels.get(&kind.id).map(|kernel| &kernel.files).into_iter().flatten() {
        let path = root.join(file);
        match take_file(tree, &path)? {
            Ok(content) => {
                files.insert(file.clone(), content);
            }
            Err(why) => faults.push(FileFault { path, why }),
        }
    }
    Ok(if faults.is_empty() { Ok(files) } else { Err(faults) })
}

fn take_file(tree: &dyn Tree, path: &Path) -> Result<Result<Vec<u8>, Unusable>, SubmissionError> {
    let why = match tree.entry(path)? {
        Some(Entry::File(size)) if size <= LIMIT => {
            let content = tree.read(path)?;
            return Ok(match std::str::from_utf8(&content) {
                _ if content.starts_with(b"version https://git-lfs.github.com/spec/") => Err(Unusable::LfsPointer),
                _ if content.len() as u64 > LIMIT => Err(Unusable::TooLarge(content.len() as u64)),
                Err(error) if path.extension().is_some_and(|extension| extension == "rs") => {
                    Err(Unusable::NotUtf8(error.valid_up_to()))
                }
                _ => Ok(content),
            });
        }
        Some(Entry::File(size)) => Unusable::TooLarge(size),
        Some(Entry::Link) => Unusable::Link,
        Some(Entry::Folder) => Unusable::Folder,
        Some(Entry::Submodule) => Unusable::Submodule,
        Some(Entry::Special) => Unusable::Special,
        None => Unusable::Missing,
    };
    Ok(Err(why))
}
