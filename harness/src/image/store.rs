//! Images by what they were made of, so that nothing is built twice.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::diagnostic::Diagnostic;
use super::error::BuildError;
use super::initrd::Programs;
use crate::cache::Cache;
use crate::{digest, files};

/// The version of what is kept; an image of another version is as good as none.
const FORMAT: u32 = 2;
/// The most images that are kept; the least recently used go first.
const KEPT: usize = 256;
const ABOUT: &str = "image.json";

/// A kernel that can be booted, with its programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The kernel's ELF file.
    pub kernel: PathBuf,
    /// The disk image that the machine gets, if it gets one.
    pub disk: Option<PathBuf>,
    /// The programs for the initrd, by name.
    pub programs: BTreeMap<String, PathBuf>,
    /// SHA-256, in hex, over the kernel, the disk and the programs.
    pub digest: String,
    /// What the compiler warned of.
    pub warnings: Vec<Diagnostic>,
    /// Whether it was there already.
    pub cached: bool,
}

impl Image {
    /// The programs, packed for the initrds of its boots.
    ///
    /// # Errors
    /// When a program cannot be read.
    pub fn packed(&self) -> Result<Programs, BuildError> {
        let read = |(name, path): (&String, &PathBuf)| {
            Ok((name.clone(), fs::read(path).map_err(|cause| BuildError::io(path, cause))?))
        };
        let programs = self.programs.iter().map(read).collect::<Result<_, BuildError>>()?;
        Ok(Programs::pack(&programs))
    }
}

#[derive(Serialize, Deserialize)]
struct About {
    format: u32,
    digest: String,
    disk: bool,
    programs: Vec<String>,
    warnings: Vec<Diagnostic>,
}

fn folder(cache: &Cache, key: &str) -> PathBuf {
    cache.root().join("images").join(&key[..32])
}

/// The image of that key, if it is there and whole.
pub fn find(cache: &Cache, key: &str) -> Option<Image> {
    let folder = folder(cache, key);
    let about: About = serde_json::from_slice(&fs::read(folder.join(ABOUT)).ok()?).ok()?;
    let image = Image {
        kernel: folder.join("kernel"),
        disk: about.disk.then(|| folder.join("disk")),
        programs: about.programs.iter().map(|name| (name.clone(), folder.join("bin").join(name))).collect(),
        digest: about.digest,
        warnings: about.warnings,
        cached: true,
    };
    let whole = about.format == FORMAT
        && image.kernel.is_file()
        && image.disk.iter().all(|path| path.is_file())
        && image.programs.values().all(|path| path.is_file());
    if whole && let Ok(file) = fs::File::open(folder.join(ABOUT)) {
        // Marks it as used; where that fails it may go a little early.
        let _ = file.set_modified(SystemTime::now());
    }
    whole.then_some(image)
}

/// What a build left.
#[derive(Debug)]
pub struct Outputs {
    /// The folder that it was allowed to write to.
    pub root: PathBuf,
    /// The kernel's ELF file.
    pub kernel: PathBuf,
    /// The disk image.
    pub disk: Option<PathBuf>,
    /// The programs, by name.
    pub programs: BTreeMap<String, PathBuf>,
}

/// Reads a file that a build left in its folder. We may read what it may not, so a link that leads out of there would
/// make a kernel of somebody else's secrets. Nobody is there to change the folder any more.
fn read_own(root: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let within = path.strip_prefix(root).map_err(io::Error::other)?;
    let mut walked = root.to_owned();
    for part in within.components() {
        walked.push(part);
        if fs::symlink_metadata(&walked)?.is_symlink() {
            return Err(io::Error::other(format!("{} is a symbolic link", walked.display())));
        }
    }
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    fs::read(path)
}

/// Keeps what a build left under a key.
pub fn keep(cache: &Cache, key: &str, outputs: &Outputs, warnings: Vec<Diagnostic>) -> Result<Image, BuildError> {
    let Outputs { root, kernel, disk, programs } = outputs;
    let read = |path: &Path| match read_own(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(BuildError::OutputMissing { path: path.to_owned() })
        }
        content => content.map_err(|cause| BuildError::io(path, cause)),
    };
    let mut contents = vec![("kernel".to_owned(), read(kernel)?)];
    if let Some(path) = disk {
        contents.push(("disk".to_owned(), read(path)?));
    }
    for (name, path) in programs {
        contents.push((format!("bin/{name}"), read(path)?));
    }
    let parts = contents.iter().map(|(name, content)| (name.as_bytes(), content.as_slice()));
    let about = About {
        format: FORMAT,
        digest: digest::of_parts(parts),
        disk: disk.is_some(),
        programs: programs.keys().cloned().collect(),
        warnings,
    };
    let about = serde_json::to_vec_pretty(&about).expect("it has only texts and numbers");
    contents.push((ABOUT.to_owned(), about));

    let goal = folder(cache, key);
    let images = cache.folder("images")?;
    let write = || -> io::Result<()> {
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(&images)?;
        for (name, content) in &contents {
            files::write_atomically(&new.path().join(name), content)?;
        }
        // One that is broken, or of an older format.
        if goal.exists() {
            fs::remove_dir_all(&goal)?;
        }
        fs::rename(new.path(), &goal)?;
        let _ = new.keep();
        Ok(())
    };
    write().map_err(|cause| BuildError::io(&goal, cause))?;
    prune(&images);
    let image = find(cache, key).ok_or(BuildError::OutputMissing { path: goal })?;
    Ok(Image { cached: false, ..image })
}

/// Removes the images that were used longest ago. A session that boots one has opened its files by then.
fn prune(images: &Path) {
    let used = |path: &PathBuf| {
        fs::metadata(path.join(ABOUT)).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let paths = fs::read_dir(images).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(|path| path.join(ABOUT).is_file()).map(|path| (used(&path), path)).collect();
    paths.sort();
    for (_, path) in paths.iter().take(paths.len().saturating_sub(KEPT)) {
        // Another grader may be at it too; nothing depends on who removes it.
        let _ = fs::remove_dir_all(path);
    }
}
