//! The system calls through which test programs drive a pool.

use core::ptr::{self, NonNull};

use abi::{
    object::SlabError,
    page::{KERNEL_CLIENT, Operation, PageError, Pool},
    syscall::Error,
};

use crate::{console, heap, pool::PagePool, pools, process::Process, spin::SpinGuard, trace};

/// What a page call answers when it fails: the code of a [`PageError`] or [`SlabError`], or of an [`Error`] where none fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u8);

impl From<PageError> for Code {
    fn from(error: PageError) -> Self {
        Self(error as u8)
    }
}

impl From<SlabError> for Code {
    fn from(error: SlabError) -> Self {
        Self(error as u8)
    }
}

impl From<Error> for Code {
    fn from(error: Error) -> Self {
        Self(error as u8)
    }
}

fn open(pool: usize) -> Result<SpinGuard<'static, PagePool>, Error> {
    let pool = pools::named(Pool::from_number(pool).ok_or(Error::Invalid)?).lock();
    if pool.exists() { Ok(pool) } else { Err(Error::NotFound) }
}

/// The number that a test program gives one of its processes.
pub fn client(client: usize) -> Result<u8, Error> {
    u8::try_from(client).ok().filter(|&client| client != KERNEL_CLIENT).ok_or(Error::Invalid)
}

/// `page_allocate`
pub fn allocate(pool: usize, pages: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    Ok(open(pool)?.allocate_for(by, pages)?)
}

/// `page_free`
pub fn free(pool: usize, address: usize, pages: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    let mut pool = open(pool)?;
    // No allocator can be asked about the null address, and no program may free what the kernel uses.
    let start = NonNull::new(ptr::with_exposed_provenance_mut(address)).ok_or(Error::Invalid)?;
    if pool.is_kernels(address) {
        return Err(Error::Invalid.into());
    }
    pool.free_for(by, start, pages)?;
    Ok(0)
}

/// `page_statistics`
pub fn statistics(pool: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    Ok(open(pool)?.statistics_for(by))
}

/// `damaged_pages`, over both pools
pub fn damaged(by: usize) -> Result<usize, Error> {
    let by = client(by)?;
    Ok([Pool::Kernel, Pool::Arena].into_iter().map(|pool| pools::named(pool).lock().damaged_pages(by)).sum::<u64>()
        as usize)
}

/// `free_pages`
pub fn free_pages() -> usize {
    // Pages that the heap keeps for later are nobody's.
    heap::shrink();
    pools::kernel().lock().statistics().free_pages
}

/// `trace_read`
pub fn read_trace(process: &mut Process, buffer: usize, bytes: usize) -> Result<usize, Error> {
    if buffer == 0 && bytes == 0 {
        return Ok(trace::print_next(&mut console::lock()) as usize);
    }
    // What leaves the trace must arrive.
    process.space.check_writable(buffer, bytes)?;
    let Some(pool) = pools::traced() else { return Ok(0) };
    let mut copied = 0;
    loop {
        let room = bytes / Operation::SIZE - copied;
        let batch = pool.lock().read_trace(room);
        trace::print_lost(&mut console::lock(), &batch);
        if batch.entries().is_empty() {
            return Ok(copied);
        }
        for operation in batch.entries() {
            process.space.copy_out(buffer + copied * Operation::SIZE, &to_bytes(operation))?;
            copied += 1;
        }
    }
}

/// An operation as it lies in memory.
fn to_bytes(operation: &Operation) -> [u8; Operation::SIZE] {
    let Operation { kind, client, hart, error, order, reserved, instructions, pages, address } = *operation;
    let mut bytes = [0; Operation::SIZE];
    bytes[..8].copy_from_slice(&[kind, client, hart, error, order, reserved[0], reserved[1], reserved[2]]);
    for (word, value) in [instructions, pages, address].into_iter().enumerate() {
        bytes[8 * (word + 1)..8 * (word + 2)].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}
