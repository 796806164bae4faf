//! The way into a program and back. Its code is mapped at the same address in every address space, so that it can
//! switch between them.

use core::{
    arch::naked_asm,
    mem::{self, offset_of},
    sync::atomic::Ordering::SeqCst,
};

use crate::{
    address_space::AddressSpace,
    csr::{self, status},
    hart, kernel_space,
    sv39::{self, PAGE},
    trap,
};

/// Where the trampoline's code is mapped.
pub const CODE: usize = sv39::END - PAGE;

/// Where the [`TrapFrame`] of a process's first thread is mapped in its address space, for supervisor mode only.
pub const FRAME: usize = CODE - PAGE;

/// Where the one of the thread at a place is.
pub const fn frame(place: usize) -> usize {
    FRAME - place * PAGE
}

/// A program's registers while it does not run, and the kernel's while it does.
#[derive(Debug)]
#[repr(C)]
pub struct TrapFrame {
    /// `x0` to `x31`; the first is unused.
    pub registers: [usize; 32],
    /// Where the program goes on.
    pub pc: usize,
    kernel_satp: usize,
    kernel_ra: usize,
    kernel_sp: usize,
    kernel_tp: usize,
    kernel_s: [usize; 12],
}

/// Numbers of registers in [`TrapFrame::registers`].
pub mod register {
    /// Stack pointer.
    pub const SP: usize = 2;
    /// First argument and result; the other arguments follow.
    pub const A0: usize = 10;
    /// Number of a system call.
    pub const A7: usize = 17;
}

/// Why a program stopped.
#[derive(Debug, Clone, Copy)]
pub struct Stopped {
    /// `scause`
    pub cause: usize,
    /// `stval`: the address of a fault
    pub value: usize,
    /// The version of its address space that the program ran with
    pub version: usize,
}

impl Stopped {
    /// Whether a page was not there, or not for that.
    pub fn is_page_fault(&self) -> bool {
        matches!(self.cause, 12 | 13 | 15)
    }
}

/// Lets a program run until it traps. Interrupts must be off, and still are when this comes back.
pub fn run(space: &mut AddressSpace) -> Stopped {
    // Every program has the same address space identifier, so that one can be told from the kernel, but not from
    // another, nor from itself with other mappings.
    let hart = hart::this();
    // In this order: whoever takes pages away changes the version first, and then looks who runs the program.
    hart.in_program_of.store(space.identity(), SeqCst);
    let version = space.version();
    let forget = hart.translations_of.swap(version, SeqCst) != version;
    let (satp, frame_address) = (space.satp(), space.frame_address());
    let frame = space.frame();
    let offset = enter as *const () as usize - kernel_space::trampoline();
    // SAFETY: the trampoline's page is mapped there too, and the code does not depend on where it runs.
    let enter: extern "C" fn(usize, usize, usize) = unsafe { mem::transmute(CODE + offset) };
    frame.kernel_satp = kernel_space::satp();
    // SAFETY: until the program traps nothing runs on this hart but the trampoline; then traps are the kernel's again.
    unsafe {
        csr::write!("stvec", CODE + (leave as *const () as usize - kernel_space::trampoline()));
        csr::clear!("sstatus", status::SPP);
        csr::set!("sstatus", status::SPIE);
        csr::write!("sepc", frame.pc);
        enter(satp, usize::from(forget), frame_address);
        trap::expect_kernel_traps();
    }
    hart.in_program_of.store(0, SeqCst);
    frame.pc = csr::read!("sepc");
    Stopped { cause: csr::read!("scause"), value: csr::read!("stval"), version }
}

