//! Locks, on harts that are threads of the host.
//!
//! Loom would go through every interleaving, but is a crate, and students build this workspace offline with the lock
//! file as it is. Miri does what it can: `cargo +nightly miri test -p mm --test sync` with
//! `MIRIFLAGS="-Zmiri-strict-provenance -Zmiri-many-seeds=0..16"`.

#[path = "../support/threads.rs"]
mod threads;

use mm::sync::{Counts, InterruptsOff, Machine, SpinLock, without_interrupts};
use threads::Threads;

type Lock<T> = SpinLock<T, Threads>;

const ROUNDS: u64 = if cfg!(miri) { 25 } else { 20_000 };

fn counts(name: &str) -> Vec<Counts> {
    let (_, counters) =
        Threads::registry().unwrap().locks().find(|(found, _)| *found == name).expect("the lock was taken");
    (0..mm::sync::MAX_HARTS).map(|hart| counters.of(hart)).collect()
}

#[test]
fn no_update_is_lost_however_the_lock_is_taken() {
    let lock = Lock::new("sum", 0);
    Threads::run(4, |hart| {
        for round in 0..ROUNDS {
            match (round + hart as u64) % 3 {
                0 => *lock.lock() += 1,
                1 => lock.with(|sum| *sum += 1),
                _ => loop {
                    if let Some(mut sum) = lock.try_lock() {
                        *sum += 1;
                        break;
                    }
                    std::thread::yield_now();
                },
            }
        }
    });
    assert_eq!(Threads::run(1, |_| *lock.lock()), [4 * ROUNDS]);
}

#[test]
fn harts_that_sleep_over_a_lock_are_woken_when_it_is_given_up() {
    let lock = Lock::new("held long", 0);
    Threads::run(3, |_| {
        for _ in 0..ROUNDS.min(200) {
            let mut sum = lock.lock();
            // Longer than the others look at the lock before they go to sleep.
            (0..if cfg!(miri) { 4 } else { 100 }).for_each(|_| std::thread::yield_now());
            *sum += 1;
        }
    });
    let counts = counts("held long");
    assert_eq!(counts.iter().map(|counts| counts.acquisitions).sum::<u64>(), 3 * ROUNDS.min(200));
}

#[test]
fn interrupts_are_off_while_a_lock_is_held_and_as_before_after_it() {
    let (first, second) = (Lock::new("first", 1), Lock::new("second", 2));
    Threads::run(1, |_| {
        let one = first.lock();
        let two = second.lock();
        drop(one);
        assert!(Threads::interrupts_are_off(), "the second lock is held yet");
        drop(two);
        assert!(!Threads::interrupts_are_off());

        first.with(|_| {
            second.with(|_| assert!(Threads::interrupts_are_off()));
            assert!(Threads::interrupts_are_off(), "the first lock is held yet");
        });
        assert!(!Threads::interrupts_are_off());

        without_interrupts::<Threads, _>(|hart| assert_eq!(hart, 0));
        let off = InterruptsOff::<Threads>::new();
        without_interrupts::<Threads, _>(|_| ());
        assert!(Threads::interrupts_are_off());
        drop(off);
        assert!(!Threads::interrupts_are_off());
    });
}

#[test]
fn a_lock_that_another_hart_holds_is_not_taken_by_trying() {
    let lock = Lock::new("tried", ());
    let (locked, tried) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    Threads::run(2, |hart| {
        if hart == 0 {
            let guard = lock.lock();
            locked.wait();
            tried.wait();
            drop(guard);
        } else {
            locked.wait();
            assert!(lock.is_held_by(0) && lock.try_lock().is_none());
            assert!(!Threads::interrupts_are_off());
            assert!(!lock.is_held_by(1) && lock.try_lock().is_none(), "having tried leaves nothing behind");
            tried.wait();
            // Now or soon.
            drop(lock.lock());
        }
    });
    assert!(!lock.is_held());
}

#[test]
fn an_own_lock_that_is_not_free_is_left_to_the_slow_way() {
    let lock = Lock::new("own", 1);
    let own = |answer: Option<u64>| Lock::try_own(|_| &lock, |value| answer.map(|more| *value + more), || Some(0));
    let (locked, tried) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    let answers = Threads::run(2, |hart| {
        if hart == 0 {
            let guard = lock.lock();
            locked.wait();
            tried.wait();
            drop(guard);
            vec![own(Some(4)), own(None)]
        } else {
            locked.wait();
            let twice = vec![own(Some(4)), own(Some(4))];
            assert!(!Threads::interrupts_are_off());
            tried.wait();
            twice
        }
    });
    assert_eq!(answers, [[Some(5), Some(0)], [Some(0), Some(0)]]);
    assert!(!lock.is_held());
}

#[test]
fn a_hart_that_waits_for_itself_says_so() {
    let lock = Lock::new("its own", ());
    Threads::run(1, |_| {
        let guard = lock.lock();
        let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(lock.lock())));
        let message = *again.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, "hart 0 waits for the lock \"its own\", which it holds itself");
        drop(guard);
    });
}

#[test]
fn what_each_hart_did_with_a_lock_is_counted() {
    let lock = Lock::new("counted", ());
    Threads::run(1, |_| (0..5).for_each(|_| lock.with(|()| ())));
    let (held, go) = (std::sync::Barrier::new(2), std::sync::atomic::AtomicBool::new(false));
    Threads::run(2, |hart| {
        if hart == 0 {
            let guard = lock.lock();
            held.wait();
            while !go.load(std::sync::atomic::Ordering::Relaxed) {
                std::thread::yield_now();
            }
            (0..10).for_each(|_| std::thread::yield_now());
            drop(guard);
        } else {
            held.wait();
            go.store(true, std::sync::atomic::Ordering::Relaxed);
            drop(lock.lock());
        }
    });
    let counts = counts("counted");
    assert_eq!((counts[0].acquisitions, counts[1].acquisitions), (6, 1));
    assert_eq!(counts[0].contended, 0);
    // Each of the six took the counter twice, and nobody else took it in between but hart 1, which may have waited.
    assert!(counts[0].instructions >= 6 && counts[1].instructions >= 1);
    assert_eq!(counts[2], Counts::default());
}
