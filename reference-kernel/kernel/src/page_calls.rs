//! The system calls through which test programs drive a pool.

use core::ptr::{self, NonNull};

use abi::{
    page::{KERNEL_CLIENT, Operation, PageError, Pool},
    syscall::Error,
};
use base::{console, process::Process, spin::SpinGuard, syscall::Code};

use crate::{
    heap,
    lists::{self, Lists},
    pool::PagePool,
    pools, trace,
};

fn open(pool: usize) -> Result<SpinGuard<'static, PagePool>, Error> {
    let pool = pools::named(Pool::from_number(pool).ok_or(Error::Invalid)?).lock();
    if pool.exists() { Ok(pool) } else { Err(Error::NotFound) }
}

/// The number that a test program gives one of its processes.
pub fn client(client: usize) -> Result<u8, Error> {
    u8::try_from(client).ok().filter(|&client| client != KERNEL_CLIENT).ok_or(Error::Invalid)
}

/// The lists that have a pool's memory, where it is not the pool that does.
fn lists_of(pool: usize) -> Result<Option<&'static Lists>, Error> {
    let lists = match Pool::from_number(pool).ok_or(Error::Invalid)? {
        Pool::Kernel => &lists::KERNEL,
        Pool::Arena => &lists::ARENA,
    };
    Ok(lists.exist().then_some(lists))
}

/// `page_allocate`
pub fn allocate(pool: usize, pages: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    if let Some(lists) = lists_of(pool)? {
        return match pages {
            0 => Err(PageError::Zero.into()),
            1 => Ok(lists.allocate_for(by).ok_or(PageError::Exhausted)?),
            _ => Err(PageError::TooLarge.into()),
        };
    }
    let answer = open(pool)?.allocate_for(by, pages);
    if answer == Err(PageError::Exhausted) && pools::drain_lists() {
        return Ok(open(pool)?.allocate_for(by, pages)?);
    }
    Ok(answer?)
}

/// `page_free`
pub fn free(pool: usize, address: usize, pages: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    let lists = lists_of(pool)?;
    // No allocator can be asked about the null address, and no program may free what the kernel uses.
    let start = NonNull::new(ptr::with_exposed_provenance_mut(address));
    if let Some(lists) = lists {
        let start = start.filter(|_| pages == 1).ok_or(Error::Invalid)?;
        return if lists.free_for(by, start) { Ok(0) } else { Err(PageError::Outside.into()) };
    }
    let mut pool = open(pool)?;
    let start = start.ok_or(Error::Invalid)?;
    if pool.is_kernels(address) {
        return Err(Error::Invalid.into());
    }
    pool.free_for(by, start, pages)?;
    Ok(0)
}

/// `page_statistics`
pub fn statistics(pool: usize, by: usize) -> Result<usize, Code> {
    let by = client(by)?;
    if let Some(lists) = lists_of(pool)? {
        return Ok(lists.count_for(by));
    }
    Ok(open(pool)?.statistics_for(by))
}

/// `interrupt_faults`
pub fn interrupt_faults(which: usize) -> Result<usize, Error> {
    match which {
        0 => Ok(lists::interrupts_left_wrong() as usize),
        #[cfg(feature = "kmem")]
        1 => Ok(crate::counted::numbers_in_doubt() as usize),
        _ => Err(Error::Invalid),
    }
}

/// `damaged_pages`, over both pools; over all clients where lists are what is under test
pub fn damaged(by: usize) -> Result<usize, Error> {
    let by = client(by)?;
    if lists::UNDER_TEST {
        return Ok(lists::ARENA.damaged_pages() as usize);
    }
    Ok([Pool::Kernel, Pool::Arena].into_iter().map(|pool| pools::named(pool).lock().damaged_pages(by)).sum::<u64>()
        as usize)
}

/// `free_pages`
pub fn free_pages() -> usize {
    // Pages that the heap keeps for later are nobody's.
    heap::shrink();
    pools::count_free_pages()
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
