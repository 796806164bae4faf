//! What a builder makes of a trusted tree, for builds of submissions to begin with.
//!
//! A submission changes one crate of several, and whoever waits for its grade waits for all of them. What is kept was
//! made of the course's own files alone, in the very folder where submissions are built; each of these begins with a
//! copy.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::error::BuildError;
use super::scratch::Scratch;
use super::{Build, Order, Outcome, Progress};

/// The file that says what the rest was made of; it is written last.
const KEY: &str = "key";
const TREE: &str = "tree";

/// Before anything that is graded was written: the year 2000.
fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800)
}

/// Lays a built tree of the course's own into the empty folder where a submission is about to be built; builds it first
/// where there is none. Without, the build only takes longer, so nothing that goes wrong with the course's own tree is
/// said here.
///
/// The caller holds the lock of `root`.
pub(super) async fn lay(
    order: &Order<'_>,
    root: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(), BuildError> {
    let Some(trusted) = order.trusted.filter(|_| !order.kind.build.clean) else { return Ok(()) };
    let trusted = Order { tree: trusted, root: Path::new(""), ..*order };
    let kept = order.cache.folder("products")?.join(root.file_name().unwrap_or_default());
    let key = key(&trusted);
    if fs::read_to_string(kept.join(KEY)).ok().as_deref() != Some(&key)
        && !make(&trusted, root, &kept, progress).await?
    {
        return Scratch::clear(root);
    }
    Scratch::clear(root)?;
    let scratch = Scratch::at(root.to_owned()).map_err(|cause| BuildError::io(root, cause))?;
    copy(&kept.join(TREE), &scratch.tree, long_ago()).map_err(|(path, cause)| BuildError::io(path, cause))
}

/// What products depend on. Features are no part of it: most of what is built has none, and the builder sees to the
/// rest.
fn key(trusted: &Order<'_>) -> String {
    Order { features: &[], ..*trusted }.key()
}

/// Builds a trusted tree and keeps what came of it; whether it could be built.
async fn make(
    trusted: &Order<'_>,
    root: &Path,
    kept: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<bool, BuildError> {
    Scratch::clear(kept)?;
    let scratch = Scratch::at(root.to_owned()).map_err(|cause| BuildError::io(root, cause))?;
    let laid_in = trusted.tree.materialise(&scratch.tree, &trusted.kind.ignore);
    laid_in.map_err(|(path, cause)| BuildError::io(path, cause))?;
    progress(Progress::Compiling);
    let own_tree = trusted.kind.source.as_ref().map(|source| trusted.course.root.join(source));
    let built = Build::prepare(trusted, &scratch).await?.run(&trusted.key(), own_tree.as_deref(), progress).await;
    if !matches!(built, Ok(Outcome::Built(_))) {
        return Ok(false);
    }
    let keep = || {
        fs::create_dir_all(kept)?;
        fs::rename(&scratch.tree, kept.join(TREE))?;
        fs::write(kept.join(KEY), key(trusted))
    };
    keep().map_err(|cause| BuildError::io(kept, cause))?;
    Ok(true)
}

/// Copies a built tree; sources get one time, and what was made of them a later one, both long ago. Builders go by
/// times: were the clock set back, what was built of the course's own tree would seem newer than the submission's
/// files, and would be graded in their place. No inode is shared with what is copied: what a submission's build writes
/// is its own. Builders link what they would copy, and the copies of one file's names are again names of one file.
fn copy(from: &Path, to: &Path, time: SystemTime) -> Result<(), (PathBuf, io::Error)> {
    copy_folder(from, to, time, &mut Copied::default())
}

/// What is copied already of a file with several names.
#[derive(Default)]
struct Copied {
    /// By inode, where the copy lies.
    files: BTreeMap<u64, PathBuf>,
    /// For content on its way.
    buffer: Vec<u8>,
}

fn copy_folder(from: &Path, to: &Path, time: SystemTime, copied: &mut Copied) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |cause| (path, cause)
    };
    fs::create_dir_all(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(at(&source))?.is_dir() {
            let is_made = entry.file_name() == "target";
            let time = if is_made { time + Duration::from_secs(1) } else { time };
            copy_folder(&source, &target, time, copied)?;
        } else {
            copy_file(&source, &target, time, copied).map_err(at(&target))?;
        }
    }
    Ok(())
}

/// Hundreds of small files are copied for every submission, so each is opened once.
fn copy_file(from: &Path, to: &Path, time: SystemTime, copied: &mut Copied) -> io::Result<()> {
    let mut source = fs::File::open(from)?;
    let data = source.metadata()?;
    if data.nlink() > 1 {
        if let Some(first) = copied.files.get(&data.ino()) {
            return fs::hard_link(first, to);
        }
        copied.files.insert(data.ino(), to.to_owned());
    }
    copied.buffer.clear();
    source.read_to_end(&mut copied.buffer)?;
    let mut target = fs::File::options().write(true).create_new(true).open(to)?;
    target.write_all(&copied.buffer)?;
    target.set_permissions(data.permissions())?;
    target.set_modified(time)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_copy_shares_no_file_with_what_is_copied_and_has_the_same_links_modes_and_order_of_times() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("target/deps")).unwrap();
        fs::write(from.join("main.rs"), "fn main() {}").unwrap();
        fs::write(from.join("target/deps/program-1"), "ELF").unwrap();
        fs::set_permissions(from.join("target/deps/program-1"), fs::Permissions::from_mode(0o750)).unwrap();
        fs::hard_link(from.join("target/deps/program-1"), from.join("target/program")).unwrap();
        copy(&from, &to, long_ago()).unwrap();

        let data = |path: &str| fs::metadata(to.join(path)).unwrap();
        let made = data("target/program");
        assert_eq!(fs::read_to_string(to.join("target/program")).unwrap(), "ELF");
        assert_eq!((made.ino(), made.nlink()), (data("target/deps/program-1").ino(), 2));
        assert_eq!(made.mode() & 0o777, 0o750);
        assert!(data("main.rs").modified().unwrap() < made.modified().unwrap());
        fs::write(to.join("target/program"), "else").unwrap();
        assert_eq!(fs::read_to_string(from.join("target/program")).unwrap(), "ELF");
    }
}
