//! Memory as a line of characters, one a page or one for several.

use abi::page::PAGE_SIZE;

use crate::oracle::finding::{Map, State};

/// Characters in a drawing at the most.
const WIDTH: u64 = 64;

/// What the characters mean, for the line above a drawing.
pub const LEGEND: &str =
    "a digit: free, in a block of that order (A is 10); -: free; #: allocated; .: not to be handed out";

/// Draws the map: a line that says what a character stands for, the memory, and marks under what it is about.
pub fn draw(map: &Map) -> Vec<String> {
    let pages: u64 = map.runs.iter().map(|run| run.pages).sum();
    let scale = pages.div_ceil(WIDTH).max(1);
    let mut memory = String::new();
    let mut from = 0;
    while from < pages {
        let until = (from + scale).min(pages);
        memory.push(cell(map, from, until));
        from = until;
    }
    let each = if scale == 1 { "one page".to_owned() } else { format!("{scale} pages, + where they differ") };
    let address = map.first.saturating_mul(PAGE_SIZE);
    let mut lines = vec![format!("from {address:#x}, a character is {each}"), memory];
    if let Some((first, count)) = map.marked {
        let start = first.saturating_sub(map.first);
        let end = (first + count).saturating_sub(map.first).min(pages);
        if start < end {
            let marks = (end.div_ceil(scale) - start / scale) as usize;
            lines.push(format!("{}{}", " ".repeat((start / scale) as usize), "^".repeat(marks)));
        }
    }
    lines
}

/// The character for pages `from..until` of the map.
fn cell(map: &Map, from: u64, until: u64) -> char {
    let mut at = 0;
    let mut seen = None;
    for run in &map.runs {
        let overlaps = at < until && at + run.pages > from;
        at += run.pages;
        if !overlaps {
            continue;
        }
        let character = match run.state {
            State::Free { order } => char::from_digit(order, 36).map_or('?', |digit| digit.to_ascii_uppercase()),
            State::Extent => '-',
            State::Allocated => '#',
            State::Outside => '.',
        };
        if seen.is_some_and(|seen| seen != character) {
            return '+';
        }
        seen = Some(character);
    }
    seen.unwrap_or('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::finding::Run;

    #[test]
    fn free_blocks_show_their_order_and_the_marked_pages_are_underlined() {
        let runs = vec![
            Run { pages: 2, state: State::Free { order: 1 } },
            Run { pages: 1, state: State::Allocated },
            Run { pages: 1, state: State::Free { order: 0 } },
            Run { pages: 4, state: State::Outside },
        ];
        let map = Map { first: 16, runs, marked: Some((18, 1)) };
        assert_eq!(draw(&map), ["from 0x10000, a character is one page", "11#0....", "  ^"]);
    }

    #[test]
    fn a_large_window_is_drawn_to_scale() {
        let runs = vec![
            Run { pages: 1024, state: State::Free { order: 10 } },
            Run { pages: 1, state: State::Allocated },
            Run { pages: 1023, state: State::Free { order: 0 } },
        ];
        let lines = draw(&Map { first: 0, runs, marked: Some((1024, 1)) });
        assert_eq!(lines[1].len(), 64);
        assert!(lines[1].starts_with(&"A".repeat(32)) && lines[1][32..].starts_with("+0"), "{}", lines[1]);
        assert_eq!(lines[2], format!("{}^", " ".repeat(32)));
    }
}
