//! Switching from one kernel stack to another.

use core::arch::naked_asm;

/// Bytes that [`switch`] saves on the stack that it leaves; a multiple of 16, as the calling convention wants.
const SAVED: usize = 14 * size_of::<usize>();

/// Leaves this stack, noting its pointer in `from`, and goes on where the stack at `to` was left.
///
/// # Safety
/// `to` was noted by this function, or made by [`prepare`], and has not been gone on with since.
#[unsafe(naked)]
pub unsafe extern "C" fn switch(from: *mut usize, to: usize) {
    naked_asm!(
        "addi sp, sp, -{saved}",
        "sd ra, 0(sp)",
        "sd s0, 8(sp)",
        "sd s1, 16(sp)",
        "sd s2, 24(sp)",
        "sd s3, 32(sp)",
        "sd s4, 40(sp)",
        "sd s5, 48(sp)",
        "sd s6, 56(sp)",
        "sd s7, 64(sp)",
        "sd s8, 72(sp)",
        "sd s9, 80(sp)",
        "sd s10, 88(sp)",
        "sd s11, 96(sp)",
        "sd sp, 0(a0)",
        "mv sp, a1",
        "ld ra, 0(sp)",
        "ld s0, 8(sp)",
        "ld s1, 16(sp)",
        "ld s2, 24(sp)",
        "ld s3, 32(sp)",
        "ld s4, 40(sp)",
        "ld s5, 48(sp)",
        "ld s6, 56(sp)",
        "ld s7, 64(sp)",
        "ld s8, 72(sp)",
        "ld s9, 80(sp)",
        "ld s10, 88(sp)",
        "ld s11, 96(sp)",
        "addi sp, sp, {saved}",
        "ret",
        saved = const SAVED,
    )
}

/// Prepares a stack on which `main` will be called by the first switch to it; answers its pointer.
///
/// # Safety
/// The memory below `top` is a stack that nobody uses.
pub unsafe fn prepare(top: usize, main: extern "C" fn() -> !) -> usize {
    let stack = top - SAVED;
    let words: *mut usize = core::ptr::with_exposed_provenance_mut(stack);
    // SAFETY: see above.
    unsafe {
        words.write_bytes(0, SAVED / size_of::<usize>());
        words.write(main as usize);
    }
    stack
}
