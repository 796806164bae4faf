//! System calls, one function each; what they mean is said in `abi::syscall`.

use core::{arch::asm, fmt, sync::atomic::AtomicU32};

use abi::{
    object::SlabError,
    page::{PageError, Pool},
    syscall::{Error, Syscall},
};

/// Makes any call with any arguments, as tests do that want to be refused.
///
/// # Safety
/// `exec` and the calls that write to memory do what they are asked to.
pub unsafe fn raw(number: usize, arguments: [usize; 4]) -> isize {
    let [a0, a1, a2, a3] = arguments;
    let result;
    // SAFETY: the kernel changes no register but the one with the result.
    unsafe {
        asm!(
            "ecall",
            inlateout("a0") a0 => result,
            in("a1") a1,
            in("a2") a2,
            in("a3") a3,
            in("a7") number,
            options(nostack),
        )
    };
    result
}

fn call(call: Syscall, arguments: [usize; 4]) -> Result<usize, Error> {
    // SAFETY: the functions below pass only memory that they have borrowed.
    let result = unsafe { raw(call as usize, arguments) };
    usize::try_from(result).map_err(|_| error(result))
}

fn error(result: isize) -> Error {
    u8::try_from(result.wrapping_neg()).ok().and_then(Error::from_code).expect("the kernel answers with known errors")
}

fn page_call(call: Syscall, arguments: [usize; 4]) -> Result<usize, PageError> {
    // SAFETY: no page call writes to the program's memory.
    let result = unsafe { raw(call as usize, arguments) };
    let code = |_| u8::try_from(result.wrapping_neg()).ok().and_then(PageError::from_code);
    usize::try_from(result).map_err(|error| code(error).expect("the kernel answers with known errors"))
}

fn object_call(call: Syscall, arguments: [usize; 4]) -> Result<usize, SlabError> {
    // SAFETY: no call about caches writes to the program's memory.
    let result = unsafe { raw(call as usize, arguments) };
    let code = |_| u8::try_from(result.wrapping_neg()).ok().and_then(SlabError::from_code);
    usize::try_from(result).map_err(|error| code(error).expect("the kernel answers with known errors"))
}

/// What `fork` returns, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// In the child.
    Child,
    /// In the parent, with the child's id.
    Parent(u64),
}

/// How a child ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The child's id.
    pub id: u64,
    /// What it passed to `exit`; -1 if it was killed.
    pub status: i64,
    why: [u8; 128],
}

impl Ended {
    /// Why the child was killed, if it was.
    pub fn killed(&self) -> Option<&str> {
        let length = self.why.iter().position(|&byte| byte == 0).unwrap_or(self.why.len());
        str::from_utf8(&self.why[..length]).ok().filter(|why| !why.is_empty())
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.killed() {
            Some(why) => write!(f, "was killed: {why}"),
            None => write!(f, "exited with status {}", self.status),
        }
    }
}

/// Makes a copy of this process.
///
/// # Errors
/// [`Error::NoMemory`].
pub fn fork() -> Result<Fork, Error> {
    Ok(match call(Syscall::Fork, [0; 4])? {
        0 => Fork::Child,
        id => Fork::Parent(id as u64),
    })
}

/// Ends this process.
pub fn exit(status: i64) -> ! {
    let result = call(Syscall::Exit, [status as usize, 0, 0, 0]);
    unreachable!("exit answered {result:?}")
}

/// Waits for a child to end.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn wait() -> Result<Ended, Error> {
    let (mut status, mut why) = (0i64, [0; 128]);
    let id = call(Syscall::Wait, [(&raw mut status).addr(), why.as_mut_ptr().expose_provenance(), why.len(), 0])?;
    Ok(Ended { id: id as u64, status, why })
}

/// Ends a process, sooner or later.
///
/// # Errors
/// [`Error::NotFound`].
pub fn kill(id: u64) -> Result<(), Error> {
    call(Syscall::Kill, [id as usize, 0, 0, 0]).map(drop)
}

/// Goes on as another program; returns only if that fails.
pub fn exec(path: &str, arguments: &[&str]) -> Error {
    // A slice reference is a pair of address and length, in that order on every compiler there is, but that is no
    // promise: so they are written down one by one.
    let mut pairs = [[0; 2]; 32];
    let Some(pairs) = pairs.get_mut(..arguments.len()) else { return Error::Invalid };
    for (pair, argument) in pairs.iter_mut().zip(arguments) {
        *pair = [argument.as_ptr().expose_provenance(), argument.len()];
    }
    let pairs = pairs.as_ptr().expose_provenance();
    match call(Syscall::Exec, [path.as_ptr().expose_provenance(), path.len(), pairs, arguments.len()]) {
        Err(error) => error,
        Ok(value) => unreachable!("exec answered {value}"),
    }
}

