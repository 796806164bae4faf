//! Limits on a process: what it may use of files, memory and processors, kept by the kernel.

use std::time::Duration;

use rustix::io::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one process may use, and where it says so, all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that any one file can grow to.
    pub file_size: u64,
    /// Bytes of address space of a process.
    pub address_space: u64,
    /// Processor time of a process.
    pub processor: Duration,
    /// Processes and threads of them all together; `None` for a program that can start none.
    pub processes: Option<u64>,
}

/// Limits as the kernel takes them.
#[derive(Debug, Clone, Default)]
pub(super) struct Prepared {
    limits: Vec<(Resource, u64, u64)>,
}

impl Limits {
    /// `counted` is how many processes and threads the kernel counts already that are not the program's: those of the
    /// same user, unless it gets a user namespace of its own.
    pub(super) fn prepare(&self, counted: u64) -> Prepared {
        let seconds = self.processor.as_secs().max(1);
        let mut limits = vec![
            (Resource::Core, 0, 0),
            (Resource::Fsize, self.file_size, self.file_size),
            (Resource::As, self.address_space, self.address_space),
            // The first is a signal that a compiler reports, the second one that nothing survives.
            (Resource::Cpu, seconds, seconds + 5),
            (Resource::Nofile, 4096, 4096),
            (Resource::Memlock, 1 << 20, 1 << 20),
        ];
        if let Some(processes) = self.processes {
            limits.push((Resource::Nproc, counted + processes, counted + processes));
        }
        Prepared { limits }
    }
}

impl Prepared {
    /// Sets them; never above what is allowed already. Makes system calls only.
    pub(super) fn set(&self) -> Result<()> {
        for &(resource, soft, hard) in &self.limits {
            let allowed = getrlimit(resource);
            let least = |wanted: u64, allowed: Option<u64>| Some(allowed.map_or(wanted, |most| most.min(wanted)));
            let maximum = least(hard, allowed.maximum);
            setrlimit(resource, Rlimit { current: least(soft, maximum), maximum })?;
        }
        Ok(())
    }
}

/// Processes and threads of the user that we run as.
pub(super) fn threads_of_user() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::getuid().as_raw();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = processes.filter(|entry| {
        entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit)
            && entry.metadata().is_ok_and(|data| data.uid() == user)
    });
    // A folder has a link for itself, one in its parent, and one for each folder in it.
    own.filter_map(|entry| std::fs::metadata(entry.path().join("task")).ok()).map(|data| data.nlink() - 2).sum()
}
