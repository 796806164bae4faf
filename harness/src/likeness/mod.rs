//! Which submissions of a class have code in common: a hint for a human who then reads both, never a verdict.
//!
//! Fingerprints by winnowing (Schleimer, Wilkerson, Aiken: "Winnowing: Local Algorithms for Document Fingerprinting",
//! SIGMOD 2003) over tokens in which all names are one and comments are nothing, so that renaming, reformatting and
//! reordering of functions hide nothing. What students start from is taken out.

mod tokens;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use tokens::tokens;

/// Tokens in a piece that is compared (the paper's k): what is shorter is chance.
const PIECE: usize = 12;
/// Of so many pieces in a row one is kept (the paper's w), so that what two files share is noticed from
/// `PIECE + WINDOW - 1` tokens on.
const WINDOW: usize = 8;
/// A submission with fewer fingerprints says too little.
const LEAST: usize = 8;
/// A piece that more students have is how one writes such a thing.
const COMMON: usize = 40;

/// The fingerprints of the files of a submission, sorted, without those of the files that students start from.
pub fn fingerprint<'a>(
    files: impl IntoIterator<Item = &'a [u8]>,
    start: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<u32> {
    let start: BTreeSet<u32> = start.into_iter().flat_map(pieces).collect();
    let own: BTreeSet<u32> = files.into_iter().flat_map(|file| winnow(&pieces(file))).collect();
    own.difference(&start).copied().collect()
}

/// A digest of every piece of a file, in order.
fn pieces(file: &[u8]) -> Vec<u32> {
    let text = String::from_utf8_lossy(file);
    let tokens = tokens(&text);
    let digest = |piece: &[u32]| {
        // FNV-1a, its halves folded into one (Fowler, Noll, Vo, 1991).
        let digest = piece
            .iter()
            .flat_map(|token| token.to_le_bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        (digest ^ (digest >> 32)) as u32
    };
    tokens.windows(PIECE).map(digest).collect()
}

/// The least of every window, the last one where several are.
fn winnow(pieces: &[u32]) -> Vec<u32> {
    let window = WINDOW.min(pieces.len()).max(1);
    pieces.windows(window).filter_map(|window| window.iter().copied().min()).collect()
}

/// Two submissions that have code in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// One student.
    pub one: String,
    /// The other.
    pub other: String,
    /// Fingerprints that both have.
    pub common: usize,
    /// Which share of the smaller one's that is, from 0 to 1.
    pub share: f64,
}

/// The pairs that have at least that share in common, those with the most first. Students with equal `teams` worked
/// together, and are not compared.
pub fn pairs(prints: &[(String, Vec<u32>)], teams: &BTreeMap<String, String>, least: f64) -> Vec<Pair> {
    let telling: Vec<&(String, Vec<u32>)> = prints.iter().filter(|(_, numbers)| numbers.len() >= LEAST).collect();
    // Of those that are the same, one stands for all: a class that was handed one solution would hide it as common.
    let mut same: BTreeMap<&[u32], Vec<&str>> = BTreeMap::new();
    for (student, numbers) in telling {
        same.entry(numbers.as_slice()).or_default().push(student);
    }
    let groups: Vec<(&[u32], Vec<&str>)> = same.into_iter().collect();
    let mut holders: HashMap<u32, Vec<usize>> = HashMap::new();
    for (index, (numbers, _)) in groups.iter().enumerate() {
        numbers.iter().for_each(|number| holders.entry(*number).or_default().push(index));
    }
    let mut common: HashMap<(usize, usize), usize> = HashMap::new();
    for holders in holders.values().filter(|holders| holders.len() <= COMMON) {
        for (at, one) in holders.iter().enumerate() {
            holders[at + 1..].iter().for_each(|other| *common.entry((*one, *other)).or_default() += 1);
        }
    }
    let mut pairs = Vec::new();
    let mut add = |one: &str, other: &str, common: usize, share: f64| {
        let team = |student: &str| teams.get(student).filter(|team| !team.is_empty());
        if share >= least && (team(one).is_none() || team(one) != team(other)) {
            let (one, other) = if one < other { (one, other) } else { (other, one) };
            pairs.push(Pair { one: one.to_owned(), other: other.to_owned(), common, share });
        }
    };
    for (numbers, students) in &groups {
        students.windows(2).for_each(|two| add(two[0], two[1], numbers.len(), 1.0));
    }
    for ((one, other), count) in common {
        let (a, b) = (&groups[one], &groups[other]);
        let share = count as f64 / a.0.len().min(b.0.len()) as f64;
        add(a.1[0], b.1[0], count, share);
    }
    pairs.sort_by(|a, b| {
        b.share.total_cmp(&a.share).then(b.common.cmp(&a.common)).then((&a.one, &a.other).cmp(&(&b.one, &b.other)))
    });
    pairs
}

/// What a lab's files look like for whoever starts: the starter of the lab, or the file of the course's tree.
pub fn start<'a>(
    submission: &'a crate::submission::Submission,
    lab: &crate::lab::Lab,
    starters: &'a mut BTreeMap<PathBuf, Vec<u8>>,
) -> Vec<&'a [u8]> {
    let files = lab.kernels.get(&submission.kind).map_or(&[][..], |kernel| &kernel.files);
    for path in files {
        if let Ok(content) = std::fs::read(lab.folder.join("handout").join(path)) {
            starters.insert(path.clone(), content);
        }
    }
    let of_tree = |path: &PathBuf| submission.base.files.get(path).map(|file| file.content.as_slice());
    files.iter().filter_map(|path| starters.get(path).map(Vec::as_slice).or_else(|| of_tree(path))).collect()
}

#[cfg(test)]
mod tests;
