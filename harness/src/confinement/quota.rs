//! How much a folder holds, in bounded time, whatever is in it.
//!
//! Users cannot set quotas on file systems, so a folder that a builder writes to is measured while the builder runs.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Folders in folders beyond which nobody looks: names of files would become too long for the system.
const DEEPEST: usize = 64;

/// What a folder may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Files and folders.
    pub files: u64,
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Bytes.
    Bytes,
    /// Files.
    Files,
    /// Folders in folders.
    Depth,
}

impl Quota {
    /// Whether a folder holds more. Looks no further once it does; follows no links.
    ///
    /// What cannot be read, or goes away meanwhile, is passed over. Files that are deleted and still open are not seen.
    pub fn exceeded(&self, root: &Path) -> Option<Excess> {
        let (mut bytes, mut files) = (0, 0);
        let mut due: Vec<(PathBuf, usize)> = vec![(root.to_owned(), 0)];
        while let Some((folder, depth)) = due.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let Ok(data) = entry.metadata() else { continue };
                files += 1;
                // Builders link what they would copy, and a file counts once whatever it is called.
                let names = if data.is_dir() { 1 } else { data.nlink().max(1) };
                bytes += data.blocks() * 512 / names;
                if data.is_dir() {
                    if depth == DEEPEST {
                        return Some(Excess::Depth);
                    }
                    due.push((entry.path(), depth + 1));
                }
                if bytes > self.bytes {
                    return Some(Excess::Bytes);
                }
                if files > self.files {
                    return Some(Excess::Files);
                }
            }
        }
        None
    }
}

/// Removes a folder with all that is in it, however deep, and whatever its permissions; follows no links.
///
/// # Errors
/// What the system says; all that could be removed is.
pub fn remove(root: &Path) -> io::Result<()> {
    // Most are neither deep nor locked.
    match fs::remove_dir_all(root) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    // Folders are moved up before they are emptied, so that no path grows longer than the first level's.
    let mut next = 0_u64;
    let mut due = vec![root.to_owned()];
    while let Some(folder) = due.pop() {
        let _ = fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700));
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let is_folder = fs::symlink_metadata(&path).is_ok_and(|data| data.is_dir());
            if !is_folder {
                fs::remove_file(&path)?;
            } else if folder == root {
                due.push(path);
            } else {
                // To move a folder, its own entry for the one above it must be writable.
                let _ = fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700));
                let moved = loop {
                    next += 1;
                    let moved = root.join(format!(".removed-{next}"));
                    if fs::symlink_metadata(&moved).is_err() {
                        break moved;
                    }
                };
                fs::rename(&path, &moved)?;
                due.push(moved);
            }
        }
        if folder != root {
            fs::remove_dir(&folder)?;
        }
    }
    fs::remove_dir(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_too_much_is_told_from_one_that_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let quota = Quota { bytes: 1 << 20, files: 20 };
        fs::write(folder.path().join("small"), [1; 4096]).unwrap();
        // Where links lead is somebody else's.
        std::os::unix::fs::symlink("/usr", folder.path().join("usr")).unwrap();
        assert_eq!(quota.exceeded(folder.path()), None);
        fs::write(folder.path().join("large"), vec![1; 2 << 20]).unwrap();
        assert_eq!(quota.exceeded(folder.path()), Some(Excess::Bytes));
        fs::remove_file(folder.path().join("large")).unwrap();
        for number in 0..20 {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(quota.exceeded(folder.path()), Some(Excess::Files));
    }

    #[test]
    fn a_tree_that_is_deeper_than_any_path_is_found_out_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        // A path to the bottom of it is longer than the system takes, so it is made from the bottom up.
        for number in 0..3000 {
            let above = folder.path().join("above");
            fs::create_dir(&above).unwrap();
            if number > 0 {
                fs::rename(folder.path().join("tower"), above.join("a-folder")).unwrap();
            }
            fs::rename(above, folder.path().join("tower")).unwrap();
        }
        fs::rename(folder.path().join("tower"), root.join("tower")).unwrap();
        let locked = root.join("locked");
        fs::create_dir_all(locked.join("within")).unwrap();
        fs::write(locked.join("file"), "").unwrap();
        fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
        let quota = Quota { bytes: u64::MAX, files: u64::MAX };
        assert_eq!(quota.exceeded(&root), Some(Excess::Depth));
        remove(&root).unwrap();
        assert!(!root.exists());
    }
}
