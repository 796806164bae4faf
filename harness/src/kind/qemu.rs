//! The QEMU that boots a kind of kernel.

use std::fmt;
use std::str::FromStr;

use crate::yaml::{Node, Reader};

/// How a kernel is booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// The program.
    pub program: String,
    /// Arguments that the kind needs, before those of a session.
    pub arguments: Vec<String>,
    /// The least version that boots it right.
    pub minimum: Version,
}

/// A version of QEMU: major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for Version {
    type Err = ();

    /// Reads `7.2`, and `7.2.22` too.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self(major, minor)),
            _ => Err(()),
        }
    }
}

pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Qemu> {
    let mut fields = reader.fields(node, "how a kernel kind is booted")?;
    let program = fields.required(reader, "program", "the name of a QEMU program");
    let program = program.and_then(|node| reader.name(node, "a QEMU program"));
    let arguments = fields.optional("arguments").map_or(Some(Vec::new()), |node| {
        let items = reader.list(node, "a list of arguments")?;
        Some(items.iter().filter_map(|item| reader.word(item, "an argument")).collect())
    });
    let minimum = fields.required(reader, "minimum", "a version, as in `7.2`");
    let minimum = minimum.and_then(|node| reader.parsed(node, "a version, as in `7.2`", |word| word.parse().ok()));
    reader.finish(fields);
    Some(Qemu { program: program?, arguments: arguments?, minimum: minimum? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("10.0") > version("7.2.22"));
        assert!(version("7.10") > version("7.2"));
        assert!("seven".parse::<Version>().is_err());
    }
}
