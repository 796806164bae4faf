//! What QEMU may reach and use in a boot.

use std::env;
use std::process::Command;
use std::time::Duration;

use super::Boot;
use crate::confinement::{Cage, CageError, Confinement, Limits, Reach, system};
use crate::lab::Deadline;

/// Bytes of address space that QEMU takes beside the guest's memory: its libraries, the stacks and heaps of its
/// threads, and translated code. It is 1.6 GB with QEMU 7.2.
const OWN: u64 = 8 << 30;

/// Processor time that a boot takes at the most, by its deadline: what watches the boot ends it long before, and this
/// is for when nobody watches any more.
fn processor(boot: &Boot) -> Duration {
    let (limit, factor) = match boot.deadline {
        Deadline::Guest(limit) => (limit, 40),
        Deadline::Wall(limit) => (limit, 2 * u32::from(boot.harts)),
    };
    Duration::from_secs(600) + Duration::from_nanos(limit) * factor
}

/// Has QEMU run with nothing but what the boot names, and without our environment.
pub(super) fn confine(command: &mut Command, boot: &Boot, confinement: &Confinement) -> Result<(), CageError> {
    command.env_clear().env("LC_ALL", "C.UTF-8");
    command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
    let mut read = system::readable();
    read.extend(system::of_programs(boot.qemu.first().map(String::as_str)));
    read.extend([&boot.kernel, &boot.initrd].into_iter().filter(|path| path.is_file()).cloned());
    let mut write = system::writable();
    if let Some(station) = &boot.witness {
        read.extend([station.library.clone(), station.input.clone()]);
        write.push(station.output.clone());
    }
    // A disk is the boot's own copy, and named in an argument.
    write.extend(boot.disk.iter().cloned());
    let limits = Limits {
        // Set where the files are made that it writes to.
        file_size: u64::MAX,
        address_space: (u64::from(boot.memory) << 20) + OWN,
        processor: processor(boot),
        processes: None,
    };
    Cage { reach: Reach { read, write }, limits }.hold(command, confinement)
}
