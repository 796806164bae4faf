//! Watches what the kernel keeps no account of while a builder runs: the size of its folder, and the memory and number
//! of all its processes together.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::family;
use super::quota::{Excess, Quota};

/// How often it looks at the processes, at most.
const EVERY: Duration = Duration::from_millis(200);

/// How many times longer than it looked it then waits, at least.
const REST: u32 = 80;

/// It walks through the folder, which takes longer, once the file system lost this part of what the folder may hold.
const PART: u64 = 8;

/// It does so every so many looks in any case: not every file system says how many files it has room for.
const LOOKS_A_WALK: u32 = 25;

/// What all processes of a builder may use together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The folder that it writes to.
    pub folder: PathBuf,
    /// What the folder may hold.
    pub quota: Quota,
    /// Bytes of memory.
    pub memory: u64,
    /// Processes and threads.
    pub tasks: u64,
}

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMuch {
    /// Bytes in its folder; how many are allowed.
    Disk(u64),
    /// Files in its folder; how many are allowed.
    Files(u64),
    /// Folders in folders.
    Depth,
    /// Memory; how many bytes are allowed.
    Memory(u64),
    /// Processes; how many are allowed.
    Tasks(u64),
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(most) => write!(f, "writes more than {} MiB", most >> 20),
            Self::Files(most) => write!(f, "makes more than {most} files"),
            Self::Depth => f.write_str("makes folders in folders without end"),
            Self::Memory(most) => write!(f, "takes more than {} MiB of memory", most >> 20),
            Self::Tasks(most) => write!(f, "starts more than {most} processes"),
        }
    }
}

impl Allowance {
    /// What the family of this process uses too much of.
    fn used_by(&self, first: u32) -> Option<TooMuch> {
        let used = family::measure(first);
        if used.tasks > self.tasks {
            return Some(TooMuch::Tasks(self.tasks));
        }
        (used.memory > self.memory).then_some(TooMuch::Memory(self.memory))
    }

    /// What there is too much of in the folder. What a builder left there between two looks counts as well.
    pub fn left(&self) -> Option<TooMuch> {
        self.quota.exceeded(&self.folder).map(|excess| match excess {
            Excess::Bytes => TooMuch::Disk(self.quota.bytes),
            Excess::Files => TooMuch::Files(self.quota.files),
            Excess::Depth => TooMuch::Depth,
        })
    }

    /// Looks at the family of this process again and again, and answers once it uses too much.
    pub async fn watch(&self, first: u32) -> TooMuch {
        let (mut walked, mut looks) = (Room::on_disk_of(&self.folder), 0);
        loop {
            let from = Instant::now();
            if let Some(excess) = self.used_by(first) {
                return excess;
            }
            let room = Room::on_disk_of(&self.folder);
            looks += 1;
            if looks == LOOKS_A_WALK || room.fell_since(walked, self.quota) {
                if let Some(excess) = self.left() {
                    return excess;
                }
                (walked, looks) = (room, 0);
            }
            tokio::time::sleep(EVERY.max(from.elapsed() * REST)).await;
        }
    }
}

/// What a file system has room for. Others use it, too: that it fell says only that somebody should look.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    bytes: u64,
    files: u64,
}

impl Room {
    /// Of the file system that a folder is on; none where it says nothing.
    fn on_disk_of(folder: &Path) -> Self {
        let told = rustix::fs::statvfs(folder).ok();
        told.map_or(Self::default(), |told| Self { bytes: told.f_bfree * told.f_frsize, files: told.f_ffree })
    }

    /// Whether a [`PART`] of the quota, or more, went since then.
    fn fell_since(self, before: Self, quota: Quota) -> bool {
        let fell = |before: u64, now: u64, quota: u64| before.saturating_sub(now) >= quota / PART;
        fell(before.bytes, self.bytes, quota.bytes) || fell(before.files, self.files, quota.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_grows_beyond_its_quota_is_found_out_while_its_builder_runs() {
        let folder = tempfile::tempdir().unwrap();
        let quota = Quota { bytes: 16 << 20, files: 1000 };
        let allowance = Allowance { folder: folder.path().to_owned(), quota, memory: u64::MAX, tasks: u64::MAX };
        let file = folder.path().join("large");
        let fill = async {
            tokio::time::sleep(EVERY).await;
            std::fs::write(file, vec![1; 17 << 20]).unwrap();
            std::future::pending::<TooMuch>().await
        };
        let most = EVERY * LOOKS_A_WALK * 4;
        let found = async {
            tokio::select! { found = allowance.watch(std::process::id()) => found, never = fill => never }
        };
        assert_eq!(tokio::time::timeout(most, found).await.ok(), Some(TooMuch::Disk(16 << 20)));
    }

    #[test]
    fn a_file_system_that_lost_part_of_what_a_folder_may_hold_is_a_reason_to_look() {
        let quota = Quota { bytes: 800, files: 80 };
        let before = Room { bytes: 10_000, files: 500 };
        assert!(!Room { bytes: 9_901, files: 491 }.fell_since(before, quota));
        assert!(Room { bytes: 9_900, files: 500 }.fell_since(before, quota));
        assert!(Room { bytes: 12_000, files: 490 }.fell_since(before, quota));
        assert!(!Room { bytes: 12_000, files: 600 }.fell_since(before, quota));
    }
}
