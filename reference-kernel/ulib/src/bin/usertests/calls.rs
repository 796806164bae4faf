//! What calls answer, above all to nonsense.

use abi::{
    page::{KERNEL_CLIENT, Pool},
    syscall::{Error, Syscall},
};
use ulib::call;

use crate::{Failure, Test, ensure, ensure_answer};

pub const TESTS: &[Test] = &[
    ("a-call-that-does-not-exist", no_such_call),
    ("reading-the-script-piece-by-piece", script),
    ("reading-and-writing-wrong-descriptors", descriptors),
    ("bad-pointers-are-refused-by-every-call", bad_pointers),
    ("time-goes-on", time),
    ("page-calls-refuse-nonsense", page_calls),
];

fn raw(call: Syscall, arguments: [usize; 4]) -> isize {
    // SAFETY: none of the calls below writes to memory that the program uses: their pointers are bad.
    unsafe { call::raw(call as usize, arguments) }
}

const fn code(error: Error) -> isize {
    -(error as isize)
}

fn no_such_call() -> Result<(), Failure> {
    for number in [0, 19, 31, 39, 1 << 40, usize::MAX] {
        // SAFETY: there is no such call.
        let answer = unsafe { call::raw(number, [0; 4]) };
        ensure!(answer == code(Error::NoSuchCall), "call {number} answered {answer}");
    }
    Ok(())
}

fn script() -> Result<(), Failure> {
    let mut whole = [0; 4096];
    let length = call::read(3, &mut whole).unwrap_or(0);
    ensure!(length > 0, "the script cannot be read");
    ensure_answer!(call::read(3, &mut [0; 16]), Ok(0));
    // A child reads from the start, whatever its parent has read.
    let ended = crate::in_child(|| {
        let mut pieces = [0; 4096];
        let mut read = 0;
        while let Ok(more @ 1..) = call::read(3, &mut pieces[read..][..7]) {
            read += more;
        }
        i64::from(pieces[..read] != whole[..length])
    })?;
    crate::ensure_status(ended, 0)
}

fn descriptors() -> Result<(), Failure> {
    let mut byte = [0];
    ensure_answer!(call::read(0, &mut byte), Ok(0));
    for descriptor in [1, 2, 4, usize::MAX] {
        ensure_answer!(call::read(descriptor, &mut byte), Err(Error::Invalid));
    }
    for descriptor in [0, 3, 4, usize::MAX] {
        ensure_answer!(call::write(descriptor, &byte), Err(Error::Invalid));
    }
    ensure_answer!(call::write(1, &[]), Ok(0));
    Ok(())
}

fn bad_pointers() -> Result<(), Failure> {
    let text = bad_pointers as *const () as usize;
    let heap_end = call::sbrk(0).map_or(0, |end| end.addr());
    // Nothing, what lies beyond the heap, the kernel, the trampoline, addresses that wrap around or are no addresses.
    let unreadable = [0, 8, heap_end + 4096, 0x8000_0000, (1 << 38) - 4096, (1 << 38) - 8192, 1 << 39, usize::MAX - 15];
    for bad in unreadable {
        let pairs = [[bad, 16]];
        let pairs = pairs.as_ptr().expose_provenance();
        let calls = [
            (Syscall::Write, [1, bad, 16, 0]),
            (Syscall::Record, [bad, 16, 0, 0]),
            (Syscall::Exec, [bad, 16, 0, 0]),
            (Syscall::Exec, ["bin/hello".as_ptr().addr(), 9, bad, 1]),
            (Syscall::Exec, ["bin/hello".as_ptr().addr(), 9, pairs, 1]),
        ];
        for (call, arguments) in calls {
            let answer = raw(call, arguments);
            ensure!(answer == code(Error::BadAddress), "{call:?} of memory at {bad:#x} answered {answer}");
        }
    }
    // Text can be read, but not written.
    let unwritable = unreadable.into_iter().chain([text]);
    for bad in unwritable {
        let answer = raw(Syscall::Read, [3, bad, 16, 0]);
        ensure!(answer == code(Error::BadAddress), "read to memory at {bad:#x} answered {answer}");
        if bad != 0 {
            let answer = raw(Syscall::Wait, [bad, 0, 0, 0]);
            ensure!(answer == code(Error::BadAddress), "wait to memory at {bad:#x} answered {answer}");
        }
    }
    // The length is as much to be distrusted as the address.
    let good = [0u8; 16];
    for length in [1 << 20, usize::MAX / 2, usize::MAX] {
        let answer = raw(Syscall::Record, [good.as_ptr().addr(), length, 0, 0]);
        ensure!(answer == code(Error::BadAddress), "record of {length} bytes answered {answer}");
    }
    Ok(())
}

fn time() -> Result<(), Failure> {
    let mut last = call::uptime();
    for _ in 0..100 {
        let now = call::uptime();
        ensure!(now >= last, "uptime was {last}, and is {now}");
        last = now;
    }
    ensure!(last > 0, "uptime is zero");
    Ok(())
}

fn page_calls() -> Result<(), Failure> {
    let client = usize::from(KERNEL_CLIENT);
    for arguments in [[0, 1, client, 0], [2, 1, 0, 0], [0, 1, 256, 0], [usize::MAX, 1, 0, 0]] {
        let answer = raw(Syscall::PageAllocate, arguments);
        ensure!(answer == code(Error::Invalid), "page_allocate{arguments:?} answered {answer}");
    }
    let answer = raw(Syscall::PageFree, [Pool::Kernel as usize, 0, 1, 0]);
    ensure!(answer == code(Error::Invalid), "page_free of the null address answered {answer}");
    let page = call::page_allocate(Pool::Kernel, 1, 0).unwrap_or(0);
    ensure!(page > 0, "there is no page to be had");
    ensure_answer!(call::damaged_pages(0), 0);
    ensure_answer!(call::page_free(Pool::Kernel, page, 1, 0), Ok(()));
    Ok(())
}