/// This process's id.
pub fn getpid() -> u64 {
    call(Syscall::GetPid, [0; 4]).map_or(0, |id| id as u64)
}

/// Moves the end of the heap; answers where it was.
///
/// # Errors
/// [`Error::NoMemory`], or [`Error::Invalid`] below the heap's start.
pub fn sbrk(bytes: isize) -> Result<*mut u8, Error> {
    call(Syscall::Sbrk, [bytes as usize, 0, 0, 0]).map(core::ptr::with_exposed_provenance_mut)
}

/// Lets other processes run.
pub fn yield_now() {
    let result = call(Syscall::Yield, [0; 4]);
    debug_assert!(result.is_ok());
}

/// Reads from a descriptor: 3 is the script.
///
/// # Errors
/// [`Error::Invalid`] for another descriptor.
pub fn read(descriptor: usize, into: &mut [u8]) -> Result<usize, Error> {
    call(Syscall::Read, [descriptor, into.as_mut_ptr().expose_provenance(), into.len(), 0])
}

/// Writes to a descriptor, perhaps not all: 1 and 2 are the console.
///
/// # Errors
/// [`Error::Invalid`] for another descriptor.
pub fn write(descriptor: usize, from: &[u8]) -> Result<usize, Error> {
    call(Syscall::Write, [descriptor, from.as_ptr().expose_provenance(), from.len(), 0])
}

/// Nanoseconds since the machine started.
pub fn uptime() -> u64 {
    call(Syscall::Uptime, [0; 4]).map_or(0, |time| time as u64)
}

/// Powers the machine off.
pub fn shutdown(status: i64) -> ! {
    let result = call(Syscall::Shutdown, [status as usize, 0, 0, 0]);
    unreachable!("shutdown answered {result:?}")
}

/// Prints a record with the fields in `body`.
pub fn record(body: &str) {
    let result = call(Syscall::Record, [body.as_ptr().expose_provenance(), body.len(), 0, 0]);
    assert_eq!(result, Ok(0), "record");
}

/// Asks a pool for pages.
///
/// # Errors
/// The pool's.
pub fn page_allocate(pool: Pool, pages: usize, client: u8) -> Result<usize, PageError> {
    page_call(Syscall::PageAllocate, [pool as usize, pages, usize::from(client), 0])
}

/// Gives a pool pages back.
///
/// # Errors
/// The pool's.
pub fn page_free(pool: Pool, address: usize, pages: usize, client: u8) -> Result<(), PageError> {
    page_call(Syscall::PageFree, [pool as usize, address, pages, usize::from(client)]).map(drop)
}

/// Has a pool trace its statistics; answers its free pages.
///
/// # Errors
/// [`Error::NotFound`] when there is no such pool.
pub fn page_statistics(pool: Pool, client: u8) -> Result<usize, Error> {
    call(Syscall::PageStatistics, [pool as usize, usize::from(client), 0, 0])
}

/// Whether there is such a pool.
pub fn has_pool(pool: Pool) -> bool {
    // The null address is refused before anything is asked of the pool, so that nothing is traced.
    call(Syscall::PageFree, [pool as usize, 0, 1, 0]) != Err(Error::NotFound)
}

/// Has the kernel print the oldest operations of the trace as one record; answers how many there were.
pub fn trace_print() -> usize {
    call(Syscall::TraceRead, [0; 4]).unwrap_or(0)
}

/// The kernel's own free pages.
pub fn free_pages() -> usize {
    call(Syscall::FreePages, [0; 4]).unwrap_or(0)
}

/// Goes on on that hart, and stays there until the next call.
///
/// # Errors
/// [`Error::Invalid`] when there is no such hart.
pub fn move_to(hart: usize) -> Result<(), Error> {
    call(Syscall::MoveTo, [hart, 0, 0, 0]).map(drop)
}

/// How often page lists under test did something wrong about interrupts, see [`Syscall::InterruptFaults`].
///
/// # Errors
/// [`Error::Invalid`] when no lists are under test.
pub fn interrupt_faults(which: usize) -> Result<usize, Error> {
    call(Syscall::InterruptFaults, [which, 0, 0, 0])
}

