//! The small values that lab files write as one word: lengths of time, deadlines, arenas, ratios, sizes.

use abi::boot::ArenaRegion;
use abi::page::MAX_ORDER;

use super::{Bound, Deadline};

/// A length of time in nanoseconds: `7us`, `10ms`, `2s`.
pub fn nanoseconds(word: &str) -> Option<u64> {
    let unit_at = word.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = word.split_at(unit_at);
    let size = match unit.trim_start() {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(size).filter(|&length| length > 0)
}

/// A deadline: `2s guest`, `20s wall`.
pub fn deadline(word: &str) -> Option<Deadline> {
    let (length, whose) = word.rsplit_once(' ')?;
    let length = nanoseconds(length.trim())?;
    match whose {
        "guest" => Some(Deadline::Guest(length)),
        "wall" => Some(Deadline::Wall(length)),
        _ => None,
    }
}

/// A region of the arena: `2048`, or `4099+3` with its skew.
pub fn arena_region(word: &str) -> Option<ArenaRegion> {
    let (pages, skew) = word.split_once('+').unwrap_or((word, "0"));
    let region = ArenaRegion { pages: pages.trim().parse().ok()?, skew: skew.trim().parse().ok()? };
    (region.pages > 0 && region.skew < 1 << MAX_ORDER).then_some(region)
}

/// What earns all or no points of a figure: a ratio to the reference, `1.25x`, or a number, `84`.
pub fn bound(word: &str) -> Option<Bound> {
    let positive = |number: &str| number.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    match word.strip_suffix('x') {
        Some(ratio) => positive(ratio).map(Bound::Ratio),
        None => positive(word).map(Bound::Absolute),
    }
}

/// A size in MiB: `128M`, `1G`.
pub fn mebibytes(word: &str) -> Option<u32> {
    let (number, unit) = word.split_at_checked(word.len().checked_sub(1)?)?;
    let size = match unit {
        "M" => 1,
        "G" => 1024,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Nanoseconds;

    #[test]
    fn lengths_of_time_are_read_as_they_are_written() {
        for text in ["7us", "10ms", "2s", "1500ns"] {
            assert_eq!(Nanoseconds(nanoseconds(text).unwrap()).to_string(), text);
        }
        for wrong in ["7", "us", "0s", "-3s", "1.5s", "99999999999999999999s", "20000000000s", "3 min"] {
            assert_eq!(nanoseconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_deadline_says_whose_time_it_counts() {
        assert_eq!(deadline("2s guest"), Some(Deadline::Guest(2_000_000_000)));
        assert_eq!(deadline("20s wall"), Some(Deadline::Wall(20_000_000_000)));
        assert_eq!(deadline("2s"), None);
        assert_eq!(deadline("2s host"), None);
    }

    #[test]
    fn arenas_bounds_and_sizes_out_of_range_are_none() {
        assert_eq!(arena_region("4099+3"), Some(ArenaRegion { pages: 4099, skew: 3 }));
        assert_eq!(arena_region("12"), Some(ArenaRegion { pages: 12, skew: 0 }));
        assert_eq!(arena_region("0"), None);
        assert_eq!(arena_region("12+1024"), None);
        assert_eq!(bound("1.25x"), Some(Bound::Ratio(1.25)));
        assert_eq!(bound("0.02"), Some(Bound::Absolute(0.02)));
        for wrong in ["0x", "-1x", "NaNx", "0", "inf", "", "x", "1.25 x"] {
            assert_eq!(bound(wrong), None, "{wrong}");
        }
        assert_eq!(mebibytes("128M"), Some(128));
        assert_eq!(mebibytes("1G"), Some(1024));
        assert_eq!(mebibytes("é"), None);
    }
}
