//! Where the time of a guest went that did not end: what several looks at its harts have in common, in words.

use std::collections::BTreeMap;

use crate::excerpt::Places;
use crate::session::Glimpse;

/// Callers that are named.
const CALLERS: usize = 4;

/// What a hart was seen doing, by the names of functions.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    /// The innermost function that it was in at every look, and those that called it.
    path: Vec<String>,
    /// What it was in within that, from look to look; empty where it was always the same.
    within: Vec<String>,
}

/// One line for all harts that were seen doing the same.
///
/// `sleeping`: nothing was executed any more.
pub fn explain(looks: &[Vec<Glimpse>], places: &Places, sleeping: bool) -> Vec<String> {
    let mut by_hart: BTreeMap<u64, Vec<Vec<String>>> = BTreeMap::new();
    for glimpse in looks.iter().flatten() {
        let function = |address: &u64| function(*address, places);
        let mut path: Vec<String> = std::iter::once(&glimpse.pc).chain(&glimpse.callers).map(function).collect();
        // A function that calls itself, however often, is one.
        path.dedup();
        by_hart.entry(glimpse.hart).or_default().push(path);
    }
    let mut by_deed: BTreeMap<Seen, Vec<u64>> = BTreeMap::new();
    for (hart, paths) in by_hart {
        by_deed.entry(common(&paths)).or_default().push(hart);
    }
    let mut lines: Vec<(u64, String)> =
        by_deed.iter().map(|(seen, harts)| (harts[0], line(seen, harts, looks.len(), sleeping))).collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The name of the function, without where in it.
fn function(address: u64, places: &Places) -> String {
    match places.get(&address) {
        // The innermost of those that were compiled into one another; with what it was compiled into, it says more.
        Some(place) => place.split(", in ").next().and_then(|one| one.split(" at ").next()).unwrap_or(place).to_owned(),
        None => format!("{address:#x}"),
    }
}

fn common(paths: &[Vec<String>]) -> Seen {
    let first = &paths[0];
    // Paths end alike, with what began it all.
    let alike =
        |path: &Vec<String>| first.iter().rev().zip(path.iter().rev()).take_while(|(one, other)| one == other).count();
    let shared = paths.iter().map(alike).min().unwrap_or(0);
    let path = first[first.len() - shared..].to_vec();
    let mut within: Vec<String> =
        paths.iter().filter_map(|path| path.len().checked_sub(shared + 1).map(|at| path[at].clone())).collect();
    within.sort();
    within.dedup();
    Seen { path, within }
}

fn line(seen: &Seen, harts: &[u64], looks: usize, sleeping: bool) -> String {
    let who = match harts {
        [one] => format!("hart {one}"),
        [others @ .., last] => {
            let others: Vec<String> = others.iter().map(u64::to_string).collect();
            format!("harts {} and {last}", others.join(", "))
        }
        [] => String::new(),
    };
    let one = harts.len() == 1;
    let does = match (sleeping, looks, one) {
        (true, _, true) => "sleeps",
        (true, _, false) => "sleep",
        (false, ..2, true) => "is",
        (false, ..2, false) => "are",
        (false, _, true) => "spins",
        (false, _, false) => "spin",
    };
    let callers = |path: &[String]| -> String {
        path.iter().take(CALLERS).map(|caller| format!(", called from {caller}")).collect()
    };
    match (&seen.path[..], &seen.within[..]) {
        ([function, rest @ ..], []) => format!("{who} {does} in {function}{}", callers(rest)),
        ([function, rest @ ..], within) => {
            format!("{who} {does} in {function}, and from there in {}{}", within.join(", "), callers(rest))
        }
        ([], within) => format!("{who} was seen in {}", within.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let names = ["SpinLock::acquire", "Kmem::steal", "Kmem::allocate", "main", "pause"];
        names
            .iter()
            .enumerate()
            .map(|(at, name)| (at as u64, format!("{name} at a.rs:{at}, in outer at b.rs:9")))
            .collect()
    }

    fn glimpse(hart: u64, path: &[u64]) -> Glimpse {
        Glimpse { hart, pc: path[0], callers: path[1..].to_vec() }
    }

    #[test]
    fn harts_that_spin_in_the_same_place_are_named_together_with_who_called() {
        let look = || vec![glimpse(0, &[3]), glimpse(1, &[0, 1, 2, 3]), glimpse(2, &[0, 1, 2, 3])];
        assert_eq!(
            explain(&[look(), look()], &places(), false),
            [
                "hart 0 spins in main",
                "harts 1 and 2 spin in SpinLock::acquire, called from Kmem::steal, called from Kmem::allocate, called from main"
            ]
        );
    }

    #[test]
    fn what_changes_from_look_to_look_is_named_within_what_stays() {
        let looks = [vec![glimpse(0, &[0, 1, 3])], vec![glimpse(0, &[4, 1, 3])], vec![glimpse(0, &[1, 3])]];
        assert_eq!(
            explain(&looks, &places(), false),
            ["hart 0 spins in Kmem::steal, and from there in SpinLock::acquire, pause, called from main"]
        );
    }

    #[test]
    fn addresses_without_names_stand_for_themselves_and_no_look_says_nothing() {
        assert_eq!(explain(&[vec![glimpse(0, &[77])]], &places(), true), ["hart 0 sleeps in 0x4d"]);
        assert_eq!(
            explain(&[vec![glimpse(0, &[77])], vec![glimpse(0, &[78])]], &places(), false),
            ["hart 0 was seen in 0x4d, 0x4e"]
        );
        assert_eq!(explain(&[], &places(), false), [""; 0]);
    }
}