/// Pages of a client's blocks that were found damaged so far.
pub fn damaged_pages(client: u8) -> usize {
    call(Syscall::DamagedPages, [usize::from(client), 0, 0, 0]).expect("the client has a valid number")
}

/// Asks for an object cache; answers its number.
///
/// # Errors
/// The caches', as for the calls below.
pub fn cache_create(size: usize, align: usize, flags: u8, client: u8) -> Result<u8, SlabError> {
    object_call(Syscall::CacheCreate, [size, align, usize::from(flags), usize::from(client)]).map(|number| number as u8)
}

/// Gives a cache up.
///
/// # Errors
/// See above.
pub fn cache_destroy(cache: u8, client: u8) -> Result<(), SlabError> {
    object_call(Syscall::CacheDestroy, [usize::from(cache), usize::from(client), 0, 0]).map(drop)
}

/// Has a cache give back what it can spare; answers how many pages.
///
/// # Errors
/// See above.
pub fn cache_shrink(cache: u8, client: u8) -> Result<usize, SlabError> {
    object_call(Syscall::CacheShrink, [usize::from(cache), usize::from(client), 0, 0])
}

/// Asks for an object, or with [`abi::object::GENERAL`] for so many bytes; answers its address.
///
/// # Errors
/// See above.
pub fn cache_allocate(cache: u8, bytes: usize, client: u8) -> Result<usize, SlabError> {
    object_call(Syscall::CacheAllocate, [usize::from(cache), usize::from(client), bytes, 0])
}

/// Gives an object back, for which with [`abi::object::GENERAL`] so many bytes were asked for.
///
/// # Errors
/// See above.
pub fn cache_free(cache: u8, address: usize, bytes: usize, flags: u8, client: u8) -> Result<(), SlabError> {
    let flags = bytes << 8 | usize::from(flags);
    object_call(Syscall::CacheFree, [usize::from(cache), address, flags, usize::from(client)]).map(drop)
}

/// Has a cache's statistics traced; answers the pages of a slab.
///
/// # Errors
/// See above.
pub fn cache_info(cache: u8, client: u8) -> Result<usize, SlabError> {
    object_call(Syscall::CacheInfo, [usize::from(cache), usize::from(client), 0, 0])
}

/// Has the kernel print the oldest events of object caches as one record; answers how many there were.
pub fn cache_trace() -> usize {
    call(Syscall::CacheTrace, [0; 4]).unwrap_or(0)
}

/// Begins a thread of this process, which shares all of its memory; answers its id.
///
/// # Errors
/// [`Error::NoMemory`].
pub fn thread_create(entry: extern "C" fn(usize, usize) -> !, first: usize, second: usize) -> Result<u64, Error> {
    call(Syscall::ThreadCreate, [entry as usize, first, second, 0]).map(|id| id as u64)
}

/// Waits for a thread to end; answers its status.
///
/// # Errors
/// [`Error::NotFound`] when there is no such thread in this process, or somebody joins it already.
pub fn thread_join(id: u64) -> Result<usize, Error> {
    call(Syscall::ThreadJoin, [id as usize, 0, 0, 0])
}

/// Ends this thread.
pub fn thread_exit(status: usize) -> ! {
    let result = call(Syscall::ThreadExit, [status, 0, 0, 0]);
    unreachable!("thread_exit answered {result:?}")
}

/// Sleeps until somebody wakes those who wait for `word`, if that is still `expected`; perhaps not so long.
pub fn futex_wait(word: &AtomicU32, expected: u32) {
    let result = call(Syscall::FutexWait, [word.as_ptr().expose_provenance(), expected as usize, 0, 0]);
    debug_assert!(result.is_ok());
}

/// Wakes up to `most` threads that wait for `word`; answers how many.
pub fn futex_wake(word: &AtomicU32, most: usize) -> usize {
    call(Syscall::FutexWake, [word.as_ptr().expose_provenance(), most, 0, 0]).unwrap_or(0)
}

/// Reads a file of the initrd from its start, as far as there is room; answers how long it is.
///
/// # Errors
/// [`Error::NotFound`].
pub fn read_file(path: &str, into: &mut [u8]) -> Result<usize, Error> {
    let (from, buffer) = (path.as_ptr().expose_provenance(), into.as_mut_ptr().expose_provenance());
    call(Syscall::ReadFile, [from, path.len(), buffer, into.len()])
}
