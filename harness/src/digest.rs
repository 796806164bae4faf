//! SHA-256 over files, so that things are named by what is in them.

use sha2::{Digest as _, Sha256};

/// The digest of bytes, in hex.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The digest of named contents in the order given: lengths are mixed in, so that no two lists share one by
/// shifting bytes from a name to a content.
pub fn of_parts<'a>(parts: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> String {
    let mut digest = Sha256::new();
    for (name, content) in parts {
        for part in [name, content] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_move_from_a_name_to_a_content_change_the_digest() {
        let one = of_parts([(&b"ab"[..], &b"c"[..])]);
        assert_ne!(one, of_parts([(&b"a"[..], &b"bc"[..])]));
        assert_eq!(one, of_parts([(&b"ab"[..], &b"c"[..])]));
    }

    #[test]
    fn the_digest_is_the_published_one() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(of_bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
