//! Files that are there whole or not at all.

use std::io::{self, Write};
use std::path::Path;

/// Writes beside the place and renames, so that a reader, a full disk or a kill never leaves half a file there.
///
/// # Errors
/// When the folder cannot be made, or the file not be written or renamed; nothing is left behind then.
pub fn atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".grader-").tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    // A temporary file is private; a report is for whoever may read the folder.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
