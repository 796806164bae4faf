//! The kernel's last words.

use core::{fmt::Write, panic::PanicInfo};

use crate::{
    backtrace::Backtrace,
    console::{self, Quoted},
    ending::{self, Claim},
    hart, memory, power, spin, stop,
};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _off = spin::InterruptsOff::new();
    let hart = hart::this().id();
    match ending::claim(hart) {
        Claim::Granted => {}
        // A panic while panicking: whatever it was about is out already, or never will be.
        Claim::Again => power::off(power::PANIC),
        Claim::Another => stop::park(),
    }
    let backtrace = Backtrace::here();
    console::let_others_finish();
    stop::others();
    // SAFETY: the machine is about to stop, and the other harts have.
    let console = unsafe { console::seize() };
    let (file, line) = info.location().map_or(("?", 0), |location| (location.file(), location.line()));
    let message = info.message();
    console.line(format_args!("panic on hart {hart} at {file}:{line}: {message}"));
    for address in backtrace.addresses() {
        console.line(format_args!("    called from {address:#x}"));
    }
    // SAFETY: as above.
    unsafe { memory::the().print_rest(console) };
    console.record(|out| {
        write!(out, "\"r\":\"panic\",\"hart\":{hart},\"file\":\"{}\",\"line\":{line},", Quoted(file))?;
        write!(out, "\"message\":\"{}\",\"backtrace\":{backtrace}", Quoted(message))
    });
    power::off(power::PANIC)
}
