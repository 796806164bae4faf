//! Keeps a program that a submission had a hand in from everything but its own folder: what of that this machine can
//! do, and how it is done to a builder or to QEMU.
//!
//! One file a protection. [`Cage`] puts them together for one program; [`policy`] says when one that is missing is a
//! reason to refuse.

mod cage;
mod family;
mod fork;
mod keeper;
pub mod landlock;
mod limits;
pub mod namespaces;
pub mod policy;
mod privileges;
pub mod quota;
mod step;
pub mod system;
pub mod system_calls;
pub mod watch;

use std::env;

use serde::{Deserialize, Serialize};

pub use cage::{Cage, CageError, keep};
pub use keeper::END;
pub use landlock::Reach;
pub use limits::Limits;
pub use namespaces::Route;
pub use step::explain;

/// The variable that names means not to be used, with commas: `landlock`, `seccomp`, `namespaces`, `qemu-sandbox`,
/// `witness`. For tests, and for machines on which one of them is broken; what is missing then is reported like any
/// other.
pub const WITHOUT: &str = "GRADER_WITHOUT";

/// What this machine can confine programs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Version of Landlock's interface, zero for none.
    pub landlock: u32,
    /// Whether there are filters of system calls.
    pub seccomp: bool,
    /// How namespaces can be had.
    pub namespaces: Route,
    /// Whether the kernel bounds the number of processes by namespace.
    pub counts_by_namespace: bool,
    /// Whether privileges are dropped.
    pub privileges: bool,
    /// Whether QEMU can filter its own system calls.
    pub qemu_sandbox: bool,
}

/// Whether [`WITHOUT`] names these means.
pub fn is_unwanted(means: &str) -> bool {
    env::var(WITHOUT).unwrap_or_default().split(',').any(|name| name.trim() == means)
}

/// One thing that a program is kept from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// It reads the system and its tools, writes to its own folder, and knows of nothing else.
    Files,
    /// It reaches no network, and no service of this machine.
    Network,
    /// It has no privileges, and gains none.
    Privileges,
    /// All that it starts ends with it, and it with us.
    Processes,
    /// It uses no more of this machine than it may.
    Limits,
    /// Its folder grows to no more than a certain size.
    Disk,
    /// QEMU keeps itself from starting programs, whatever a guest makes it do.
    Qemu,
}

impl Protection {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Files, Self::Network, Self::Privileges, Self::Processes, Self::Limits, Self::Disk, Self::Qemu];

    /// Its name, as it is written in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Network => "network",
            Self::Privileges => "privileges",
            Self::Processes => "processes",
            Self::Limits => "limits",
            Self::Disk => "disk",
            Self::Qemu => "qemu",
        }
    }
}

/// A protection on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub protection: Protection,
    /// Whether it is in force.
    pub state: State,
}

/// Whether a protection is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is; by what.
    InForce(String),
    /// It is not.
    Missing {
        /// Why not.
        why: String,
        /// What brings it.
        remedy: String,
    },
}

impl Confinement {
    /// Finds out what this machine can do, by trying it in children that end at once. `qemu_sandbox` is whatever QEMU
    /// says of itself.
    pub fn of_machine(qemu_sandbox: bool) -> Self {
        let with = |means: &str| !is_unwanted(means);
        let namespaces = match with("namespaces") {
            true => Route::find(),
            false => Route::None(format!("{WITHOUT} says so")),
        };
        Self {
            landlock: if with("landlock") { landlock::abi() } else { 0 },
            seccomp: with("seccomp") && system_calls::available(),
            counts_by_namespace: namespaces::have_bounds(&namespaces),
            namespaces,
            privileges: true,
            qemu_sandbox: qemu_sandbox && with("qemu-sandbox"),
        }
    }

    /// Limits, and nothing else: for programs of our own making.
    pub fn none() -> Self {
        Self {
            landlock: 0,
            seccomp: false,
            namespaces: Route::None("they are not asked for".to_owned()),
            counts_by_namespace: false,
            privileges: false,
            qemu_sandbox: false,
        }
    }

    /// What is in force for builders and QEMU, and what is not.
    pub fn protections(&self) -> Vec<Status> {
        Protection::ALL.map(|protection| Status { protection, state: self.state(protection) }).into()
    }

    fn state(&self, protection: Protection) -> State {
        let joined = |means: &[Option<String>]| means.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
        let text = |held: bool, text: &str| held.then(|| text.to_owned());
        let namespaces = !matches!(self.namespaces, Route::None(_));
        let missing = |why: &str, remedy: &str| State::Missing { why: why.to_owned(), remedy: remedy.to_owned() };
        match protection {
            Protection::Files if self.landlock == 0 => missing(
                "the kernel has no Landlock: builds and QEMU cannot be kept from the file system",
                "boot Linux 5.13 or later with `landlock` in the `lsm=` option",
            ),
            Protection::Files if self.landlock < landlock::TRUNCATION && !self.seccomp => missing(
                "this version of Landlock does not keep a program from cutting off files that it may read",
                "boot Linux 6.2 or later",
            ),
            Protection::Files => State::InForce(format!("Landlock, ABI {}", self.landlock)),
            Protection::Network if !self.seccomp && !namespaces => {
                let why = match self.landlock {
                    landlock::NETWORK.. => "only TCP can be refused (Landlock)",
                    _ => "there is neither seccomp nor a network namespace",
                };
                missing(why, namespaces::remedy())
            }
            Protection::Network => State::InForce(joined(&[
                text(self.seccomp, "no sockets (seccomp)"),
                text(namespaces, "network namespace"),
                text(self.landlock >= landlock::NETWORK, "no TCP (Landlock)"),
            ])),
            Protection::Privileges => State::InForce("no new privileges, no capabilities".to_owned()),
            Protection::Processes if namespaces => State::InForce("PID namespace, parent-death signal".to_owned()),
            Protection::Processes => {
                State::InForce("session and orphans, parent-death signal (no PID namespace)".to_owned())
            }
            Protection::Limits => {
                let counted = self.counts_by_namespace || !rustix::process::getuid().is_root();
                State::InForce(joined(&[
                    text(true, "file size, address space, processor time, wall time"),
                    text(counted, "number of processes"),
                    text(true, "watched: memory"),
                    text(!counted, "number of processes"),
                ]))
            }
            Protection::Disk => State::InForce("watched: size and number of files".to_owned()),
            Protection::Qemu if self.qemu_sandbox => State::InForce("-sandbox".to_owned()),
            Protection::Qemu => missing("this QEMU was built without its -sandbox", "install your distribution's QEMU"),
        }
    }
}

impl Status {
    /// Whether it is in force.
    pub fn is_in_force(&self) -> bool {
        matches!(self.state, State::InForce(_))
    }
}
