//! Single pages of the kernel's own pool, which come back by themselves.

use core::{
    mem,
    ptr::{self, NonNull},
};

use crate::{memory, sv39::PAGE};

/// The pool is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfPages;

/// A page that is owned; dropping it gives it back.
#[derive(Debug)]
pub struct Page(NonNull<u8>);

impl Page {
    /// A page with whatever was left in it.
    ///
    /// # Errors
    /// When there is none.
    pub fn new() -> Result<Self, OutOfPages> {
        let address = memory::the().allocate_page().ok_or(OutOfPages)?;
        NonNull::new(ptr::with_exposed_provenance_mut(address)).map(Self).ok_or(OutOfPages)
    }

    /// A page full of zeros.
    ///
    /// # Errors
    /// When there is none.
    pub fn zeroed() -> Result<Self, OutOfPages> {
        let mut page = Self::new()?;
        clear(page.bytes_mut());
        Ok(page)
    }

    /// What is in it.
    pub fn bytes_mut(&mut self) -> &mut [u8; PAGE] {
        // SAFETY: the page is this value's own, RAM that is mapped at its own address, and any bytes will do.
        unsafe { self.0.cast().as_mut() }
    }

    /// Gives the page up to whoever keeps the address.
    pub fn into_address(self) -> usize {
        let address = self.0.expose_provenance().get();
        mem::forget(self);
        address
    }

    /// Takes the page back that was given up.
    ///
    /// # Safety
    /// The address is from [`into_address`](Self::into_address), and nobody else uses the page any more.
    pub unsafe fn from_address(address: usize) -> Self {
        // SAFETY: no page begins at address zero.
        Self(unsafe { NonNull::new_unchecked(ptr::with_exposed_provenance_mut(address)) })
    }
}

/// Zeroes a page. `fill` calls a function that takes four times as many instructions, and nothing else that the kernel
/// does for a program that grows takes nearly as long.
fn clear(bytes: &mut [u8; PAGE]) {
    let range = bytes.as_mut_ptr_range();
    // SAFETY: the loop writes 64 bytes at a time, from the page's first byte to its last, and nothing else.
    unsafe {
        core::arch::asm!(
            "1:",
            "sd zero, 0({at})",
            "sd zero, 8({at})",
            "sd zero, 16({at})",
            "sd zero, 24({at})",
            "sd zero, 32({at})",
            "sd zero, 40({at})",
            "sd zero, 48({at})",
            "sd zero, 56({at})",
            "addi {at}, {at}, 64",
            "bne {at}, {end}, 1b",
            at = inout(reg) range.start => _,
            end = in(reg) range.end,
            options(nostack),
        );
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        memory::the().free_page(self.0);
    }
}
