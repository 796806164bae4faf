//! QEMU's command line for a boot.

use std::ffi::OsString;

use super::Boot;
use crate::lab::Clock;
use crate::qemu;

/// Room for translated code, in MiB; a guest that fills it makes QEMU begin anew, and is slower for it. The kernel and
/// its programs take a tenth of it.
const TRANSLATIONS: &str = "tb-size=64";

/// The program and its arguments; `None` where the kernel kind names no program.
///
/// `sandbox`: QEMU can confine itself.
pub(super) fn line(boot: &Boot, sandbox: bool) -> Option<(&str, Vec<OsString>)> {
    let (program, machine) = boot.qemu.split_first()?;
    let mut arguments: Vec<OsString> = machine.iter().map(OsString::from).collect();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    add(&["-no-user-config", "-nodefaults", "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot"]);
    if sandbox {
        add(&qemu::SANDBOX);
    }
    // With `signal=off`, no byte and no key can end QEMU.
    add(&["-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"]);
    // The `virt` board's device tree holds a random number for the guest and its clock holds the date; both
    // would make a boot more than a function of its image. Seen on QEMU 7.2.
    add(&["-seed", "0", "-rtc", "base=2000-01-01T00:00:00,clock=vm"]);
    add(&["-smp", &boot.harts.to_string(), "-m", &format!("{}M", boot.memory)]);
    match boot.clock {
        Clock::Virtual => {
            add(&["-accel", &format!("tcg,thread=single,{TRANSLATIONS}"), "-icount", "shift=0,sleep=off"])
        }
        Clock::Parallel => add(&["-accel", &format!("tcg,thread=multi,{TRANSLATIONS}")]),
    }
    arguments.extend(["-kernel".into(), boot.kernel.clone().into()]);
    if !boot.initrd.as_os_str().is_empty() {
        arguments.extend(["-initrd".into(), boot.initrd.clone().into()]);
    }
    if let Some(station) = &boot.witness {
        arguments.extend(["-plugin".into(), station.option().into()]);
    }
    if !boot.arguments.is_empty() {
        arguments.extend(["-append".into(), boot.arguments.clone().into()]);
    }
    Some((program, arguments))
}
