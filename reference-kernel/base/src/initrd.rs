//! The initial RAM disk: a cpio archive in the `newc` format (cpio(5), "New ASCII Format").

use core::{
    ops::Range,
    ptr, slice,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

static START: AtomicUsize = AtomicUsize::new(0);
static LENGTH: AtomicUsize = AtomicUsize::new(0);

const MAGIC: &[u8] = b"070701";
const HEADER: usize = 110;
/// Offsets of fields in the header, eight hexadecimal digits each.
const FILE_SIZE: usize = 54;
const NAME_SIZE: usize = 94;
const TRAILER: &[u8] = b"TRAILER!!!";

/// Says where the archive lies, for good.
pub fn set(range: &Range<usize>) {
    START.store(range.start, Relaxed);
    LENGTH.store(range.len(), Relaxed);
}

/// A file's content.
pub fn file(path: &str) -> Option<&'static [u8]> {
    let start: *const u8 = ptr::with_exposed_provenance(START.load(Relaxed));
    // SAFETY: the archive lies there, in memory that was taken out of the map and is never written.
    let mut rest: &'static [u8] = unsafe { slice::from_raw_parts(start, LENGTH.load(Relaxed)) };
    loop {
        let (name, content, after) = first(rest)?;
        if name == TRAILER {
            return None;
        }
        if name.strip_prefix(b"./").unwrap_or(name) == path.as_bytes() {
            return Some(content);
        }
        rest = after;
    }
}

/// The first entry's name and content, and what follows it.
fn first(archive: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let number = |at: usize| usize::from_str_radix(str::from_utf8(archive.get(at..at + 8)?).ok()?, 16).ok();
    archive.starts_with(MAGIC).then_some(())?;
    let name_end = HEADER + number(NAME_SIZE)?;
    let start = name_end.next_multiple_of(4);
    let end = start + number(FILE_SIZE)?;
    let name = archive.get(HEADER..name_end - 1)?; // it ends with a zero byte
    Some((name, archive.get(start..end)?, archive.get(end.next_multiple_of(4)..).unwrap_or(&[])))
}
