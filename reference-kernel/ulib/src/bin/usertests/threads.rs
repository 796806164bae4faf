//! Threads: they share memory, wait for each other, and end with their process.

use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

use abi::syscall::Error;
use ulib::{
    call::{self, Fork},
    mutex::Mutex,
    thread::{self, Thread},
};

use crate::{Failure, Test, ensure, ensure_answer, ensure_status, failure, in_child};

pub const TESTS: &[Test] = &[
    ("threads-share-memory-and-answer-who-joins-them", share),
    ("threads-of-others-cannot-be-joined", join_others),
    ("a-mutex-lets-one-thread-in-at-a-time", exclusion),
    ("a-futex-sleeps-only-while-its-word-is-as-expected", futex),
    ("exit-ends-all-threads-of-a-process", exit_ends_all),
    ("a-fault-ends-all-threads-of-a-process", fault_ends_all),
    ("a-child-of-a-thread-has-one-thread", fork_in_thread),
    ("exec-is-refused-to-one-of-several-threads", exec_in_thread),
    ("a-heap-grows-and-shrinks-under-several-threads", heap),
    ("pages-that-one-thread-gives-back-are-gone-for-all", shrink_reaches_all),
    ("as-many-threads-as-there-is-room-for", many),
];

fn spawn(main: thread::Main, argument: usize) -> Result<Thread, Failure> {
    thread::spawn(main, argument).map_err(|error| failure(format_args!("thread_create answered {error:?}")))
}

fn join(thread: Thread) -> Result<usize, Failure> {
    thread.join().map_err(|error| failure(format_args!("thread_join answered {error:?}")))
}

fn share() -> Result<(), Failure> {
    static SUM: AtomicUsize = AtomicUsize::new(0);
    fn add(number: usize) -> usize {
        SUM.fetch_add(number, Relaxed);
        call::yield_now();
        number * number
    }
    SUM.store(0, Relaxed);
    let threads = [1, 2, 3, 4].map(|number| spawn(add, number));
    let mut squares = 0;
    for thread in threads {
        squares += join(thread?)?;
    }
    ensure!(squares == 30, "the threads' answers add up to {squares}");
    ensure!(SUM.load(Relaxed) == 10, "what the threads added is {}", SUM.load(Relaxed));
    Ok(())
}

fn join_others() -> Result<(), Failure> {
    ensure_answer!(call::thread_join(call::getpid()), Err(Error::NotFound));
    ensure_answer!(call::thread_join(u64::MAX), Err(Error::NotFound));
    let child = match call::fork() {
        Ok(Fork::Child) => call::exit(0),
        Ok(Fork::Parent(id)) => id,
        Err(error) => return Err(failure(format_args!("fork answered {error:?}"))),
    };
    ensure_answer!(call::thread_join(child), Err(Error::NotFound));
    ensure!(call::wait().is_ok_and(|ended| ended.id == child), "the child is gone");
    Ok(())
}

static COUNT: Mutex<(u64, u64)> = Mutex::new((0, 0));

fn exclusion() -> Result<(), Failure> {
    const EACH: u64 = 400;
    fn count(_: usize) -> usize {
        let mut torn = 0;
        for turn in 0..EACH {
            let mut pair = COUNT.lock();
            torn += usize::from(pair.0 != pair.1);
            pair.0 += 1;
            if turn % 16 == 0 {
                call::yield_now(); // with the lock held, so that others come to wait
            }
            pair.1 += 1;
        }
        torn
    }
    *COUNT.lock() = (0, 0);
    let threads = [(); 4].map(|()| spawn(count, 0));
    let mut torn = 0;
    for thread in threads {
        torn += join(thread?)?;
    }
    let pair = *COUNT.lock();
    ensure!(torn == 0, "{torn} times somebody else was at it");
    ensure!(pair == (4 * EACH, 4 * EACH), "the threads counted to {pair:?}");
    Ok(())
}

fn futex() -> Result<(), Failure> {
    static WORD: AtomicU32 = AtomicU32::new(0);
    static WOKEN: AtomicUsize = AtomicUsize::new(0);
    fn sleep(_: usize) -> usize {
        while WORD.load(SeqCst) == 7 {
            call::futex_wait(&WORD, 7);
        }
        WOKEN.fetch_add(1, SeqCst) + 1
    }
    // With another word there it comes back at once: else nobody would wake this one.
    WORD.store(8, SeqCst);
    call::futex_wait(&WORD, 7);
    ensure_answer!(call::futex_wake(&WORD, usize::MAX), 0);
    WORD.store(7, SeqCst);
    WOKEN.store(0, SeqCst);
    let threads = [(); 3].map(|()| spawn(sleep, 0));
    for _ in 0..50 {
        call::yield_now();
    }
    ensure!(WOKEN.load(SeqCst) == 0, "a thread woke up by itself");
    WORD.store(9, SeqCst);
    call::futex_wake(&WORD, usize::MAX);
    for thread in threads {
        join(thread?)?;
    }
    ensure!(WOKEN.load(SeqCst) == 3, "{} of 3 threads woke up", WOKEN.load(SeqCst));
    Ok(())
}

fn loop_for_ever(_: usize) -> usize {
    ulib::spin()
}

fn exit_ends_all() -> Result<(), Failure> {
    fn exit(status: usize) -> usize {
        call::exit(status as i64)
    }
    for first_exits in [true, false] {
        let ended = in_child(|| {
            for _ in 0..3 {
                if spawn(loop_for_ever, 0).is_err() {
                    return 1;
                }
            }
            if first_exits || spawn(exit, 42).is_err() {
                return 42;
            }
            ulib::spin()
        })?;
        ensure_status(ended, 42)?;
    }
    Ok(())
}

