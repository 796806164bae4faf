//! The copy of the course in the binary, unpacked once into the user's cache folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cache::{Cache, CacheError};
use crate::digest;

/// The course's files by path, as the build script found them beside this crate.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/course.rs"));

/// Unpacks the course, unless it is there already, and answers where.
///
/// The folder is named by what is in it and appears whole or not at all: two graders may unpack at once, and another
/// version of `grader` does not disturb a running one.
///
/// # Errors
/// When the cache cannot be written and the course is not in it.
pub fn unpack(cache: &Cache) -> Result<PathBuf, CacheError> {
    unpack_files(cache, FILES)
}

fn unpack_files(cache: &Cache, files: &[(&str, &[u8])]) -> Result<PathBuf, CacheError> {
    let name = digest::of_parts(files.iter().map(|(path, content)| (path.as_bytes(), *content)));
    let goal = cache.root().join("courses").join(&name[..16]);
    if goal.is_dir() {
        return Ok(goal);
    }
    let folder = cache.folder("courses")?;
    let write = || -> io::Result<()> {
        let new = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(&folder)?;
        for (path, content) in files {
            write_file(&new.path().join(path), content)?;
        }
        match fs::rename(new.path(), &goal) {
            Ok(()) => {
                // It has moved: nothing is left that could be cleaned up.
                let _ = new.keep();
                Ok(())
            }
            Err(_) if goal.is_dir() => Ok(()),
            Err(error) => Err(error),
        }
    };
    write().map_err(|cause| CacheError::Write { path: goal.clone(), cause })?;
    Ok(goal)
}

fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    fs::write(path, content)?;
    // A student who looks around in the cache should not change the course by accident.
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &[(&str, &[u8])] = &[("labs/a/lab.yaml", b"id: a"), ("labs/kernels/k/kernel.yaml", b"id: k")];

    #[test]
    fn graders_that_unpack_at_once_end_up_with_one_whole_course() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().to_owned()).unwrap();
        let roots: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| unpack_files(&cache, SMALL).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(roots.iter().all(|root| *root == roots[0]));
        assert_eq!(fs::read(roots[0].join("labs/a/lab.yaml")).unwrap(), b"id: a");
        let left: Vec<_> = fs::read_dir(folder.path().join("courses")).unwrap().collect();
        assert_eq!(left.len(), 1, "half-unpacked folders are left behind: {left:?}");
    }

    #[test]
    fn another_content_is_another_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().to_owned()).unwrap();
        assert_ne!(unpack_files(&cache, SMALL).unwrap(), unpack_files(&cache, &SMALL[..1]).unwrap());
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let cache = Cache::at(folder.path().join("file/cache")).unwrap();
        let message = unpack_files(&cache, SMALL).unwrap_err().to_string();
        assert!(message.contains("GRADER_CACHE"), "{message}");
    }

    #[test]
    fn the_binary_carries_every_kernel_kind_and_no_build_output() {
        assert!(FILES.iter().any(|(path, _)| path.starts_with("labs/kernels/") && path.ends_with("/kernel.yaml")));
        assert!(FILES.iter().any(|(path, _)| *path == "reference-kernel/Cargo.toml"));
        assert!(!FILES.iter().any(|(path, _)| path.contains("target/") || path.contains(".git/")));
    }
}
