//! The guest's memory in a file of the harness's own, which can be read when the machine is off.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::MemfdFlags;

/// Where memory begins on QEMU's `virt` machine (hw/riscv/virt.c).
const START: u64 = 0x8000_0000;

/// Memory that QEMU gives the guest and the harness reads. That needs no answer from anybody: a guest that powers off
/// ends QEMU 7.2 within that instruction, whatever `-action shutdown` says.
#[derive(Debug)]
pub(super) struct SharedMemory {
    file: File,
    mebibytes: u32,
}

impl SharedMemory {
    /// So much of it.
    ///
    /// # Errors
    /// When the system has no such files.
    pub fn new(mebibytes: u32) -> io::Result<Self> {
        let file: File = rustix::fs::memfd_create("guest memory", MemfdFlags::CLOEXEC)?.into();
        file.set_len(u64::from(mebibytes) << 20)?;
        Ok(Self { file, mebibytes })
    }

    /// Its number, which is to stay open in QEMU.
    pub fn number(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// The options that have QEMU use it.
    pub fn options(&self) -> [String; 4] {
        let Self { mebibytes, .. } = self;
        let number = self.number();
        let backend =
            format!("memory-backend-file,id=memory,size={mebibytes}M,mem-path=/proc/self/fd/{number},share=on");
        ["-object".into(), backend, "-machine".into(), "memory-backend=memory".into()]
    }

    /// The word at a physical address.
    ///
    /// # Errors
    /// When no memory is there.
    pub fn word(&self, address: u64) -> io::Result<u64> {
        let offset = address.checked_sub(START).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, offset)?;
        Ok(u64::from_le_bytes(word))
    }
}
