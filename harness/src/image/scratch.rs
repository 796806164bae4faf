//! The one folder that a build may write to, and what else it may reach and use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::error::BuildError;
use super::toolchain;
use crate::confinement::quota::{self, Quota};
use crate::confinement::watch::Allowance;
use crate::confinement::{Cage, Confinement, Limits, Reach, system};

/// Bytes that a build may leave on the disk; a kernel's takes 60 MB.
const DISK: u64 = 2 << 30;
/// Files that a build may leave; a kernel's takes about a thousand.
const FILES: u64 = 50_000;
/// Bytes of any one file.
const FILE_SIZE: u64 = 1 << 30;
/// Bytes of address space of one process; compilers map a multiple of what they use.
const ADDRESS_SPACE: u64 = 16 << 30;
/// Bytes of memory of all processes together; a kernel's build takes 500 MB.
const MEMORY: u64 = 4 << 30;
/// Processes and threads; a kernel's build takes 50.
const PROCESSES: u64 = 1000;

/// Processor time that one process of a build may take, where the build may take so much wall time: a source that keeps
/// a compiler busy for ever meets this bound first, which is the same on a busy machine.
pub(super) fn processor_time(limit: Duration) -> Duration {
    limit / 2
}

/// A folder with a tree of sources, a home and a place for temporary files.
#[derive(Debug)]
pub(super) struct Scratch {
    root: PathBuf,
    /// Where the sources lie, and what is made of them.
    pub tree: PathBuf,
}

impl Scratch {
    /// The folder of that name, with what an earlier build left.
    pub fn at(root: PathBuf) -> io::Result<Self> {
        if !root.is_dir() {
            make_apart(&root)?;
        }
        let scratch = Self { tree: root.join("tree"), root };
        for folder in [&scratch.tree, &scratch.home(), &scratch.temporary()] {
            fs::create_dir_all(folder)?;
        }
        Ok(scratch)
    }

    /// Removes all that is in a folder of that name: what another build left there says nothing to this one.
    pub fn clear(root: &Path) -> Result<(), BuildError> {
        quota::remove(root).map_err(|cause| BuildError::io(root, cause))
    }

    fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Has a builder run in the tree, and confines it; `programs` are those that it will start, as far as is known, and
    /// `limit` is its wall time.
    pub fn confine(
        &self,
        command: &mut Command,
        confinement: &Confinement,
        programs: &[&str],
        limit: Duration,
    ) -> Result<(), BuildError> {
        let (cargo_home, rustup_home) = (toolchain::cargo_home(), toolchain::rustup_home());
        // What lies in a home of the user's is out of reach; what was looked for there is named.
        command.env("HOME", self.home()).env("TMPDIR", self.temporary());
        command.env("CARGO_HOME", &cargo_home).env("RUSTUP_HOME", &rustup_home);
        for name in toolchain::NETWORK {
            command.env_remove(name);
        }
        let mut read = system::readable();
        read.extend(system::of_programs(programs.iter().copied()));
        read.extend(system::of_cargo(&cargo_home, &rustup_home, &self.tree));
        let mut write = system::writable();
        write.push(self.root.clone());
        let limits = Limits {
            file_size: FILE_SIZE,
            address_space: ADDRESS_SPACE,
            processor: processor_time(limit),
            processes: Some(PROCESSES),
        };
        let cage = Cage { reach: Reach { read, write }, limits };
        Ok(cage.hold(command, confinement)?)
    }

    /// What all processes of a build may use together.
    pub fn allowance(&self) -> Allowance {
        Allowance {
            folder: self.root.clone(),
            quota: Quota { bytes: DISK, files: FILES },
            memory: MEMORY,
            tasks: PROCESSES,
        }
    }
}

/// Makes a folder that has nothing to do with its neighbours, and asks the file system to put it elsewhere.
///
/// Ext4 puts what is made in a folder near that folder; without a journal, it first looks at what was deleted there
/// lately. After some builds with hundreds of files each, that takes longer than to copy their content: seen under
/// Linux 6.18, in `recently_deleted` of `fs/ext4/ialloc.c`. Folders in one with this flag are spread over the disk.
fn make_apart(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("/"));
    let spread = |parent: fs::File| ioctl_setflags(&parent, ioctl_getflags(&parent)? | IFlags::TOPDIR);
    // Other file systems know no such wish.
    let _ = fs::File::open(parent).map(spread);
    // Where it is put depends on its first name.
    let made = tempfile::Builder::new().prefix(".new-").tempdir_in(parent)?;
    fs::rename(made.path(), folder)?;
    // Nothing of that name is left to be removed.
    let _ = made.keep();
    Ok(())
}
