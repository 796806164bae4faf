//! Which part of a class a machine grades.

use std::fmt;
use std::str::FromStr;

use crate::digest;

/// Part `number` of `of`, both from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    number: u32,
    of: u32,
}

/// Text that names no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no part: expected I/N with I from 1 to N, as in 2/16")]
pub struct BadShard(String);

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// How many parts there are.
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Whether a student's submission in a lab belongs to this part. The same on every machine, and whoever else is in
    /// the class: a student who joins late moves nobody.
    pub fn has(self, student: &str, lab: &str) -> bool {
        let digest = digest::of_parts([(student.as_bytes(), lab.as_bytes())]);
        let number = u64::from_str_radix(&digest[..16], 16).unwrap_or(0);
        number % u64::from(self.of) == u64::from(self.number - 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = BadShard;

    fn from_str(text: &str) -> Result<Self, BadShard> {
        let bad = || BadShard(text.to_owned());
        let (number, of) = text.split_once('/').ok_or_else(bad)?;
        let (number, of) = (number.parse().map_err(|_| bad())?, of.parse().map_err(|_| bad())?);
        if number >= 1 && number <= of { Ok(Self { number, of }) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_student_is_in_exactly_one_part_and_parts_are_about_equal() {
        for of in [1, 3, 16] {
            let shards: Vec<Shard> = (1..=of).map(|number| Shard { number, of }).collect();
            let mut sizes = vec![0u32; shards.len()];
            for student in 0..1600 {
                let id = format!("s{student}");
                let at: Vec<usize> =
                    (0..shards.len()).filter(|index| shards[*index].has(&id, "lab6-2-buddy")).collect();
                assert_eq!(at.len(), 1, "{id} is in {at:?} of {of}");
                sizes[at[0]] += 1;
            }
            let fair = 1600 / of;
            assert!(sizes.iter().all(|size| size.abs_diff(fair) < fair / 2 + 1), "{sizes:?}");
        }
    }

    #[test]
    fn a_part_that_there_is_not_is_refused() {
        assert_eq!("2/16".parse(), Ok(Shard { number: 2, of: 16 }));
        for text in ["0/3", "4/3", "1/0", "1", "a/b", "1/2/3", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
