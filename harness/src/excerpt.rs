//! What of a session that ended early helps to find the cause: where it was, and what it had said last.

use std::collections::BTreeMap;

use crate::hang;
use crate::serial::reading::{Ending, Reading};
use crate::serial::record::{Address, Deadline, HartAt, Outcome};
use crate::session::Glimpse;

/// Console lines before the end that are shown.
const LAST_LINES: usize = 8;

/// Code addresses with what is there, as `function at file:line`.
pub type Places = BTreeMap<u64, String>;

/// The addresses that an explanation of the ending needs: of instructions that came next, and of those that functions
/// return to.
pub fn addresses(reading: &Reading) -> [Vec<u64>; 2] {
    let glimpses = || reading.glimpses.iter().flatten();
    let next = glimpses().map(|glimpse| glimpse.pc).collect();
    let mut returns: Vec<u64> = glimpses().flat_map(|glimpse| glimpse.callers.clone()).collect();
    returns.extend(of_ending(&reading.ending));
    [next, returns]
}

fn of_ending(ending: &Ending) -> Vec<u64> {
    match ending {
        Ending::Panicked(panic) => panic.backtrace.iter().map(|address| address.0).collect(),
        Ending::Deadline(deadline) => {
            let of_hart = |hart: &crate::serial::record::HartAt| {
                std::iter::once(hart.pc.0).chain(hart.backtrace.iter().map(|address| address.0)).collect::<Vec<_>>()
            };
            deadline.harts.iter().flat_map(of_hart).collect()
        }
        _ => Vec::new(),
    }
}

/// The lines to show; none for a session whose programs all ended well.
pub fn of(reading: &Reading, places: &Places) -> Vec<String> {
    let failed = |outcome: &Outcome| !matches!(outcome, Outcome::Exited(0));
    let programs = reading.programs.iter().filter_map(|program| program.end.as_ref());
    let any_failed = programs.clone().any(|end| failed(&end.outcome));
    if matches!(reading.ending, Ending::PoweredOff | Ending::AllSaid) && !any_failed {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for document in &reading.ktap {
        for (path, test) in document.what.leaves() {
            if test.status.is_bad() {
                let notes = std::iter::once(&test.note).chain(&test.diagnostics).filter(|note| !note.is_empty());
                let said: String = notes.map(|note| format!("; {note}")).collect();
                lines.push(format!("not ok: {}{said}", path.join(" / ")));
            }
        }
    }
    let skipped = reading.console.len().saturating_sub(LAST_LINES);
    if skipped > 0 {
        lines.push(format!("… {skipped} lines before"));
    }
    lines.extend(reading.console.iter().skip(skipped).map(|line| line.what.clone()));
    let mut chain = |addresses: &[Address]| {
        for address in addresses {
            lines.push(format!("  called from {}", place(*address, places)));
        }
    };
    match &reading.ending {
        Ending::Panicked(panic) => chain(&panic.backtrace),
        Ending::Deadline(deadline) => {
            for hart in &deadline.harts {
                lines.push(format!("hart {} was in {}", hart.hart, place(hart.pc, places)));
                lines.extend(hart.backtrace.iter().map(|address| format!("  called from {}", place(*address, places))));
            }
            lines.extend(hang::explain(&[look(deadline)], places, false));
        }
        Ending::OutOfTime { .. } | Ending::Overdue { .. } => {
            lines.extend(hang::explain(&reading.glimpses, places, false));
        }
        Ending::Stalled => lines.extend(hang::explain(&reading.glimpses, places, true)),
        _ => {}
    }
    lines
}

/// The end of a boot, however it ended: what [`of`] shows, or its last lines.
pub fn end(reading: &Reading, places: &Places) -> Vec<String> {
    let lines = of(reading, places);
    if !lines.is_empty() {
        return lines;
    }
    let skipped = reading.console.len().saturating_sub(LAST_LINES);
    reading.console.iter().skip(skipped).map(|line| line.what.clone()).collect()
}

/// Where the kernel itself says that its harts were.
fn look(deadline: &Deadline) -> Vec<Glimpse> {
    let glimpse = |hart: &HartAt| Glimpse {
        hart: hart.hart,
        pc: hart.pc.0,
        callers: hart.backtrace.iter().map(|address| address.0).collect(),
    };
    deadline.harts.iter().map(glimpse).collect()
}

fn place(address: Address, places: &Places) -> String {
    let known = places.get(&address.0).map(|place| format!(" {place}"));
    format!("{:#x}{}", address.0, known.unwrap_or_default())
}