/// Saves what the kernel's code relies on, and goes to the program of the address space `satp`, forgetting the
/// translations that are cached if `forget` is not zero. The thread's registers are mapped at `frame` there.
#[unsafe(naked)]
#[unsafe(link_section = ".trampoline")]
extern "C" fn enter(satp: usize, forget: usize, frame: usize) {
    naked_asm!(
        "csrw satp, a0",
        "beqz a1, 1f",
        "sfence.vma",
        // Where `leave` will find them.
        "1: csrw sscratch, a2",
        "mv a0, a2",
        "sd ra, {kernel_ra}(a0)",
        "sd sp, {kernel_ra}+8(a0)",
        "sd tp, {kernel_ra}+16(a0)",
        "sd s0, {kernel_s}(a0)",
        "sd s1, {kernel_s}+8(a0)",
        "sd s2, {kernel_s}+16(a0)",
        "sd s3, {kernel_s}+24(a0)",
        "sd s4, {kernel_s}+32(a0)",
        "sd s5, {kernel_s}+40(a0)",
        "sd s6, {kernel_s}+48(a0)",
        "sd s7, {kernel_s}+56(a0)",
        "sd s8, {kernel_s}+64(a0)",
        "sd s9, {kernel_s}+72(a0)",
        "sd s10, {kernel_s}+80(a0)",
        "sd s11, {kernel_s}+88(a0)",
        "ld ra, 8(a0)",
        "ld sp, 16(a0)",
        "ld gp, 24(a0)",
        "ld tp, 32(a0)",
        "ld t0, 40(a0)",
        "ld t1, 48(a0)",
        "ld t2, 56(a0)",
        "ld s0, 64(a0)",
        "ld s1, 72(a0)",
        "ld a1, 88(a0)",
        "ld a2, 96(a0)",
        "ld a3, 104(a0)",
        "ld a4, 112(a0)",
        "ld a5, 120(a0)",
        "ld a6, 128(a0)",
        "ld a7, 136(a0)",
        "ld s2, 144(a0)",
        "ld s3, 152(a0)",
        "ld s4, 160(a0)",
        "ld s5, 168(a0)",
        "ld s6, 176(a0)",
        "ld s7, 184(a0)",
        "ld s8, 192(a0)",
        "ld s9, 200(a0)",
        "ld s10, 208(a0)",
        "ld s11, 216(a0)",
        "ld t3, 224(a0)",
        "ld t4, 232(a0)",
        "ld t5, 240(a0)",
        "ld t6, 248(a0)",
        "ld a0, 80(a0)",
        "sret",
        kernel_ra = const offset_of!(TrapFrame, kernel_ra),
        kernel_s = const offset_of!(TrapFrame, kernel_s),
    )
}

/// Where a program's trap arrives: comes back from [`enter`].
#[unsafe(naked)]
#[unsafe(link_section = ".trampoline")]
extern "C" fn leave() {
    naked_asm!(
        ".balign 4",
        "csrrw a0, sscratch, a0",
        "sd ra, 8(a0)",
        "sd sp, 16(a0)",
        "sd gp, 24(a0)",
        "sd tp, 32(a0)",
        "sd t0, 40(a0)",
        "sd t1, 48(a0)",
        "sd t2, 56(a0)",
        "sd s0, 64(a0)",
        "sd s1, 72(a0)",
        "sd a1, 88(a0)",
        "sd a2, 96(a0)",
        "sd a3, 104(a0)",
        "sd a4, 112(a0)",
        "sd a5, 120(a0)",
        "sd a6, 128(a0)",
        "sd a7, 136(a0)",
        "sd s2, 144(a0)",
        "sd s3, 152(a0)",
        "sd s4, 160(a0)",
        "sd s5, 168(a0)",
        "sd s6, 176(a0)",
        "sd s7, 184(a0)",
        "sd s8, 192(a0)",
        "sd s9, 200(a0)",
        "sd s10, 208(a0)",
        "sd s11, 216(a0)",
        "sd t3, 224(a0)",
        "sd t4, 232(a0)",
        "sd t5, 240(a0)",
        "sd t6, 248(a0)",
        "csrr t0, sscratch",
        "sd t0, 80(a0)",
        "ld ra, {kernel_ra}(a0)",
        "ld sp, {kernel_ra}+8(a0)",
        "ld tp, {kernel_ra}+16(a0)",
        "ld s0, {kernel_s}(a0)",
        "ld s1, {kernel_s}+8(a0)",
        "ld s2, {kernel_s}+16(a0)",
        "ld s3, {kernel_s}+24(a0)",
        "ld s4, {kernel_s}+32(a0)",
        "ld s5, {kernel_s}+40(a0)",
        "ld s6, {kernel_s}+48(a0)",
        "ld s7, {kernel_s}+56(a0)",
        "ld s8, {kernel_s}+64(a0)",
        "ld s9, {kernel_s}+72(a0)",
        "ld s10, {kernel_s}+80(a0)",
        "ld s11, {kernel_s}+88(a0)",
        "ld t1, {kernel_satp}(a0)",
        // The kernel's own mappings, which have an identifier of their own, never change.
        "csrw satp, t1",
        "ret",
        kernel_ra = const offset_of!(TrapFrame, kernel_ra),
        kernel_s = const offset_of!(TrapFrame, kernel_s),
        kernel_satp = const offset_of!(TrapFrame, kernel_satp),
    )
}

const _: () = assert!(size_of::<TrapFrame>() <= PAGE);
const _: () = assert!(offset_of!(TrapFrame, kernel_sp) == offset_of!(TrapFrame, kernel_ra) + 8);
const _: () = assert!(offset_of!(TrapFrame, kernel_tp) == offset_of!(TrapFrame, kernel_ra) + 16);
