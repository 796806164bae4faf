//! Harts for tests: threads of the host.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex};

use mm::sync::{MAX_HARTS, Machine, Registry};

/// A machine whose harts are threads, and whose interrupts are only counted.
pub enum Threads {}

thread_local! {
    static HART: Cell<Option<usize>> = const { Cell::new(None) };
    /// How many reasons there are to hold interrupts off.
    static OFF: Cell<usize> = const { Cell::new(0) };
}

struct Bed {
    woken: Mutex<bool>,
    bell: Condvar,
}

static BEDS: [Bed; MAX_HARTS] = [const { Bed { woken: Mutex::new(false), bell: Condvar::new() } }; MAX_HARTS];
static REGISTRY: Registry = Registry::new();
static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);

/// Whether two tests of one process may have harts at once: they may not.
static MACHINE: Mutex<()> = Mutex::new(());

impl Threads {
    /// Runs the same code on every hart, side by side; what each returned.
    pub fn run<R: Send>(harts: usize, each: impl Fn(usize) -> R + Sync) -> Vec<R> {
        let _machine = MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        std::thread::scope(|scope| {
            let each = &each;
            let start = |hart| {
                move || {
                    HART.set(Some(hart));
                    let result = each(hart);
                    assert!(!Self::interrupts_are_off(), "hart {hart} ends with interrupts off");
                    result
                }
            };
            let threads: Vec<_> = (0..harts).map(|hart| scope.spawn(start(hart))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a hart panicked")).collect()
        })
    }

    /// Whether this hart takes no interrupts now.
    pub fn interrupts_are_off() -> bool {
        OFF.get() > 0
    }
}

// SAFETY: a thread is one hart as long as it lives, and `run` gives no two threads that live at once the same number.
unsafe impl Machine for Threads {
    type Before = usize;

    fn disable_interrupts() -> usize {
        OFF.replace(OFF.get() + 1)
    }

    unsafe fn restore_interrupts(before: usize) {
        assert_eq!(OFF.get(), before + 1, "interrupts are restored out of order");
        OFF.set(before);
    }

    fn enter() {
        OFF.set(OFF.get() + 1);
    }

    unsafe fn leave() {
        OFF.set(OFF.get().checked_sub(1).expect("there was an enter"));
    }

    fn hart() -> usize {
        assert!(Self::interrupts_are_off(), "the hart's number is asked for with interrupts on");
        HART.get().expect("only the threads of `run` are harts")
    }

    fn relax() {
        std::thread::yield_now();
    }

    fn prepare_to_sleep() {
        *BEDS[Self::hart()].woken.lock().unwrap() = false;
    }

    fn sleep() {
        let Bed { woken, bell } = &BEDS[Self::hart()];
        let mut woken = woken.lock().unwrap();
        while !*woken {
            woken = bell.wait(woken).unwrap();
        }
    }

    fn wake(harts: usize) {
        for hart in (0..MAX_HARTS).filter(|hart| harts & 1 << hart != 0) {
            *BEDS[hart].woken.lock().unwrap() = true;
            BEDS[hart].bell.notify_all();
        }
    }

    fn instructions() -> u64 {
        INSTRUCTIONS.fetch_add(1, Relaxed)
    }

    fn registry() -> Option<&'static Registry> {
        Some(&REGISTRY)
    }

    fn counts() -> bool {
        true
    }
}