fn fault_ends_all() -> Result<(), Failure> {
    fn fault(_: usize) -> usize {
        // SAFETY: it is not: nothing is mapped there, which must end this process.
        unsafe { core::ptr::without_provenance::<usize>(8).read_volatile() }
    }
    let ended = in_child(|| {
        let threads = (spawn(loop_for_ever, 0), spawn(fault, 0));
        if threads.0.is_err() || threads.1.is_err() {
            return 1;
        }
        ulib::spin()
    })?;
    let why = ended.killed().unwrap_or("");
    ensure!(why.starts_with("load page fault"), "a process one of whose threads read address 8 {ended}");
    Ok(())
}

fn fork_in_thread() -> Result<(), Failure> {
    static TURNS: AtomicUsize = AtomicUsize::new(0);
    fn count(_: usize) -> usize {
        while TURNS.load(Relaxed) < 1 << 40 {
            TURNS.fetch_add(1, Relaxed);
        }
        0
    }
    fn fork(_: usize) -> usize {
        match call::fork() {
            Ok(Fork::Child) => {
                // Nobody else counts here, in memory that is this process's own.
                let before = TURNS.load(Relaxed);
                for _ in 0..20 {
                    call::yield_now();
                }
                call::exit(i64::from(TURNS.load(Relaxed) != before))
            }
            Ok(Fork::Parent(_)) => match call::wait() {
                Ok(ended) if ended.killed().is_none() && ended.status == 0 => 1,
                _ => 2,
            },
            Err(_) => 3,
        }
    }
    TURNS.store(0, Relaxed);
    let (counting, forking) = (spawn(count, 0)?, spawn(fork, 0)?);
    let answer = join(forking)?;
    TURNS.store(1 << 40, Relaxed);
    join(counting)?;
    ensure!(answer == 1, "the forking thread answered {answer}");
    Ok(())
}

fn exec_in_thread() -> Result<(), Failure> {
    fn exec(_: usize) -> usize {
        usize::from(call::exec("bin/hello", &["hello"]) == Error::Invalid)
    }
    let answer = join(spawn(exec, 0)?)?;
    ensure!(answer == 1, "exec was not refused");
    Ok(())
}

fn heap() -> Result<(), Failure> {
    const STEP: usize = 3 * 4096;
    fn grow(mark: usize) -> usize {
        let mut wrong = 0;
        for _ in 0..40 {
            let Ok(memory) = call::sbrk(STEP as isize) else { return usize::MAX >> 2 };
            for at in (0..STEP).step_by(512) {
                // SAFETY: the heap has grown by so much, for this thread.
                unsafe { memory.add(at).cast::<usize>().write_volatile(mark) };
            }
            call::yield_now();
            for at in (0..STEP).step_by(512) {
                // SAFETY: as above; nobody makes the heap smaller.
                wrong += usize::from(unsafe { memory.add(at).cast::<usize>().read_volatile() } != mark);
            }
        }
        wrong
    }
    let start = call::sbrk(0).map_or(0, |end| end.addr());
    let threads = [1, 2, 3].map(|mark| spawn(grow, mark));
    let mut wrong = 0;
    for thread in threads {
        wrong += join(thread?)?;
    }
    let end = call::sbrk(0).map_or(0, |end| end.addr());
    ensure!(wrong == 0, "{wrong} words were another thread's");
    ensure!(end - start == 3 * 40 * STEP, "the heap grew by {}", end - start);
    ensure_answer!(call::sbrk(-((end - start) as isize)).map(drop), Ok(()));
    Ok(())
}

fn shrink_reaches_all() -> Result<(), Failure> {
    /// Nanoseconds in which the other thread gets a turn, wherever it runs.
    const PATIENCE: u64 = 100_000_000;
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    static TURNS: AtomicUsize = AtomicUsize::new(0);
    fn touch(_: usize) -> usize {
        loop {
            let page = core::ptr::with_exposed_provenance::<usize>(PAGE.load(SeqCst));
            // SAFETY: it is, until the page is taken away, which must end this process.
            unsafe { page.read_volatile() };
            TURNS.fetch_add(1, SeqCst);
        }
    }
    let ended = in_child(|| {
        let Ok(page) = call::sbrk(4096) else { return 1 };
        PAGE.store(page.expose_provenance().next_multiple_of(4096), SeqCst);
        if call::sbrk(4096).is_err() {
            return 2;
        }
        if spawn(touch, 0).is_err() {
            return 3;
        }
        while TURNS.load(SeqCst) < 3 {
            call::yield_now();
        }
        if call::sbrk(-8192).is_err() {
            return 4;
        }
        let start = call::uptime();
        while call::uptime() - start < PATIENCE {
            call::yield_now();
        }
        5
    })?;
    ensure!(ended.killed().is_some(), "a process one of whose threads used a page that was given back {ended}");
    Ok(())
}

fn many() -> Result<(), Failure> {
    static GO: AtomicU32 = AtomicU32::new(0);
    fn wait(_: usize) -> usize {
        while GO.load(SeqCst) == 0 {
            call::futex_wait(&GO, 0);
        }
        1
    }
    GO.store(0, SeqCst);
    let mut threads = [const { None }; 64];
    let mut count = 0;
    let error = loop {
        match thread::spawn(wait, 0) {
            Ok(thread) => threads[count] = Some(thread),
            Err(error) => break error,
        }
        count += 1;
    };
    GO.store(1, SeqCst);
    call::futex_wake(&GO, usize::MAX);
    for thread in threads.into_iter().flatten() {
        join(thread)?;
    }
    ensure!(error == Error::NoMemory, "the last thread_create answered {error:?}");
    ensure!(count > 8, "there was room for {count} threads only");
    Ok(())
}
