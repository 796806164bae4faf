//! The user's cache folder: everything in it can be made again.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::owner::Owner;

/// The variable that names another cache folder.
pub const VARIABLE: &str = "GRADER_CACHE";

/// The folder where images, build trees, clones and the unpacked course are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Nobody says where the user's cache is.
    #[error(
        "find a cache folder: the environment names no home folder; set {VARIABLE} to a folder that can be written"
    )]
    Nowhere,
    /// The builders' command lines could not name files in it.
    #[error(
        "use cache folder {0:?}: its path has a quote, a backslash or a line break in it, or is no UTF-8; set {VARIABLE} to another"
    )]
    Path(PathBuf),
    /// It cannot be written.
    #[error("write to cache folder {path}; set {VARIABLE} to a folder that can be written")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

impl CacheError {
    /// No submission can break the cache.
    pub const OWNER: Owner = Owner::Harness;
}

impl Cache {
    /// The folder that `GRADER_CACHE` names, else `grader` in the user's cache folder.
    ///
    /// # Errors
    /// When there is none, or its path cannot stand on a command line.
    pub fn find() -> Result<Self, CacheError> {
        let root = match env::var_os(VARIABLE) {
            Some(root) if !root.is_empty() => {
                std::path::absolute(&root).map_err(|cause| CacheError::Write { path: PathBuf::from(root), cause })?
            }
            _ => etcetera::choose_base_strategy().map_err(|_| CacheError::Nowhere)?.cache_dir().join("grader"),
        };
        Self::at(root)
    }

    /// A cache in this folder, which need not exist.
    ///
    /// # Errors
    /// When its path cannot stand on a command line.
    pub fn at(root: PathBuf) -> Result<Self, CacheError> {
        match root.to_str() {
            Some(text) if !text.contains(['\'', '"', '\\', '\n', '\r', '=']) => Ok(Self { root }),
            _ => Err(CacheError::Path(root)),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder of the cache, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, CacheError> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(|cause| CacheError::Write { path: path.clone(), cause })?;
        Ok(path)
    }

    /// Waits for the lock of that name, and holds it until the answer is dropped.
    ///
    /// The system drops it too when the process dies, so a lock is never left behind.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub fn lock(&self, name: &str) -> Result<Lock, CacheError> {
        let (file, path) = self.lock_file(name)?;
        file.lock().map_err(|cause| CacheError::Write { path, cause })?;
        Ok(Lock { _file: file })
    }

    /// As [`lock`](Self::lock), but answers `None` when somebody else holds it.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, CacheError> {
        let (file, path) = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(cause)) => Err(CacheError::Write { path, cause }),
        }
    }

    fn lock_file(&self, name: &str) -> Result<(File, PathBuf), CacheError> {
        let path = self.folder("locks")?.join(name.replace('/', "+"));
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|cause| CacheError::Write { path: path.clone(), cause })?;
        Ok((file, path))
    }
}

/// Keeps other graders out of a part of the cache as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}
