//! Phrases that programs on a disk print, drawn anew for a boot: a kernel that prints `test1 OK` itself, rather than
//! run the program that would, prints another one.

/// Sizes of blocks that file systems have; a file may go on one block later than it should, behind a block of pointers.
const BLOCKS: [usize; 3] = [512, 1024, 4096];

/// Puts `drawn` in the place of every `phrase` on a disk; both have the same length. Answers how often it was there.
pub fn replace(disk: &mut [u8], phrase: &[u8], drawn: &[u8]) -> usize {
    debug_assert_eq!(phrase.len(), drawn.len());
    let Some((&first, _)) = phrase.split_first() else { return 0 };
    let mut count = 0;
    let mut at = 0;
    while let Some(step) = disk[at..].iter().position(|byte| *byte == first) {
        at += step;
        if let Some((left, gap)) = found(disk, at, phrase) {
            disk[at..at + left].copy_from_slice(&drawn[..left]);
            disk[at + left + gap..at + gap + phrase.len()].copy_from_slice(&drawn[left..]);
            count += 1;
        }
        at += 1;
    }
    count
}

/// How many bytes of the phrase are in one piece here, and how many others follow before the rest of it.
fn found(disk: &[u8], at: usize, phrase: &[u8]) -> Option<(usize, usize)> {
    if disk[at..].starts_with(phrase) {
        return Some((phrase.len(), 0));
    }
    BLOCKS.into_iter().find_map(|block| {
        let left = block - at % block;
        let (here, there) = phrase.split_at_checked(left).filter(|(_, there)| !there.is_empty())?;
        let rest = disk.get(at + left + block..)?;
        (disk[at..].starts_with(here) && rest.starts_with(there)).then_some((left, block))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHRASE: &[u8] = b"ALL TESTS PASSED";
    const DRAWN: &[u8] = b"qwrtpsdfghjklzxc";

    fn disk(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut disk = vec![b'A'; 8192];
        parts.iter().for_each(|(at, bytes)| disk[*at..at + bytes.len()].copy_from_slice(bytes));
        disk
    }

    #[test]
    fn every_phrase_is_replaced_and_nothing_else() {
        let mut found = disk(&[(3, PHRASE), (700, b"ALL TESTS FAILED"), (1020, PHRASE), (8192 - 16, PHRASE)]);
        assert_eq!(replace(&mut found, PHRASE, DRAWN), 3);
        assert_eq!(found, disk(&[(3, DRAWN), (700, b"ALL TESTS FAILED"), (1020, DRAWN), (8192 - 16, DRAWN)]));
    }

    #[test]
    fn a_phrase_that_a_block_of_pointers_cuts_in_two_is_replaced_too() {
        let mut cut = disk(&[(2043, &PHRASE[..5]), (3072, &PHRASE[5..])]);
        assert_eq!(replace(&mut cut, PHRASE, DRAWN), 1);
        assert_eq!(cut, disk(&[(2043, &DRAWN[..5]), (3072, &DRAWN[5..])]));
    }

    #[test]
    fn a_disk_without_the_phrase_stays_as_it_is() {
        let mut plain = disk(&[]);
        assert_eq!(replace(&mut plain, PHRASE, DRAWN), 0);
        assert_eq!(plain, disk(&[]));
        assert_eq!(replace(&mut [], PHRASE, DRAWN), 0);
    }
}
