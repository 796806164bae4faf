//! System calls: number in `a7`, arguments in `a0` to `a5`, result in `a0`.
//!
//! A result is not negative on success, and the negated code of an [`Error`] otherwise; the page calls
//! answer with the negated code of a [`crate::page::PageError`] instead, once they have reached a pool. Before that
//! they answer [`Error::NotFound`] for a pool that this boot does not have, and then [`Error::Invalid`] for a client
//! number that is not a test program's, for the null address, and for a page that the kernel itself uses; none of
//! these is traced.

/// What a program can ask of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Syscall {
    /// `fork() -> child's id`, zero in the child.
    Fork = 1,
    /// `exit(status) -> !`
    Exit = 2,
    /// `wait(&mut status: *mut i64, why: *mut u8, length) -> id of the child that ended`
    ///
    /// The status of a killed child is -1, and `why` says in words why it was killed, cut at `length`; for any other
    /// child it is filled with zero bytes. Either pointer may be null, `why` with a length of zero.
    Wait = 3,
    /// `kill(id)`
    Kill = 4,
    /// `exec(path, path length, argv, argc)`; `argv` points at `argc` pairs of (pointer, length).
    Exec = 5,
    /// `getpid() -> id`
    GetPid = 6,
    /// `sbrk(bytes: isize) -> the end of the heap before the call`
    Sbrk = 7,
    /// `yield()`
    Yield = 8,
    /// `read(descriptor, buffer, length) -> bytes read`
    ///
    /// Descriptor 3 is the script, read from its start on by whoever reads it; descriptor 0 is at its end.
    Read = 9,
    /// `write(descriptor, buffer, length) -> bytes written`; 1 and 2 are the console.
    Write = 10,
    /// `uptime() -> nanoseconds since the machine started`
    Uptime = 11,
    /// `shutdown(status) -> !`
    Shutdown = 12,
    /// `thread_create(entry, first, second) -> id of the new thread`
    ///
    /// It begins at `entry` with `first` in `a0` and `second` in `a1`, on a stack of its own, and shares all memory
    /// with this process.
    ThreadCreate = 13,
    /// `thread_join(id) -> what it passed to thread_exit`; the lower 62 bits of it. Each thread can be joined once.
    ThreadJoin = 14,
    /// `thread_exit(status) -> !`; of the first thread of a process, `exit(status)`.
    ThreadExit = 15,
    /// `futex_wait(address, expected)`: sleeps until somebody wakes those who wait at this address, if the 32-bit word
    /// there is still `expected`; else, and now and then without a reason, it comes back at once.
    FutexWait = 16,
    /// `futex_wake(address, most) -> how many were woken`: wakes threads of this process that wait at the address.
    FutexWake = 17,
    /// `read_file(path, path length, buffer, length) -> length of the file`, with as much of its beginning as fits.
    ReadFile = 18,

    /// `record(body, length)`: prints a record of the fields in `body`, with the next running number.
    Record = 32,
    /// `page_allocate(pool, pages, client) -> byte address`
    PageAllocate = 33,
    /// `page_free(pool, address, pages, client)`
    PageFree = 34,
    /// `page_statistics(pool, client) -> free pages`
    PageStatistics = 35,
    /// `trace_read(buffer, bytes) -> whole operations copied`, oldest first, each of
    /// [`crate::page::Operation::SIZE`] bytes; they leave the kernel's buffer.
    ///
    /// With a null buffer of no bytes the kernel prints them itself, as one `ops` record, and answers how many there
    /// were: no panic can come between taking them out and printing them, and their numbers go on from program to
    /// program.
    TraceRead = 36,
    /// `free_pages() -> free pages of the kernel's own pool`, without a trace entry.
    FreePages = 37,
    /// `damaged_pages(client) -> pages` of this client's blocks whose contents were not what had been written when
    /// the kernel looked, which it does whenever a block is freed and at this call for all live blocks.
    DamagedPages = 38,

    /// `cache_create(size, alignment, flags, client) -> number of the cache`; flags as in [`crate::object`].
    ///
    /// The calls about caches answer with the negated code of a [`crate::object::SlabError`], or before they have
    /// reached the caches with [`Error::NotFound`] where the boot options do not ask for any, and [`Error::Invalid`]
    /// for a number that is no cache's or no client's. They work on the lab's object caches over the arena.
    CacheCreate = 64,
    /// `cache_destroy(cache, client)`
    CacheDestroy = 65,
    /// `cache_shrink(cache, client) -> pages given back`
    CacheShrink = 66,
    /// `cache_allocate(cache, client, bytes) -> address`; `bytes` for [`crate::object::GENERAL`] only.
    CacheAllocate = 67,
    /// `cache_free(cache, address, flags, client)`
    CacheFree = 68,
    /// `cache_info(cache, client) -> pages of a slab`: traces the statistics.
    CacheInfo = 69,
    /// `cache_trace() -> events printed`: prints the oldest events of a hart's trace as one record, if there are any.
    CacheTrace = 70,

    /// `move_to(hart)`: goes on on that hart, and stays there until the next call.
    MoveTo = 48,
    /// `interrupt_faults(which)`: how often page lists under test 0: returned with interrupts on where they had been off
    /// before, or off where they had been on; 1: asked for the number of their hart with interrupts on.
    InterruptFaults = 49,
}

impl Syscall {
    const ALL: [Self; 34] = [
        Self::Fork,
        Self::Exit,
        Self::Wait,
        Self::Kill,
        Self::Exec,
        Self::GetPid,
        Self::Sbrk,
        Self::Yield,
        Self::Read,
        Self::Write,
        Self::Uptime,
        Self::Shutdown,
        Self::ThreadCreate,
        Self::ThreadJoin,
        Self::ThreadExit,
        Self::FutexWait,
        Self::FutexWake,
        Self::ReadFile,
        Self::Record,
        Self::PageAllocate,
        Self::PageFree,
        Self::PageStatistics,
        Self::TraceRead,
        Self::FreePages,
        Self::DamagedPages,
        Self::CacheCreate,
        Self::CacheDestroy,
        Self::CacheShrink,
        Self::CacheAllocate,
        Self::CacheFree,
        Self::CacheInfo,
        Self::CacheTrace,
        Self::MoveTo,
        Self::InterruptFaults,
    ];

    /// The call with this number.
    pub fn from_number(number: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|call| *call as usize == number)
    }
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Error {
    /// There is no call of that number.
    NoSuchCall = 1,
    /// A pointer leads to memory that the program may not use that way.
    BadAddress = 2,
    /// Out of memory, or out of process slots.
    NoMemory = 3,
    /// No program, process, child or pool of that name or number.
    NotFound = 4,
    /// A descriptor, pool or argument makes no sense.
    Invalid = 5,
    /// The program is no executable for this kernel.
    NotExecutable = 6,
    /// The process was killed while it waited.
    Killed = 7,
}

impl Error {
    const ALL: [Self; 7] = [
        Self::NoSuchCall,
        Self::BadAddress,
        Self::NoMemory,
        Self::NotFound,
        Self::Invalid,
        Self::NotExecutable,
        Self::Killed,
    ];

    /// The error with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|error| *error as u8 == code)
    }
}
