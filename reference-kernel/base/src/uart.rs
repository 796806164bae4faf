//! The serial line: a 16550 UART, written to and never read, without interrupts.

use core::ptr;

use crate::platform;

/// Registers (TL16C550 data sheet).
const TRANSMIT: usize = 0;
const FIFO_CONTROL: usize = 2;
const LINE_CONTROL: usize = 3;
const LINE_STATUS: usize = 5;

const FIFO_ENABLE_AND_CLEAR: u8 = 0b111;
const EIGHT_BITS: u8 = 0b11;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
const FIFO_BYTES: usize = 16;

/// The transmitter.
#[derive(Debug)]
pub struct Uart {
    /// Bytes that fit into the FIFO before its status must be looked at again.
    room: usize,
}

impl Uart {
    /// The transmitter, of which there must be one.
    pub const fn new() -> Self {
        Self { room: 0 }
    }

    /// Sets the line up.
    pub fn set_up(&mut self) {
        write(LINE_CONTROL, EIGHT_BITS);
        write(FIFO_CONTROL, FIFO_ENABLE_AND_CLEAR);
    }

    /// Sends bytes, waiting where the line is slower.
    pub fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.room == 0 {
                while read(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {}
                self.room = FIFO_BYTES;
            }
            transmit(byte);
            self.room -= 1;
        }
    }
}

fn write(register: usize, value: u8) {
    let register = ptr::with_exposed_provenance_mut::<u8>(platform::UART + register);
    // SAFETY: a register of the UART, mapped in every address space of the kernel.
    unsafe { register.write_volatile(value) };
}

/// Where every byte goes through that trusted code sends.
fn transmit(byte: u8) {
    let register = ptr::with_exposed_provenance_mut::<u8>(platform::UART + TRANSMIT);
    // SAFETY: as for any register; the note is in a section that is not loaded.
    unsafe {
        core::arch::asm!(
            "2: sb {byte}, 0({register})",
            ".pushsection .grader_marks, \"\", @progbits",
            ".dword 2b, {kind}",
            ".popsection",
            byte = in(reg) byte,
            register = in(reg) register,
            kind = const abi::mark::SENT,
            options(nostack),
        );
    }
}

fn read(register: usize) -> u8 {
    let register = ptr::with_exposed_provenance::<u8>(platform::UART + register);
    // SAFETY: as above; of the registers read, none has a side effect that matters.
    unsafe { register.read_volatile() }
}
