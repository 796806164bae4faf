//! What is built: the course's own tree with a submission's files laid in, and nothing else of the student's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::base_tree::{BaseTree, SourceFile};
use crate::kind::Kind;
use crate::lab::Lab;
use crate::lab::mutant::Mutant;
use crate::lab::solution::Solution;
use crate::owner::Owner;
use crate::{digest, files};

/// What is laid into the course's own tree.
#[derive(Debug, Clone, Copy)]
pub enum Overlay<'a> {
    /// Nothing: the course's own solution.
    Reference,
    /// The files taken from a submission, relative to the kernel's root.
    Submission(&'a BTreeMap<PathBuf, Vec<u8>>),
    /// The files that students start from: `labs/<id>/handout/`.
    Starter,
    /// The files of another right solution, and the course's own where it has none.
    Solution(&'a Solution),
    /// The edits of a known-wrong solution.
    Mutant(&'a Mutant),
}

/// Whose files a tree has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The course's own solution: what goes wrong with it is ours.
    Reference,
    /// Another of the course's: a starter, a mutant, another solution.
    Course,
    /// Some are a submission's.
    Submission,
}

impl Origin {
    fn of(overlay: Overlay<'_>) -> Self {
        match overlay {
            Overlay::Reference => Self::Reference,
            Overlay::Submission(_) => Self::Submission,
            Overlay::Starter | Overlay::Solution(_) | Overlay::Mutant(_) => Self::Course,
        }
    }

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "own",
            Self::Course => "laid-in",
            Self::Submission => "submission",
        }
    }
}

/// A tree of files in memory, as it will be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTree {
    /// The files that the lab takes, with their contents in this tree.
    pub taken: BTreeMap<PathBuf, Vec<u8>>,
    /// Whose files they are.
    pub origin: Origin,
    /// SHA-256, in hex, over paths, permissions and contents.
    pub digest: String,
    files: BTreeMap<PathBuf, SourceFile>,
}

/// Why there is no tree. Submissions cannot cause it.
#[derive(Debug, thiserror::Error)]
pub enum SourceTreeError {
    /// A file that the kind lays over cannot be read.
    #[error("read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A submission lacks a file that the lab takes; whoever finds submissions reports that as the student's fault.
    #[error("lay in the submission: {path} was not taken")]
    Incomplete {
        /// The file.
        path: PathBuf,
    },
    /// The lab has no starter for a file that it takes.
    #[error("lay in the starter files of lab {lab}: {path} is missing")]
    NoStarter {
        /// The lab.
        lab: String,
        /// The file.
        path: PathBuf,
    },
    /// The text that a mutant edits is not there exactly once.
    #[error("make mutant {mutant}: the text to find is not in {file} exactly once")]
    Edit {
        /// The mutant.
        mutant: String,
        /// The file.
        file: PathBuf,
    },
}

impl SourceTreeError {
    /// Whose fault it is.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Read { .. } | Self::Incomplete { .. } => Owner::Harness,
            Self::NoStarter { .. } | Self::Edit { .. } => Owner::Caller,
        }
    }
}

impl SourceTree {
    /// A trusted tree of `kind`, with the overlay laid in where the lab takes files, and what the kind lays over.
    ///
    /// # Errors
    /// When the course's own files cannot be read, or do not fit together.
    pub fn new(base: &BaseTree, lab: &Lab, kind: &Kind, overlay: Overlay<'_>) -> Result<Self, SourceTreeError> {
        let mut files = base.files.clone();
        let taken = lab.kernels.get(&kind.id).map_or(&[][..], |kernel| &kernel.files);
        let mut lay = |path: &Path, content: Vec<u8>| {
            let executable = files.get(path).is_some_and(|file| file.executable);
            files.insert(path.to_owned(), SourceFile { content, executable });
        };
        match overlay {
            Overlay::Reference => {}
            Overlay::Submission(submitted) => {
                for path in taken {
                    // Where nothing is laid in, the solution would be graded in the submission's name.
                    let content =
                        submitted.get(path).ok_or_else(|| SourceTreeError::Incomplete { path: path.clone() })?;
                    lay(path, content.clone());
                }
            }
            Overlay::Starter => {
                for path in taken {
                    let starter = lab.folder.join("handout").join(path);
                    let content = fs::read(&starter)
                        .map_err(|_| SourceTreeError::NoStarter { lab: lab.id.0.clone(), path: starter })?;
                    lay(path, content);
                }
            }
            Overlay::Solution(solution) => {
                solution.files.iter().for_each(|(path, content)| lay(path, content.clone()));
            }
            Overlay::Mutant(mutant) => {
                for edit in &mutant.edits {
                    let text = files.get(&edit.file).and_then(|file| std::str::from_utf8(&file.content).ok());
                    let changed = text.and_then(|text| edit.apply(text)).ok_or_else(|| SourceTreeError::Edit {
                        mutant: mutant.name.clone(),
                        file: edit.file.clone(),
                    })?;
                    files.get_mut(&edit.file).expect("it was read above").content = changed.into_bytes();
                }
            }
        }
        // Last, so that nothing can take the place of what is trusted.
        for (path, from) in &kind.overlay {
            let from = kind.folder.join("..").join(from);
            let content = fs::read(&from).map_err(|cause| SourceTreeError::Read { path: from, cause })?;
            files.insert(path.clone(), SourceFile { content, executable: false });
        }
        let content = |path: &PathBuf| files.get(path).map(|file| (path.clone(), file.content.clone()));
        let taken = taken.iter().filter_map(content).collect();
        let names = files.iter().map(|(path, file)| {
            let mark = if file.executable { "x " } else { "- " };
            (format!("{mark}{}", path.display()), file.content.as_slice())
        });
        let names: Vec<_> = names.collect();
        let digest = digest::of_parts(names.iter().map(|(name, content)| (name.as_bytes(), *content)));
        Ok(Self { taken, origin: Origin::of(overlay), digest, files })
    }

