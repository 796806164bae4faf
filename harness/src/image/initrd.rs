//! The initrd: a cpio archive in the `newc` format, the same bytes for the same content.
//!
//! Format: Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// Where the script lies in the archive.
pub const SCRIPT: &str = "script";

/// The part of an archive that all boots of an image share: `bin/<name>` for each program, packed once.
///
/// Times, owners and inode numbers are the same whenever and wherever it is packed.
#[derive(Debug)]
pub struct Programs {
    packed: Vec<u8>,
    next_inode: u32,
}

impl Programs {
    /// Packs programs, by name.
    pub fn pack(programs: &BTreeMap<String, Vec<u8>>) -> Self {
        let (mut packed, mut next_inode) = (Vec::new(), 1);
        for (name, content) in programs {
            entry(&mut packed, &mut next_inode, &format!("bin/{name}"), 0o100_755, content);
        }
        Self { packed, next_inode }
    }

    /// Writes the archive of a boot: programs, files by their paths, and `script`.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, to: &mut impl Write, script: &[String], files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        let mut text = script.join("\n");
        text.push('\n');
        let (mut rest, mut inode) = (Vec::new(), self.next_inode);
        for (path, content) in files {
            entry(&mut rest, &mut inode, path, 0o100_644, content);
        }
        entry(&mut rest, &mut inode, SCRIPT, 0o100_644, text.as_bytes());
        inode = 0;
        entry(&mut rest, &mut inode, "TRAILER!!!", 0, &[]);
        to.write_all(&self.packed)?;
        to.write_all(&rest)
    }
}

fn entry(archive: &mut Vec<u8>, inode: &mut u32, name: &str, mode: u32, content: &[u8]) {
    let size = u32::try_from(content.len()).expect("programs of kernels are far smaller than 4 GiB");
    // Inode, mode, user, group, links, time, size, device (2), device of a special file (2), name's length, checksum.
    let name_size = name.len() as u32 + 1;
    let fields = [*inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(content);
    pad(archive);
    *inode += 1;
}

/// Headers and contents begin at multiples of four bytes.
fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(script: &[String], programs: &BTreeMap<String, Vec<u8>>, files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
        let mut archive = Vec::new();
        Programs::pack(programs).write(&mut archive, script, files).unwrap();
        archive
    }

    #[test]
    fn the_archive_is_laid_out_as_newc_says() {
        let programs = BTreeMap::from([("a".to_owned(), b"\x7fELF!".to_vec())]);
        let archive = pack(&["a --seed 7".to_owned(), "b".to_owned()], &programs, &BTreeMap::new());
        assert!(archive.starts_with(b"070701"));
        assert_eq!(archive.len() % 4, 0);
        // The name follows 110 bytes of header, the content the next multiple of four.
        assert_eq!(&archive[110..116], b"bin/a\0");
        assert_eq!(&archive[116..121], b"\x7fELF!");
        let text = String::from_utf8_lossy(&archive);
        assert!(text.contains("script\0") && text.contains("a --seed 7\nb\n") && text.contains("TRAILER!!!"));
    }

    #[test]
    fn the_same_content_packs_to_the_same_bytes() {
        let programs = BTreeMap::from([("b".to_owned(), vec![1; 5]), ("a".to_owned(), vec![2; 8])]);
        assert_eq!(pack(&[], &programs, &programs), pack(&[], &programs, &programs));
    }
}
