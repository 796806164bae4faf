//! Chains of return addresses, followed along the frame pointers, which are trusted in nothing.

use core::fmt;

use crate::{platform, sv39};

/// The most addresses that are followed.
pub const DEPTH: usize = 32;

/// The return addresses of the functions that were active, innermost first.
#[derive(Debug, Clone, Copy)]
pub struct Backtrace {
    addresses: [usize; DEPTH],
    count: usize,
}

impl Backtrace {
    /// Follows the frames that begin at `frame`, in the address space of `satp`.
    ///
    /// With frame pointers, the words below where `s0` points are the return address and the caller's `s0`.
    pub fn follow(mut frame: usize, satp: usize) -> Self {
        let mut backtrace = Self { addresses: [0; DEPTH], count: 0 };
        while backtrace.count < DEPTH && frame >= 16 && frame.is_multiple_of(8) {
            let Some(address) = load(frame - 8, satp).filter(|&address| address != 0) else { break };
            let Some(caller) = load(frame - 16, satp) else { break };
            backtrace.addresses[backtrace.count] = address;
            backtrace.count += 1;
            if caller == frame {
                break;
            }
            frame = caller;
        }
        backtrace
    }

    /// The chain of the function that this is inlined into.
    #[inline(always)]
    pub fn here() -> Self {
        let frame: usize;
        // SAFETY: copies a register.
        unsafe { core::arch::asm!("mv {}, s0", out(reg) frame, options(nomem, nostack)) };
        Self::follow(frame, crate::csr::read!("satp"))
    }

    /// The addresses, innermost first.
    pub fn addresses(&self) -> &[usize] {
        &self.addresses[..self.count]
    }

    /// The addresses as the end of a sentence.
    pub fn in_words(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            self.addresses().iter().enumerate().try_for_each(|(index, address)| {
                let lead = if index == 0 { ", called from" } else { "" };
                write!(f, "{lead} {address:#x}")
            })
        })
    }
}

/// As it stands in a record: a JSON array of strings.
impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, address) in self.addresses().iter().enumerate() {
            let lead = if index == 0 { "" } else { "," };
            write!(f, "{lead}\"{address:#x}\"")?;
        }
        f.write_str("]")
    }
}

/// A word of memory, if there is RAM at that address.
fn load(address: usize, satp: usize) -> Option<usize> {
    let physical = sv39::translate(satp, address)?;
    platform::is_ram(physical).then(|| {
        // SAFETY: this is RAM, mapped at its own address (a guard page is mapped nowhere, so it is translated to by
        // nothing), and the walk has checked that a page table leads there.
        unsafe { core::ptr::with_exposed_provenance::<usize>(physical).read_volatile() }
    })
}
