//! The heap, and what happens when there is no memory left.

use abi::syscall::Error;
use ulib::call::{self, Fork};

use crate::{Failure, Test, ensure, ensure_answer, ensure_status, failure, in_child};

pub const TESTS: &[Test] = &[
    ("heap-grows-with-zeroed-pages", grows),
    ("heap-shrinks-and-returns-its-pages", shrinks),
    ("heap-stays-within-its-bounds", bounds),
    ("no-memory-is-an-answer-and-leaks-nothing", exhaustion),
    ("forks-until-memory-is-exhausted", fork_exhaustion),
];

const PAGE: usize = 4096;

/// Moves the end of the heap; answers it as it was.
fn move_end(bytes: isize) -> Result<*mut u8, Failure> {
    call::sbrk(bytes).map_err(|error| failure(format_args!("sbrk({bytes}) answered {error:?}")))
}

fn grows() -> Result<(), Failure> {
    let start = move_end(0)?;
    for bytes in [1, PAGE - 1, PAGE, 10 * PAGE + 5, 3] {
        let memory = move_end(bytes as isize)?;
        for at in 0..bytes {
            // SAFETY: the heap has just grown by so much.
            unsafe {
                ensure!(memory.add(at).read_volatile() == 0, "byte {at} of fresh memory is not zero");
                memory.add(at).write_volatile(0xa5);
            }
        }
    }
    let end = move_end(0)?;
    ensure!(end.addr() - start.addr() == 12 * PAGE + 8, "the heap grew by {}", end.addr() - start.addr());
    move_end(-(12 * PAGE as isize + 8))?;
    Ok(())
}

fn shrinks() -> Result<(), Failure> {
    const PAGES: usize = 600; // more than one table's worth
    let start = move_end(0)?;
    let before = call::free_pages();
    move_end((PAGES * PAGE) as isize)?;
    let taken = before - call::free_pages();
    ensure!((PAGES..PAGES + 4).contains(&taken), "{PAGES} pages of heap took {taken} pages");
    move_end(-((PAGES * PAGE) as isize))?;
    ensure_answer!(call::free_pages(), before);
    let ended = in_child(|| {
        // SAFETY: it is not: the memory is gone, which must end this process.
        unsafe { start.add(PAGE).write_volatile(1) };
        0
    })?;
    ensure!(ended.killed().is_some(), "a process that wrote beyond its heap {ended}");
    Ok(())
}

fn bounds() -> Result<(), Failure> {
    ensure_answer!(call::sbrk(-1 << 30).map(|_| ()), Err(Error::Invalid));
    ensure_answer!(call::sbrk(isize::MIN).map(|_| ()), Err(Error::Invalid));
    let before = call::free_pages();
    for bytes in [1 << 37, 1 << 45, isize::MAX] {
        ensure_answer!(call::sbrk(bytes).map(|_| ()), Err(Error::NoMemory));
    }
    ensure_answer!(call::free_pages(), before);
    Ok(())
}

fn exhaustion() -> Result<(), Failure> {
    let ended = in_child(|| {
        // All of memory, in smaller and smaller steps.
        let mut step: isize = 1 << 30;
        while step >= PAGE as isize {
            if call::sbrk(step) != Err(Error::NoMemory) {
                continue;
            }
            step /= 2;
        }
        let nothing_left = call::sbrk(PAGE as isize) == Err(Error::NoMemory)
            && call::fork() == Err(Error::NoMemory)
            && call::exec("bin/hello", &[]) == Error::NoMemory;
        if nothing_left { 3 } else { 4 }
    })?;
    ensure_status(ended, 3)
}

fn fork_exhaustion() -> Result<(), Failure> {
    // Each child is so large that memory, and not the number of processes, sets the limit.
    let size = (call::free_pages() / 12 * PAGE) as isize;
    move_end(size)?;
    let mut children = [0; 128];
    let mut count = 0;
    let error = loop {
        match call::fork() {
            Ok(Fork::Child) => loop {
                call::yield_now();
            },
            Ok(Fork::Parent(child)) => children[count] = child,
            Err(error) => break error,
        }
        count += 1;
    };
    for &child in &children[..count] {
        ensure_answer!(call::kill(child), Ok(()));
    }
    for _ in 0..count {
        ensure!(call::wait().is_ok(), "a child is missing");
    }
    move_end(-size)?;
    ensure!(error == Error::NoMemory, "the last fork answered {error:?}");
    ensure!((4..12).contains(&count), "there was memory for {count} children");
    Ok(())
}
