//! How the kernel's locks and those of page lists under test were used, as records.

use core::fmt::Write;

use abi::record::Escaped;
use base::{console::Console, hart::MAX_HARTS, spin, stop};
use mm::sync::{Counts, Registry};

/// Prints one record for every lock that counts.
pub fn print(console: &mut Console) {
    print_all(console, "kernel", &spin::LOCKS);
    #[cfg(feature = "kmem")]
    print_all(console, "lists", &crate::counted::LOCKS);
}

fn print_all(console: &mut Console, of: &str, registry: &Registry) {
    for (name, counters) in registry.locks() {
        console.record(|out| {
            write!(out, "\"r\":\"lock\",\"of\":\"{of}\",\"name\":\"{}\",\"harts\":[", Escaped(name))?;
            for hart in 0..stop::harts().min(MAX_HARTS) {
                let Counts { acquisitions, contended, instructions } = counters.of(hart);
                let lead = if hart == 0 { "" } else { "," };
                write!(out, "{lead}[{acquisitions},{contended},{instructions}]")?;
            }
            out.write_str("]")
        });
    }
}
