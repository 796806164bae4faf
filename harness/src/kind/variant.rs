//! What differs between the trees of one kind, from year to year: told by the text of a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::{Kind, read_texts};
use crate::yaml::{Node, Reader};

/// What is different in trees where a file says something, or does not.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The file.
    file: PathBuf,
    /// What it is searched for.
    pattern: Regex,
    /// Whether it must be found, rather than not.
    found: bool,
    /// Arguments of QEMU's, after the others.
    qemu: Vec<String>,
    /// Commands with what is typed in their place.
    instead: BTreeMap<String, String>,
    /// What users are told.
    note: Option<String>,
}

impl PartialEq for Variant {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Eq for Variant {}

impl Kind {
    /// The kind as it is for one tree, and what users are told of the difference.
    pub fn suited<'a>(&self, content: impl Fn(&Path) -> Option<&'a [u8]>) -> (Self, Vec<String>) {
        let mut kind = self.clone();
        let mut notes = Vec::new();
        for variant in &self.variants {
            let text = content(&variant.file).map(String::from_utf8_lossy).unwrap_or_default();
            if variant.pattern.is_match(&text) != variant.found {
                continue;
            }
            kind.qemu.arguments.extend(variant.qemu.iter().cloned());
            if let Some(console) = &mut kind.console {
                console.instead.extend(variant.instead.clone());
            }
            notes.extend(variant.note.clone());
        }
        (kind, notes)
    }
}

pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<Variant>> {
    let items = reader.list(node, "a list of variants: `{ file, has, qemu, type, note }`")?;
    Some(items.iter().filter_map(|item| read_one(item, reader)).collect())
}

fn read_one(node: &Node, reader: &mut Reader<'_>) -> Option<Variant> {
    let mut fields = reader.fields(node, "a variant of the kind's trees")?;
    let file = fields.required(reader, "file", "a file of the tree");
    let file = file.and_then(|node| reader.path(node, "a tree of the kind"));
    let has = fields.optional("has").map(|node| (true, reader.pattern(node)));
    let lacks = fields.optional("lacks").map(|node| (false, reader.pattern(node)));
    let qemu = fields.optional("qemu").map_or(Some(Vec::new()), |node| read_texts(node, reader, "a list of arguments"));
    let instead = fields.optional("type").map_or_else(BTreeMap::new, |node| {
        let entries = reader.names(node, "command");
        entries
            .into_iter()
            .filter_map(|(typed, _, other)| Some((typed, reader.word(other, "what is typed")?)))
            .collect()
    });
    let note = fields.optional("note").map(|node| reader.text(node, "a sentence").map(str::to_owned));
    reader.finish(fields);
    let (found, pattern) = match (has, lacks) {
        (Some(one), None) | (None, Some(one)) => (one.0, one.1?),
        _ => return reader.wrong_value(node, "`has` or `lacks`, and not both"),
    };
    let note = match note {
        None => None,
        Some(note) => Some(note?),
    };
    Some(Variant { file: file?, pattern, found, qemu: qemu?, instead, note })
}
