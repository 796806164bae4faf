//! What QEMU writes, as far as it was read.

use std::fs::File;
use std::future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::MemfdFlags;
use tokio::net::unix::pipe;

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Bytes with where they come from.
#[derive(Debug)]
pub(super) struct Tail {
    from: From,
    pub bytes: Vec<u8>,
    /// Where what is read arrives. Most looks find nothing new, and must not cost a page of zeros.
    chunk: Box<[u8]>,
    /// Bytes that are kept.
    pub limit: u64,
}

#[derive(Debug)]
enum From {
    /// A file in memory. Not a pipe: when a pipe is full, the serial port stays busy until the harness has read on,
    /// and a guest that polls it would execute a number of instructions that depends on how busy the host is.
    File(File),
    /// A pipe, which says when there is something to read: under the parallel clock somebody may wait for an answer.
    Pipe { pipe: pipe::Receiver, ended: bool },
}

impl Tail {
    /// A file in memory, with what QEMU writes to.
    pub fn file(name: &str, limit: u64) -> io::Result<(Self, File)> {
        let file: File = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into();
        let end = file.try_clone()?;
        Ok((Self::of(From::File(file), limit), end))
    }

    /// A pipe, with what QEMU writes to.
    pub fn pipe(limit: u64) -> io::Result<(Self, File)> {
        let (reader, writer) = io::pipe()?;
        let pipe = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let end = File::from(OwnedFd::from(writer));
        Ok((Self::of(From::Pipe { pipe, ended: false }, limit), end))
    }

    fn of(from: From, limit: u64) -> Self {
        Self { from, bytes: Vec::new(), chunk: vec![0; CHUNK].into(), limit }
    }

    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Waits until there is something to read, if that can be known.
    pub async fn readable(&self) {
        match &self.from {
            From::Pipe { pipe, ended: false } if pipe.readable().await.is_ok() => {}
            _ => future::pending().await,
        }
    }

    /// Reads what is new, up to the limit.
    pub fn read(&mut self) -> io::Result<()> {
        while self.len() < self.limit {
            let end = self.len();
            let room = usize::try_from(self.limit - end).unwrap_or(usize::MAX).min(CHUNK);
            let chunk = &mut self.chunk[..room];
            let read = match &mut self.from {
                From::File(file) => file.read_at(chunk, end),
                From::Pipe { pipe, ended } => {
                    let read = pipe.try_read(chunk);
                    *ended = matches!(read, Ok(0));
                    read
                }
            };
            match read {
                Ok(0) => break,
                Ok(count) => self.bytes.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
