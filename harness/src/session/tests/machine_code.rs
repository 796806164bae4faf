//! Kernels of a few instructions, for a board whose memory begins where execution does.
//!
//! Encodings: The RISC-V Instruction Set Manual, volume I, chapter "RV32/64G Instruction Set Listings".

const ZERO: u32 = 0;
const DEVICE: u32 = 5;
const VALUE: u32 = 6;
const COUNT: u32 = 7;
const ARGUMENT: u32 = 11;

/// The 16550's transmit register on QEMU's `virt` board.
const UART: u32 = 0x1000_0000;
/// The test device's register.
const TEST: u32 = 0x10_0000;
/// The first hart's compare register of the machine timer.
const TIMER: u32 = 0x200_4000;

const WFI: u32 = 0x1050_0073;
const MHARTID: u32 = 0xf14;
const MINSTRET: u32 = 0xb02;
const MIE: u32 = 0x304;

/// A kernel under construction.
#[derive(Debug, Clone, Default)]
pub struct Code(Vec<u32>);

impl Code {
    /// All harts but the first sleep.
    pub fn one_hart() -> Self {
        Self::default().csr(2, COUNT, MHARTID, ZERO).branch(0, COUNT, 12).push(WFI).jump(-4)
    }

    pub fn print(self, text: &str) -> Self {
        let code = self.load(DEVICE, UART);
        text.bytes().fold(code, |code, byte| code.load(VALUE, byte.into()).store_byte())
    }

    /// Prints letters that depend on how many instructions were executed so far, as many as there are in `times`.
    pub fn print_instructions(self, times: u32) -> Self {
        self.load(DEVICE, UART)
            .load(COUNT, times)
            .csr(2, VALUE, MINSTRET, ZERO)
            .push(0x7 << 12 | VALUE << 15 | VALUE << 7 | 0x13 | 31 << 20) // andi
            .add(VALUE, VALUE, 'A' as i32)
            .store_byte()
            // Waits for the transmitter, as a kernel does: lbu from the line status register, andi THRE.
            .push(0x4 << 12 | DEVICE << 15 | VALUE << 7 | 0x03 | 5 << 20)
            .push(0x7 << 12 | VALUE << 15 | VALUE << 7 | 0x13 | 0x20 << 20)
            .branch(0, VALUE, -8)
            .add(COUNT, COUNT, -1)
            .branch(1, COUNT, -32)
    }

    /// Prints so many bytes of the device tree that the board hands over.
    pub fn print_device_tree(self, bytes: u32) -> Self {
        self.load(DEVICE, UART)
            .load(COUNT, bytes)
            .push(0x4 << 12 | ARGUMENT << 15 | VALUE << 7 | 0x03) // lbu
            .store_byte()
            .add(ARGUMENT, ARGUMENT, 1)
            .add(COUNT, COUNT, -1)
            .branch(1, COUNT, -16)
    }

    pub fn print_forever(self) -> Self {
        self.load(DEVICE, UART).load(VALUE, 'x' as u32).store_byte().jump(-4)
    }

    /// Powers off: with 0 in order, else with that status.
    pub fn power_off(self, status: u16) -> Self {
        let word = if status == 0 { 0x5555 } else { u32::from(status) << 16 | 0x3333 };
        self.load(DEVICE, TEST).load(VALUE, word).store_word().spin()
    }

    pub fn reset(self) -> Self {
        self.load(DEVICE, TEST).load(VALUE, 0x7777).store_word().spin()
    }

    pub fn spin(self) -> Self {
        self.jump(0)
    }

    /// Sleeps until the machine timer's clock, ten million a second, has come to `ticks`.
    pub fn sleep_until(self, ticks: u32) -> Self {
        self.load(DEVICE, TIMER)
            .load(VALUE, ticks)
            .push(0x3 << 12 | DEVICE << 15 | VALUE << 20 | 0x23) // sd
            .load(VALUE, 0x80)
            .csr(1, ZERO, MIE, VALUE)
            .push(WFI)
    }

    pub fn sleep_forever(self) -> Self {
        self.push(WFI).jump(-4)
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn push(mut self, word: u32) -> Self {
        self.0.push(word);
        self
    }

    fn load(self, register: u32, value: u32) -> Self {
        let low = (value as i32) << 20 >> 20;
        let high = value.wrapping_sub(low as u32);
        self.push(high | register << 7 | 0x37).push(0x1b | register << 7 | register << 15 | (low as u32) << 20) // lui, addiw
    }

    fn add(self, to: u32, from: u32, value: i32) -> Self {
        self.push((value as u32) << 20 | from << 15 | to << 7 | 0x13)
    }

    fn csr(self, function: u32, to: u32, register: u32, from: u32) -> Self {
        self.push(register << 20 | from << 15 | function << 12 | to << 7 | 0x73)
    }

    fn store_byte(self) -> Self {
        self.push(DEVICE << 15 | VALUE << 20 | 0x23)
    }

    fn store_word(self) -> Self {
        self.push(2 << 12 | DEVICE << 15 | VALUE << 20 | 0x23)
    }

    /// Branches if a register equals zero (function 0) or does not (1).
    fn branch(self, function: u32, register: u32, offset: i32) -> Self {
        let offset = offset as u32;
        self.push(
            (offset >> 12 & 1) << 31
                | (offset >> 5 & 0x3f) << 25
                | register << 15
                | function << 12
                | (offset >> 1 & 0xf) << 8
                | (offset >> 11 & 1) << 7
                | 0x63,
        )
    }

    fn jump(self, offset: i32) -> Self {
        let offset = offset as u32;
        self.push(
            (offset >> 20 & 1) << 31
                | (offset >> 1 & 0x3ff) << 21
                | (offset >> 11 & 1) << 20
                | (offset >> 12 & 0xff) << 12
                | 0x6f,
        )
    }
}
