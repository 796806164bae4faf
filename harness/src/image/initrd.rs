//! The initrd: a cpio archive in the `newc` format, the same bytes for the same content.
//!
//! Format: Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeMap;

/// Where the script lies in the archive.
pub const SCRIPT: &str = "script";

/// Packs a script, programs and other files: `script`, `bin/<name>` for each program, the others by their paths.
///
/// Times, owners and inode numbers are the same whenever and wherever it is packed.
pub fn pack(script: &[String], programs: &BTreeMap<String, Vec<u8>>, files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut text = script.join("\n");
    text.push('\n');
    let mut archive = Vec::new();
    let mut inode = 1;
    for (name, content) in programs {
        entry(&mut archive, &mut inode, &format!("bin/{name}"), 0o100_755, content);
    }
    for (path, content) in files {
        entry(&mut archive, &mut inode, path, 0o100_644, content);
    }
    entry(&mut archive, &mut inode, SCRIPT, 0o100_644, text.as_bytes());
    inode = 0;
    entry(&mut archive, &mut inode, "TRAILER!!!", 0, &[]);
    archive
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
