//! The name that somebody probably meant.

/// The candidate nearest to `name`, where it is near enough to be a slip of the keyboard.
///
/// Distance counts insertions, deletions, replacements and swaps of neighbours (Damerau, "A technique for computer
/// detection and correction of spelling errors", CACM 7(3), 1964); up to a third of the name may be wrong.
pub fn meant<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= most || (name.len() > 2 && candidate.contains(name)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// All candidates that are near `name`, nearest first, a handful at most.
pub fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const HANDFUL: usize = 5;
    let most = (name.chars().count() / 2).max(2);
    let mut near: Vec<_> = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= most || candidate.contains(name) || name.contains(candidate))
        .collect();
    near.sort();
    near.truncate(HANDFUL);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let border = |row, column| if row == 0 { column } else { row };
    let row = |row| (0..=right.len()).map(|column| border(row, column)).collect::<Vec<usize>>();
    let mut table: Vec<_> = (0..=left.len()).map(row).collect();
    for row in 1..=left.len() {
        for column in 1..=right.len() {
            let differs = usize::from(left[row - 1] != right[column - 1]);
            let mut least =
                (table[row - 1][column] + 1).min(table[row][column - 1] + 1).min(table[row - 1][column - 1] + differs);
            if row > 1 && column > 1 && left[row - 1] == right[column - 2] && left[row - 2] == right[column - 1] {
                least = least.min(table[row - 2][column - 2] + 1);
            }
            table[row][column] = least;
        }
    }
    table[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_recognised_and_another_word_is_not() {
        let keys = ["deadline", "harts", "clock", "tick"];
        assert_eq!(meant("dealine", keys), Some("deadline"));
        assert_eq!(meant("hrats", keys), Some("harts"));
        assert_eq!(meant("memory", keys), None);
        assert_eq!(meant("", keys), None);
    }

    #[test]
    fn similar_branches_are_listed_nearest_first() {
        let branches = ["main", "lab6-2-budy", "lab6-2", "lab7-1-slab"];
        assert_eq!(near("lab6-2-buddy", branches), ["lab6-2-budy", "lab6-2"]);
    }
}
