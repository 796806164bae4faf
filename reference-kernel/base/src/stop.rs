//! Stopping all other harts before the kernel's last words, and learning where they were.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::{
    csr,
    hart::{self, MAX_HARTS},
    machine::Interrupted,
    platform, timer,
};

/// Set once, by the hart that ends the machine.
static ASKED: AtomicBool = AtomicBool::new(false);

/// The number of harts that were asked to run.
static HARTS: AtomicUsize = AtomicUsize::new(1);

/// Where a hart was when it stopped. Written once by that hart, before `stopped`, and read after it.
struct Report {
    stopped: AtomicBool,
    interrupted: UnsafeCell<Option<Interrupted>>,
}

// SAFETY: `stopped` orders the one write before all reads.
unsafe impl Sync for Report {}

static REPORTS: [Report; MAX_HARTS] =
    [const { Report { stopped: AtomicBool::new(false), interrupted: UnsafeCell::new(None) } }; MAX_HARTS];

/// How long to wait for the other harts: a hart answers within microseconds, unless QEMU has stopped it.
const NAPS: usize = 200;
const NAP: u64 = 5000;

/// Says how many harts run from now on.
pub fn set_harts(harts: usize) {
    HARTS.store(harts, Ordering::Relaxed);
}

/// The number of harts that run.
pub fn harts() -> usize {
    HARTS.load(Ordering::Relaxed)
}

/// Stops all harts but this one. Machine mode sees to it, so that interrupts being off does not help them.
pub fn others() {
    let me = hart::this().id();
    ASKED.store(true, Ordering::SeqCst);
    let others = || (0..harts()).filter(move |&hart| hart != me);
    for hart in others() {
        platform::set_software_interrupt(hart, true);
    }
    for _ in 0..NAPS {
        if others().all(|hart| REPORTS[hart].stopped.load(Ordering::Acquire)) {
            break;
        }
        timer::nap(NAP);
    }
}

/// Where another hart was when it stopped; nothing for one that did not answer, or had not begun.
pub fn report(hart: usize) -> Option<Interrupted> {
    let report = &REPORTS[hart];
    if !report.stopped.load(Ordering::Acquire) {
        return None;
    }
    // SAFETY: it was written before `stopped` was set, and is not written again.
    unsafe { *report.interrupted.get() }
}

/// Stops this hart if it was asked to, in machine mode, with what it was doing.
pub fn park_if_asked_at(interrupted: Interrupted) {
    if ASKED.load(Ordering::SeqCst) {
        let report = &REPORTS[hart::this().id()];
        // SAFETY: only this hart writes it, only once since it never goes on, and nobody reads it yet.
        unsafe { *report.interrupted.get() = Some(interrupted) };
        park_reported(report)
    }
}

/// Stops this hart if it was asked to before it did anything.
pub fn park_if_asked() {
    if ASKED.load(Ordering::SeqCst) {
        park_reported(&REPORTS[hart::this().id()])
    }
}

fn park_reported(report: &Report) -> ! {
    report.stopped.store(true, Ordering::Release);
    park()
}

/// Sleeps for ever, since another hart ends the machine. In supervisor mode it can still be asked where it is.
pub fn park() -> ! {
    loop {
        timer::never();
        csr::wait_for_interrupt();
    }
}
