//! Folders as sorted lists of files, without what builds and version control leave in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Names that are never part of a tree, whatever its kind.
pub const NEVER: [&str; 2] = [".git", "target"];

/// Whether a name is in [`NEVER`] or in `ignore`, where `*.o` stands for every name that ends in `.o`.
pub fn is_left_out(name: &str, ignore: &[String]) -> bool {
    let matches = |pattern: &String| match pattern.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => name == pattern,
    };
    NEVER.contains(&name) || ignore.iter().any(matches)
}

/// The regular files under `root`, relative to it, sorted; names in [`NEVER`] and `ignore` are left out with all that
/// is in them, and so are symbolic links, since they lead elsewhere.
///
/// # Errors
/// What the system says when a folder cannot be read.
pub fn list(root: &Path, ignore: &[String]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name();
            if is_left_out(&name.to_string_lossy(), ignore) {
                continue;
            }
            let kind = entry.file_type()?;
            let path = folder.join(&name);
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Writes a file so that readers see the old content or the new, and nothing between.
///
/// # Errors
/// What the system says.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, content)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
