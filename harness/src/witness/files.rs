//! The two files through which the harness and its plugin speak: what is to be watched, and what was seen.
//!
//! Both are words of 64 bits in this machine's order, as `plugin.c` has them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::marks::{Image, Owner};
use super::{Foreign, Noted, Seen};

const MAGIC: u64 = 0x3173_736e_7469_7721;

/// Words of the header of what was seen, its log left out.
const COUNTED: usize = 16;
const METERS: usize = 4;
const FIXED: usize = 8;
const HEADER: usize = FIXED + COUNTED + METERS + METERS;

/// Operations that are logged: more than any boot of a lab makes. The file takes as much of a disk as is written to it.
const CAPACITY: usize = 1 << 20;

/// Writes what is to be watched.
pub(super) fn write_input(path: &Path, image: &Image) -> io::Result<()> {
    const WORDS_OF_HEADER: usize = 4;
    const WORDS_OF_SEGMENT: usize = 4;
    let Image { segments, marks, programs_are_known } = image;
    let mut offset = 8 * (WORDS_OF_HEADER + WORDS_OF_SEGMENT * segments.len() + 3 * marks.len()) as u64;
    let mut words = vec![MAGIC, segments.len() as u64, marks.len() as u64, u64::from(*programs_are_known)];
    for segment in segments {
        let owner = match segment.owner {
            Owner::Kernel => 0,
            Owner::Program => 1,
        };
        let length = segment.content.len() as u64;
        words.extend([segment.address, length, owner, offset]);
        offset += length;
    }
    words.extend(marks.iter().flat_map(|mark| [mark.address, mark.kind, mark.segment]));
    let mut content: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    segments.iter().for_each(|segment| content.extend(&segment.content));
    fs::write(path, content)
}

/// Makes a file for what is seen.
pub(super) fn prepare_output(path: &Path) -> io::Result<()> {
    let mut header = [0_u64; HEADER];
    header[0] = MAGIC;
    header[7] = CAPACITY as u64;
    fs::write(path, header.map(u64::to_ne_bytes).concat())?;
    File::options().write(true).open(path)?.set_len(8 * (HEADER + CAPACITY) as u64)
}

/// The instructions seen so far, while the machine runs.
pub(super) fn instructions(path: &Path) -> io::Result<u64> {
    let mut word = [0; 8];
    File::open(path)?.read_exact_at(&mut word, 8)?;
    Ok(u64::from_ne_bytes(word))
}

/// What was seen.
pub(super) fn read_output(path: &Path, marks: impl Iterator<Item = u64>) -> io::Result<Seen> {
    let file = File::open(path)?;
    let header = words(&file, 0, HEADER)?;
    let [magic, instructions, foreign, address, physical, changed, logged, capacity] = header[..FIXED] else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    if magic != MAGIC || logged > capacity {
        let what = format!("{logged} operations were noted, and there is room for {capacity}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let noted = words(&file, HEADER, logged as usize)?;
    let noted = noted.into_iter().map(|word| Noted {
        hart: (word >> 56) as u8,
        meter: (word >> 48) as u8,
        instructions: word & 0xffff_ffff_ffff,
    });
    let mut marks: Vec<u64> = marks.collect();
    marks.sort_unstable();
    marks.dedup();
    Ok(Seen {
        instructions,
        foreign: (foreign > 0).then_some(Foreign { count: foreign, address, physical, changed: changed != 0 }),
        marks,
        counts: header[FIXED..FIXED + COUNTED].to_vec(),
        noted: noted.collect(),
    })
}

fn words(file: &File, from: usize, count: usize) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; 8 * count];
    file.read_exact_at(&mut bytes, 8 * from as u64)?;
    Ok(bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_written_to_says_that_nothing_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        prepare_output(&path).unwrap();
        let seen = read_output(&path, [17, 2, 17].into_iter()).unwrap();
        assert_eq!((seen.instructions, seen.foreign, seen.noted.len()), (0, None, 0));
        assert_eq!(seen.marks, [2, 17]);
        assert_eq!(instructions(&path).unwrap(), 0);
    }

    #[test]
    fn more_operations_than_there_is_room_for_are_an_error_and_no_shorter_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        prepare_output(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&(CAPACITY as u64 + 1).to_ne_bytes(), 6 * 8).unwrap();
        assert!(read_output(&path, std::iter::empty()).is_err());
    }
}
