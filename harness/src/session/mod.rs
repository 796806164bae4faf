//! One boot of an image: QEMU is started, its serial line read, and whatever happens, it is ended.

mod command;
mod confine;
mod conversation;
pub mod dialogue;
mod last_words;
mod monitor;
mod patience;
mod process;
mod run;
pub mod sections;
mod serial_line;
mod shared_memory;
pub mod store;
mod talk;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::{Clock, Deadline, SessionId};
use crate::witness::{Seen, Station, memory};
use dialogue::{Dialogue, Exchange};

pub use monitor::Glimpse;
pub use run::{BootError, Progress, run};

/// Everything that one boot depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Boot {
    /// Its name.
    pub session: SessionId,
    /// QEMU's program and the arguments that the kernel kind asks for (machine, firmware, devices).
    pub qemu: Vec<String>,
    /// The kernel's ELF file.
    pub kernel: PathBuf,
    /// The initrd's file.
    pub initrd: PathBuf,
    /// The disk's file, which an argument of QEMU's names; it is this boot's own.
    #[serde(skip)]
    pub disk: Option<PathBuf>,
    /// The kernel's boot arguments.
    pub arguments: String,
    /// Harts.
    pub harts: u8,
    /// Memory in MiB.
    pub memory: u32,
    /// How time passes.
    pub clock: Clock,
    /// When it is over at the latest.
    pub deadline: Deadline,
    /// Bytes of serial output after which it is ended.
    pub output_limit: u64,
    /// Regular expressions; after a line that one of them matches, the guest does nothing more, and it is ended.
    #[serde(default)]
    pub last_words: Vec<String>,
    /// What is said over the console, if anything is; the boot ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialogue: Option<Dialogue>,
    /// What it is watched with from outside, if it is.
    #[serde(skip)]
    pub witness: Option<Station>,
    /// Whether some of its memory is to be read when it is off.
    #[serde(skip)]
    pub sampled: bool,
}

/// How the process of a boot came to its end, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Stop {
    /// The guest powered the machine off, with this status.
    PoweredOff {
        /// What the guest wrote to the test device.
        status: i32,
    },
    /// The guest used up its time and did not end by itself; QEMU was killed.
    OutOfTime,
    /// Every hart slept, and nothing was left that could wake one; QEMU was killed.
    Stalled,
    /// The guest said, in this line, that it does nothing more; QEMU was killed.
    GaveUp {
        /// The line.
        line: String,
    },
    /// Everything was said over the console that was to be said; QEMU was killed.
    AllSaid,
    /// A command took longer than it may; QEMU was killed.
    Overdue {
        /// The command, as an index of [`Dialogue::commands`]; the first prompt, without one.
        command: Option<usize>,
    },
    /// The guest wrote more than the output limit; QEMU was killed.
    Flooded,
    /// QEMU itself ended with a message, or was killed by somebody else; nothing can be said of the guest.
    Broken {
        /// What is known: status or signal, and what QEMU wrote to its standard error.
        reason: String,
    },
}

/// Every byte that the serial line said in a boot, with how the boot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// The boot.
    pub boot: Boot,
    /// What came over the serial line, as it came.
    pub serial: Vec<u8>,
    /// What was typed, and where its output lies in that.
    pub exchanges: Vec<Exchange>,
    /// How it ended.
    pub stop: Stop,
    /// What was seen of it from outside, if anybody watched.
    pub seen: Option<Seen>,
    /// What was found in its memory when it was off, if anybody looked.
    pub found: Vec<memory::Page>,
    /// Where its harts were before it was ended, at several moments, if it was ended for taking too long.
    pub glimpses: Vec<Vec<Glimpse>>,
    /// Wall time from start to end; no part of a verdict.
    pub wall: Duration,
    /// Processor time that QEMU used; no part of a verdict.
    pub processor: Duration,
}

#[cfg(test)]
mod tests;
