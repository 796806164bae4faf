//! Phrases that programs on a disk print, drawn anew for a boot: a kernel that prints `test1 OK` itself, rather than
//! run the program that would, prints another one.

/// Sizes of blocks that file systems have; a file may go on one block later than it should, behind a block of pointers.
const BLOCKS: [usize; 3] = [512, 1024, 4096];

/// Most zeros from the end of one string in a program's data to the begin of the next: strings may begin at multiples of
/// eight bytes.
const PADDING: usize = 8;

/// Puts `drawn` in the place of every `phrase` on a disk; both have the same length, and blanks at the same places. Answers
/// how often it was there.
///
/// A phrase may lie there as words, one after the other: arguments that a program has `echo` print (`usertests` of 2019).
pub fn replace(disk: &mut [u8], phrase: &[u8], drawn: &[u8]) -> usize {
    debug_assert_eq!(phrase.len(), drawn.len());
    let Some((&first, _)) = phrase.split_first() else { return 0 };
    let mut count = 0;
    let mut at = 0;
    while let Some(step) = disk[at..].iter().position(|byte| *byte == first) {
        at += step;
        if let Some(places) = places(disk, at, phrase) {
            for (place, letter) in places.into_iter().zip(drawn) {
                if let Some(place) = place {
                    disk[place] = *letter;
                }
            }
            count += 1;
        }
        at += 1;
    }
    count
}

/// Where each letter of the phrase is, if the phrase begins here; nowhere for a blank between words that lie apart.
fn places(disk: &[u8], at: usize, phrase: &[u8]) -> Option<Vec<Option<usize>>> {
    let blocks = BLOCKS.into_iter().map(Some);
    [None].into_iter().chain(blocks).find_map(|block| places_with_cut(disk, at, phrase, block))
}

/// As [`places`], where the phrase goes on behind another block at the end of one of so many bytes.
fn places_with_cut(disk: &[u8], at: usize, phrase: &[u8], block: Option<usize>) -> Option<Vec<Option<usize>>> {
    let cut = block.map(|block| (at - at % block + block, block));
    let mut place = at;
    let mut places = Vec::with_capacity(phrase.len());
    for (index, &letter) in phrase.iter().enumerate() {
        if let Some((_, block)) = cut.filter(|(end, _)| *end == place) {
            place += block;
        }
        let byte = *disk.get(place)?;
        if byte == letter {
            places.push(Some(place));
            place += 1;
        } else if (letter, byte) == (b' ', 0) && index + 1 < phrase.len() {
            let zeros = disk[place..].iter().take(PADDING).take_while(|byte| **byte == 0).count();
            places.push(None);
            place += zeros;
        } else {
            return None;
        }
    }
    Some(places)
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
    fn a_phrase_that_lies_apart_in_words_is_replaced_word_by_word() {
        let mut words = disk(&[(8, b"ALL\0\0\0\0\0TESTS\0\0\0PASSED\0\0(null)\0")]);
        assert_eq!(replace(&mut words, PHRASE, b"qwr psdfg jklzxc"), 1);
        assert_eq!(words, disk(&[(8, b"qwr\0\0\0\0\0psdfg\0\0\0jklzxc\0\0(null)\0")]));
        let far = disk(&[(8, b"ALL\0\0\0\0\0\0\0\0\0\0TESTS\0PASSED\0")]);
        assert_eq!(replace(&mut far.clone(), PHRASE, DRAWN), 0);
    }

    #[test]
    fn a_disk_without_the_phrase_stays_as_it_is() {
        let mut plain = disk(&[]);
        assert_eq!(replace(&mut plain, PHRASE, DRAWN), 0);
        assert_eq!(plain, disk(&[]));
        assert_eq!(replace(&mut [], PHRASE, DRAWN), 0);
    }
}
