//! Harts for tests of object caches: threads, whose interrupts are off while they hold a lock of their own.
//!
//! So whoever holds that lock instead of the thread is on its hart, as an interrupt would be.

use std::cell::Cell;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use mm::slab::Harts;
use mm::sync::{MAX_HARTS, Machine, Registry};

/// A machine of so many harts.
pub enum Threads<const HARTS: usize> {}

thread_local! {
    static HART: Cell<usize> = const { Cell::new(0) };
    /// How many reasons there are to hold interrupts off.
    static OFF: Cell<usize> = const { Cell::new(0) };
}

/// Whether a hart has its interrupts off.
static BUSY: [(Mutex<bool>, Condvar); MAX_HARTS] = [const { (Mutex::new(false), Condvar::new()) }; MAX_HARTS];

/// Whether two tests of one process may have harts at once: they may not.
static MACHINE: Mutex<()> = Mutex::new(());

fn occupy(hart: usize) {
    let (busy, bell) = &BUSY[hart];
    let mut busy = busy.lock().unwrap();
    while *busy {
        busy = bell.wait(busy).unwrap();
    }
    *busy = true;
}

fn vacate(hart: usize) {
    let (busy, bell) = &BUSY[hart];
    *busy.lock().unwrap() = false;
    bell.notify_one();
}

/// Runs a test with the machine to itself.
pub fn alone<R>(test: impl FnOnce() -> R) -> R {
    let _machine = MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    HART.set(0);
    test()
}

/// Runs the same code on every hart, side by side.
pub fn on_threads(harts: usize, each: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for hart in 0..harts {
            let each = &each;
            scope.spawn(move || {
                HART.set(hart);
                each(hart);
                assert_eq!(OFF.get(), 0, "hart {hart} ends with interrupts off");
            });
        }
    });
}

/// Goes on as another hart, for tests that need no two at once.
pub fn become_hart(hart: usize) {
    assert_eq!(OFF.get(), 0, "a hart is left with interrupts off");
    HART.set(hart);
}

// SAFETY: whoever is a hart with its interrupts off has its place in `BUSY`.
unsafe impl<const HARTS: usize> Machine for Threads<HARTS> {
    type Before = usize;

    fn disable_interrupts() -> usize {
        let before = OFF.get();
        if before == 0 {
            occupy(HART.get());
        }
        OFF.set(before + 1);
        before
    }

    unsafe fn restore_interrupts(before: usize) {
        assert_eq!(OFF.get(), before + 1, "interrupts are restored out of order");
        OFF.set(before);
        if before == 0 {
            vacate(HART.get());
        }
    }

    fn enter() {
        Self::disable_interrupts();
    }

    unsafe fn leave() {
        // SAFETY: there is an `enter`.
        unsafe { Self::restore_interrupts(OFF.get() - 1) };
    }

    fn hart() -> usize {
        assert!(OFF.get() > 0, "the hart's number is asked for with interrupts on");
        HART.get()
    }

    fn relax() {
        std::thread::yield_now();
    }

    fn prepare_to_sleep() {}

    fn sleep() {
        std::thread::sleep(Duration::from_micros(50));
    }

    fn wake(_: usize) {}

    fn instructions() -> u64 {
        0
    }

    fn registry() -> Option<&'static Registry> {
        None
    }
}

impl<const HARTS: usize> Harts for Threads<HARTS> {
    fn harts() -> usize {
        HARTS
    }

    fn on_each_hart(work: &(dyn Fn() + Sync)) {
        assert_eq!(OFF.get(), 0, "a hart that has its interrupts off waits for others");
        let me = HART.get();
        for hart in 0..HARTS {
            HART.set(hart);
            let before = Self::disable_interrupts();
            work();
            // SAFETY: it is the last one.
            unsafe { Self::restore_interrupts(before) };
        }
        HART.set(me);
    }
}
