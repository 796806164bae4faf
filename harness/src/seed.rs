//! The seed that every workload of a grading run is drawn from.
//!
//! Unless given, it comes from the lab's version and the content of the submitted files: the same submission
//! always gets the same operations, and no code can contain the answers for its own seed, since writing them down
//! changes it. A lab may mix in a key that students do not have.

use std::fmt;
use std::str::FromStr;

use crate::digest;

/// 64 bits that all operations follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

/// What a user asks for with `--seed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The submission's own.
    #[default]
    Derived,
    /// This one.
    Given(Seed),
    /// Any.
    Random,
}

/// Text that is no seed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no seed: expected a number below 2^64, decimal or with 0x, or \"random\"")]
pub struct BadSeed(String);

impl FromStr for Choice {
    type Err = BadSeed;

    fn from_str(text: &str) -> Result<Self, BadSeed> {
        if text == "random" {
            return Ok(Self::Random);
        }
        let number = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number.map(|seed| Self::Given(Seed(seed))).map_err(|_| BadSeed(text.to_owned()))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

impl Seed {
    /// The seed of a submission: of the lab's version, the files' paths and contents, and the lab's key if it has one.
    pub fn derive<'a>(version: &str, files: impl IntoIterator<Item = (&'a str, &'a [u8])>, key: &[u8]) -> Self {
        let head = [(b"seed v1".as_slice(), version.as_bytes()), (b"key", key)];
        let files = files.into_iter().map(|(path, content)| (path.as_bytes(), content));
        let digest = digest::of_parts(head.into_iter().chain(files));
        Self(
            digest
                .chars()
                .take(16)
                .filter_map(|digit| digit.to_digit(16))
                .fold(0, |seed, digit| seed << 4 | u64::from(digit)),
        )
    }

    /// A seed that nobody can foretell.
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one(std::time::SystemTime::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_changes_the_seed() {
        let seed = Seed::derive("v1", [("a.rs", b"code".as_slice())], b"");
        assert_eq!(seed, Seed::derive("v1", [("a.rs", b"code".as_slice())], b""));
        for other in [
            Seed::derive("v2", [("a.rs", b"code".as_slice())], b""),
            Seed::derive("v1", [("b.rs", b"code".as_slice())], b""),
            Seed::derive("v1", [("a.rs", b"code2".as_slice())], b""),
            Seed::derive("v1", [("a.rs", b"code".as_slice())], b"key"),
            Seed::derive("v1", [("a.rsc", b"ode".as_slice())], b""),
        ] {
            assert_ne!(seed, other);
        }
    }

    #[test]
    fn a_printed_seed_is_read_again() {
        let seed = Seed(0x1f);
        assert_eq!(seed.to_string().parse(), Ok(Choice::Given(seed)));
        assert_eq!("31".parse(), Ok(Choice::Given(seed)));
        assert_eq!("random".parse(), Ok(Choice::Random));
        assert!("soup".parse::<Choice>().is_err());
    }
}