    /// Whether the tree has a file at this path.
    pub fn has(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// The content of the file at this path.
    pub fn content(&self, path: &Path) -> Option<&[u8]> {
        self.files.get(path).map(|file| file.content.as_slice())
    }

    /// Makes a folder hold exactly this tree, what builds leave there apart.
    ///
    /// Only files that differ are written, so that builders see by the times of files what changed. The caller holds
    /// the folder's lock.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn materialise(&self, folder: &Path, ignore: &[String]) -> Result<(), (PathBuf, io::Error)> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| (path, cause)
        };
        fs::create_dir_all(folder).map_err(at(folder))?;
        let mut newest = SystemTime::UNIX_EPOCH;
        self.remove_others(folder, Path::new(""), ignore, &mut newest)?;
        for (path, file) in &self.files {
            let path = folder.join(path);
            write_file(file, &path, newest).map_err(at(&path))?;
        }
        Ok(())
    }
}

impl SourceTree {
    /// Removes everything in a folder that is no file of the tree nor a folder on the way to one.
    fn remove_others(
        &self,
        root: &Path,
        folder: &Path,
        ignore: &[String],
        newest: &mut SystemTime,
    ) -> Result<(), (PathBuf, io::Error)> {
        let at = |cause| (root.join(folder), cause);
        for entry in fs::read_dir(root.join(folder)).map_err(at)? {
            let entry = entry.map_err(at)?;
            let name = entry.file_name();
            if files::is_left_out(&name.to_string_lossy(), ignore) {
                // What a builder made there was made of the files as they were.
                *newest = (*newest).max(newest_in(&entry.path()));
                continue;
            }
            let path = folder.join(&name);
            let kind = entry.file_type().map_err(at)?;
            let leads_to_file =
                || self.files.range(path.clone()..).next().is_some_and(|(next, _)| next.starts_with(&path));
            if kind.is_dir() && leads_to_file() {
                self.remove_others(root, &path, ignore, newest)?;
            } else if kind.is_dir() {
                fs::remove_dir_all(entry.path()).map_err(at)?;
            } else if kind.is_file() && self.has(&path) {
                *newest = (*newest).max(modified(&entry.path()));
            } else {
                fs::remove_file(entry.path()).map_err(at)?;
            }
        }
        Ok(())
    }
}

/// When the newest file in a folder was written, or a file itself.
fn newest_in(path: &Path) -> SystemTime {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| newest_in(&entry.path())).max().unwrap_or(SystemTime::UNIX_EPOCH)
        }
        _ => modified(path),
    }
}

/// Writes a file, unless it is there already.
fn write_file(file: &SourceFile, path: &Path, newest: SystemTime) -> io::Result<()> {
    let mode = if file.executable { 0o755 } else { 0o644 };
    if let Ok(data) = fs::symlink_metadata(path) {
        let same_kind = data.is_file() && data.permissions().mode() & 0o777 == mode;
        if same_kind && data.len() == file.content.len() as u64 && fs::read(path)? == file.content {
            return Ok(());
        }
        if data.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    let mut written = File::create(path)?;
    written.write_all(&file.content)?;
    written.set_permissions(fs::Permissions::from_mode(mode))?;
    // Builders go by times. Were the clock set back, a file would seem older than the build that it must end up in.
    if written.metadata()?.modified()? <= newest {
        written.set_modified(newest + Duration::from_secs(1))?;
    }
    Ok(())
}

fn modified(path: &Path) -> SystemTime {
    fs::symlink_metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
