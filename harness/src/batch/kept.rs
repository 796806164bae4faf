//! Grades by all that decides them, with the transcripts that they rest on, so that nothing is graded twice.
//!
//! A grade lies in the folder of its class, where it can be judged again, and in the user's cache, where other classes
//! find it. Both hold the same files: where the file system can, they are links.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::grade::Grade;
use crate::run_folder::{RunFolder, RunFolderError};

/// The folder of transcripts in the folder of a class.
pub const FOLDER: &str = "runs";

/// Grades that are kept in the cache; the least recently used go first.
const MOST: usize = 5_000;

/// Where grades are kept.
#[derive(Debug)]
pub struct Kept {
    class: PathBuf,
    cache: Option<PathBuf>,
}

impl Kept {
    /// In the folder of a class, and in a cache unless nothing is to be taken from one.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn at(class: &Path, cache: Option<&Cache>) -> io::Result<Self> {
        let class = class.join(FOLDER);
        fs::create_dir_all(&class)?;
        let cache = cache.map(|cache| cache.folder("grades").map_err(io::Error::other)).transpose()?;
        Ok(Self { class, cache })
    }

    /// The folder of a grade's transcripts.
    pub fn folder(class: &Path, key: &str) -> RunFolder {
        RunFolder::at(class.join(FOLDER).join(key))
    }

    /// The grade of that key, if it is there; from now on it is in the class's folder, too.
    pub fn find(&self, key: &str) -> Option<Grade> {
        let cache = self.cache.as_ref()?;
        let own = self.class.join(key);
        if let Ok(grade) = RunFolder::at(&own).load_grade() {
            return Some(grade);
        }
        let common = cache.join(key);
        // What is damaged is as good as not there.
        let grade = RunFolder::at(&common).load_grade().ok()?;
        place(&common, &own).ok()?;
        let _ = touch(&common);
        Some(grade)
    }

    /// A folder to grade in, in which the boots are that were over when a grader was killed at the same.
    pub fn draft(&self, key: &str) -> RunFolder {
        RunFolder::draft(self.class.join(format!(".new-{key}")))
    }

    /// Keeps what was graded in a draft.
    ///
    /// # Errors
    /// When the files cannot be moved.
    pub fn keep(&self, draft: &RunFolder, key: &str) -> Result<(), RunFolderError> {
        let own = self.class.join(key);
        let failed = |cause| RunFolderError::Write { path: own.clone(), cause };
        remove(&own).map_err(failed)?;
        fs::rename(draft.path(), &own).map_err(failed)?;
        if let Some(cache) = &self.cache {
            // A cache that is full or read-only costs time, and no grade.
            let _ = remove(&cache.join(key)).and_then(|()| place(&own, &cache.join(key)));
        }
        Ok(())
    }

    /// Removes a draft with its boots.
    pub fn discard(&self, draft: &RunFolder) {
        let _ = remove(draft.path());
    }

    /// Removes all drafts. Nobody else may be grading into the same folder.
    pub fn clean(&self) {
        for entry in fs::read_dir(&self.class).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(".new-") {
                let _ = remove(&entry.path());
            }
        }
    }

    /// Removes the grades from the cache that were used longest ago.
    pub fn prune(&self) {
        let Some(cache) = &self.cache else { return };
        let entries = fs::read_dir(cache).into_iter().flatten().flatten();
        let used = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
        let mut entries: Vec<_> = entries.map(|entry| entry.path()).map(|path| (used(&path), path)).collect();
        entries.sort();
        for (_, path) in entries.iter().take(entries.len().saturating_sub(MOST)) {
            let _ = remove(path);
        }
    }
}

fn touch(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.set_modified(std::time::SystemTime::now())
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// Makes `to` hold the files of `from`, whole or not at all.
pub fn place(from: &Path, to: &Path) -> io::Result<()> {
    let new = to.with_file_name(format!(
        ".new-{}-{}",
        std::process::id(),
        to.file_name().unwrap_or_default().to_string_lossy()
    ));
    remove(&new)?;
    let placed = link_or_copy(from, &new).and_then(|()| fs::rename(&new, to));
    if placed.is_err() {
        let _ = remove(&new);
        // Another grader may have been quicker with the same.
        if to.is_dir() {
            return Ok(());
        }
    }
    placed
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, goal) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_or_copy(&source, &goal)?;
        } else if fs::hard_link(&source, &goal).is_err() {
            fs::copy(&source, &goal)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_there_whole_and_survive_the_folder_that_they_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("sessions")).unwrap();
        fs::write(from.join("sessions/mixed.serial"), "trace").unwrap();
        place(&from, &to).unwrap();
        fs::remove_dir_all(&from).unwrap();
        assert_eq!(fs::read_to_string(to.join("sessions/mixed.serial")).unwrap(), "trace");
        assert!(place(&from, &folder.path().join("other")).is_err());
        assert!(!folder.path().join("other").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left lying about");
    }
}
