//! Marks: instructions of trusted code that a witness outside of the guest watches.
//!
//! What a guest reports, code that it runs can have forged: all of its memory is within reach of a kernel's allocator.
//! Which instructions a machine executes is known to whoever executes them. So where trusted code does what is reported
//! (it sends a byte, notes an operation, reads the instruction counter), the address of that instruction stands in a
//! section of the ELF file, `.grader_marks`: pairs of 64-bit words, the address and what it marks. The section is never
//! loaded. The witness is QEMU itself, with a plugin (`harness/src/witness`).

/// A byte goes to the serial line.
pub const SENT: u64 = 0;
/// The machine is powered off.
pub const POWERED_OFF: u64 = 1;
/// A record begins.
pub const RECORD: u64 = 2;
/// A result of the guest's own checks is printed: it passed.
pub const PASSED: u64 = 3;
/// Likewise, and it did not pass.
pub const FAILED: u64 = 4;
/// Memory did not hold what had been written there.
pub const DAMAGED: u64 = 5;

/// Kinds from here on are four to a [meter](Meter).
pub const METERS: u64 = 16;

/// Something that counts instructions, and notes what it counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meter {
    /// Calls of page allocators.
    Pages = 0,
    /// Calls of object caches.
    Objects = 1,
    /// Calls of a program's heap.
    Heap = 2,
}

impl Meter {
    /// Every meter.
    pub const ALL: [Self; 3] = [Self::Pages, Self::Objects, Self::Heap];

    /// The counter is read before what is measured.
    pub const fn begin(self) -> u64 {
        METERS + 4 * self as u64
    }

    /// The counter is read after what is measured.
    pub const fn end(self) -> u64 {
        self.begin() + 1
    }

    /// What was measured last is noted down as an operation.
    pub const fn noted(self) -> u64 {
        self.begin() + 2
    }

    /// The least that was measured so far is what measuring itself takes.
    pub const fn calibrated(self) -> u64 {
        self.begin() + 3
    }
}

/// Marks this place with an instruction that does nothing.
#[macro_export]
macro_rules! grader_mark {
    ($kind:expr) => {
        // SAFETY: an instruction that does nothing, and a note in a section that is not loaded.
        unsafe {
            core::arch::asm!(
                "2: nop",
                ".pushsection .grader_marks, \"\", @progbits",
                ".dword 2b, {kind}",
                ".popsection",
                kind = const $kind,
                options(nostack),
            )
        }
    };
}

/// Reads the instruction counter, and marks where.
#[macro_export]
macro_rules! grader_counter {
    ($kind:expr) => {{
        let count: u64;
        // SAFETY: reading this register changes nothing; the note is in a section that is not loaded.
        unsafe {
            core::arch::asm!(
                "2: csrr {count}, instret",
                ".pushsection .grader_marks, \"\", @progbits",
                ".dword 2b, {kind}",
                ".popsection",
                count = out(reg) count,
                kind = const $kind,
                options(nostack),
            )
        };
        count
    }};
}
