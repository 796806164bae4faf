//! Takes values out of a tree and notes everything that is wrong on the way.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::{Defect, Defects, Node, Problem, Value, parse};
use crate::similar;

/// Notes defects while values are taken out of a tree. Methods answer `None` where they noted one.
#[derive(Debug)]
pub struct Reader<'s> {
    source: &'s str,
    defects: Vec<Defect>,
}

/// A mapping of which keys are asked for one by one; [`Reader::finish`] notes those that nobody asked for.
#[derive(Debug)]
pub struct Fields<'n> {
    of: &'static str,
    at: Range<usize>,
    entries: &'n [(Node, Node)],
    asked: Vec<&'static str>,
}

/// Reads a file, and lets `read` make a value of it.
///
/// # Errors
/// What the system says when the file cannot be read; everything that is wrong with its content.
pub fn read_file<T>(
    path: &Path,
    read: impl FnOnce(&str, &Node, &mut Reader<'_>) -> Option<T>,
) -> io::Result<Result<T, Defects>> {
    Ok(read_text(path, fs::read_to_string(path)?, read))
}

/// Likewise, with the content of the file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_text<T>(
    path: &Path,
    source: String,
    read: impl FnOnce(&str, &Node, &mut Reader<'_>) -> Option<T>,
) -> Result<T, Defects> {
    read_source(path, source, parse, read)
}

/// Likewise, where `parse` makes the tree.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_source<T>(
    path: &Path,
    source: String,
    parse: impl FnOnce(&str) -> Result<Node, Box<Defect>>,
    read: impl FnOnce(&str, &Node, &mut Reader<'_>) -> Option<T>,
) -> Result<T, Defects> {
    let (value, mut defects) = match parse(&source) {
        Err(defect) => (None, vec![*defect]),
        Ok(tree) => {
            let mut reader = Reader { source: &source, defects: Vec::new() };
            let value = read(&source, &tree, &mut reader);
            (value, reader.defects)
        }
    };
    match value {
        Some(value) if defects.is_empty() => Ok(value),
        _ => {
            defects.sort_by_key(|defect| defect.at.start);
            Err(Defects { path: path.to_owned(), source, defects })
        }
    }
}

impl Reader<'_> {
    /// Notes a defect.
    pub fn note(&mut self, at: Range<usize>, problem: Problem) {
        let defect = Defect::new(self.source, at, problem);
        if !self.defects.contains(&defect) {
            self.defects.push(defect);
        }
    }

    /// Notes that the value has another type than it should.
    pub fn wrong_type<T>(&mut self, node: &Node, expected: &str) -> Option<T> {
        let problem = Problem::WrongType { found: node.value.type_name(), expected: expected.to_owned() };
        self.note(node.at.clone(), problem);
        None
    }

    /// Notes that a value means nothing.
    pub fn wrong_value<T>(&mut self, node: &Node, expected: impl Into<String>) -> Option<T> {
        let problem = Problem::WrongValue { found: self.written(node), expected: expected.into() };
        self.note(node.at.clone(), problem);
        None
    }

    /// The value as the author wrote it.
    fn written(&self, node: &Node) -> String {
        match &node.value {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            _ => self.source.get(node.at.clone()).unwrap_or_default().to_owned(),
        }
    }

    /// The line that a byte of the source is in, from one.
    pub fn line(&self, at: &Range<usize>) -> usize {
        self.source[..at.start].matches('\n').count() + 1
    }

    /// A mapping with fixed keys; `of` says what it describes.
    pub fn fields<'n>(&mut self, node: &'n Node, of: &'static str) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            return self.wrong_type(node, &format!("a mapping that describes {of}"));
        };
        Some(Fields { of, at: node.at.clone(), entries, asked: Vec::new() })
    }

    /// Notes the keys that nobody asked for, and those that are there twice.
    pub fn finish(&mut self, fields: Fields<'_>) {
        let mut seen: Vec<(String, &Range<usize>)> = Vec::new();
        for (key, _) in fields.entries {
            let name = self.written(key);
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == name) {
                let first = self.line(first);
                self.note(key.at.clone(), Problem::Repeated { what: "the key", name, first });
                continue;
            }
            seen.push((name.clone(), &key.at));
            if !fields.asked.contains(&name.as_str()) {
                let meant = similar::meant(&name, fields.asked.iter().copied()).map(str::to_owned);
                let expected = fields.asked.iter().map(|&key| key.to_owned()).collect();
                self.note(key.at.clone(), Problem::UnknownKey { key: name, of: fields.of, expected, meant });
            }
        }
    }

    /// A mapping whose keys are names that the author chose: each key with its value, repeated ones noted.
    pub fn names<'n>(&mut self, node: &'n Node, what: &'static str) -> Vec<(String, &'n Node, &'n Node)> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type::<()>(node, &format!("a mapping with one entry for each {what}"));
            return Vec::new();
        };
        let mut names: Vec<(String, &Node, &Node)> = Vec::new();
        for (key, value) in entries {
            let name = self.written(key);
            if let Some((_, first, _)) = names.iter().find(|(other, _, _)| *other == name) {
                let first = self.line(&first.at);
                self.note(key.at.clone(), Problem::Repeated { what, name, first });
            } else {
                names.push((name, key, value));
            }
        }
        names
    }

    /// A list.
    pub fn list<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => self.wrong_type(node, expected),
        }
    }

    /// A list, or one item without brackets.
    pub fn one_or_more<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) if items.is_empty() => self.wrong_value(node, expected),
            Value::List(items) => Some(items),
            Value::Map(_) | Value::Null => self.wrong_type(node, expected),
            _ => Some(std::slice::from_ref(node)),
        }
    }

    /// A text that is not empty.
    pub fn text<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) if text.trim().is_empty() => self.wrong_value(node, expected),
            Value::Text(text) => Some(text),
            _ => self.wrong_type(node, expected),
        }
    }

    /// A text or a number, as the author wrote it: `4099+3` and `2048` are both lengths.
    pub fn word(&mut self, node: &Node, expected: &str) -> Option<String> {
        match &node.value {
            Value::Text(_) | Value::Integer(_) | Value::Float(_) => Some(self.written(node)),
            _ => self.wrong_type(node, expected),
        }
    }

    /// A text or number that `parse` makes something of.
    pub fn parsed<T>(&mut self, node: &Node, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let word = self.word(node, expected)?;
        parse(word.trim()).or_else(|| self.wrong_value(node, expected))
    }

    /// A whole number in a range.
    pub fn integer(&mut self, node: &Node, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let expected = match *range.end() {
            u64::MAX => format!("a whole number from {}", range.start()),
            end => format!("a whole number from {} to {end}", range.start()),
        };
        match node.value {
            Value::Integer(number) => match u64::try_from(number) {
                Ok(number) if range.contains(&number) => Some(number),
                _ => self.wrong_value(node, expected),
            },
            _ => self.wrong_type(node, &expected),
        }
    }

    /// A name that can be a file's name too: letters, digits, `-`, `_` and `.`, not at the beginning.
    pub fn name(&mut self, node: &Node, what: &str) -> Option<String> {
        const SHAPE: &str = "a name of letters, digits, `-`, `_` and `.` that begins with a letter or digit";
        let expected = format!("the name of {what}: {SHAPE}");
        self.parsed(node, &expected, |word| is_name(word).then(|| word.to_owned()))
    }

    /// One of the names that there are.
    pub fn known<'k>(&mut self, node: &Node, what: &'static str, known: &[&'k str]) -> Option<&'k str> {
        let word = self.word(node, &format!("the name of one {what}"))?;
        if let Some(found) = known.iter().find(|&&name| name == word) {
            return Some(found);
        }
        self.unknown(node.at.clone(), what, &word, known);
        None
    }

    /// Notes that a name refers to nothing.
    pub fn unknown(&mut self, at: Range<usize>, what: &'static str, name: &str, known: &[&str]) {
        let meant = similar::meant(name, known.iter().copied()).map(str::to_owned);
        let expected = known.iter().map(|&name| name.to_owned()).collect();
        self.note(at, Problem::UnknownName { what, name: name.to_owned(), expected, meant });
    }

    /// A regular expression.
    pub fn pattern(&mut self, node: &Node) -> Option<Regex> {
        let text = self.text(node, "a regular expression")?;
        match Regex::new(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let reason = match &error {
                    // The last line says what is wrong; those above draw the caret that we draw ourselves.
                    regex::Error::Syntax(text) => text.lines().last().unwrap_or_default().trim().to_owned(),
                    error => error.to_string(),
                };
                self.note(
                    node.at.clone(),
                    Problem::Pattern { reason: reason.trim_start_matches("error: ").to_owned() },
                );
                None
            }
        }
    }

    /// A path of plain components, relative to a folder that is described as `within`.
    pub fn path(&mut self, node: &Node, within: &str) -> Option<PathBuf> {
        let text = self.text(node, "a path")?;
        let path = Path::new(text);
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || text.contains('\\') || text.contains("//") || text.ends_with('/') {
            self.note(node.at.clone(), Problem::PathOutside { path: text.to_owned(), within: within.to_owned() });
            return None;
        }
        Some(path.to_owned())
    }

    /// A path, relative to a folder, of a file that is there.
    pub fn existing_file(&mut self, node: &Node, folder: &Path, within: &str) -> Option<PathBuf> {
        let path = self.path(node, within)?;
        if folder.join(&path).is_file() {
            return Some(path);
        }
        let problem = Problem::PathMissing { path: path.display().to_string(), within: within.to_owned() };
        self.note(node.at.clone(), problem);
        None
    }
}

/// Whether a word can be a name in a lab and of a file.
pub fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphanumeric())
        && word.chars().all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
}

impl<'n> Fields<'n> {
    /// Where the mapping begins.
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// The value of a key, if it is there.
    pub fn optional(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let is_key = |node: &Node| matches!(&node.value, Value::Text(text) if text == key);
        self.entries.iter().find(|(name, _)| is_key(name)).map(|(_, value)| value)
    }

    /// The value of a key that must be there.
    pub fn required(&mut self, reader: &mut Reader<'_>, key: &'static str, expected: &str) -> Option<&'n Node> {
        let value = self.optional(key);
        if value.is_none() {
            let problem = Problem::MissingKey { key, of: self.of, expected: expected.to_owned() };
            reader.note(self.at(), problem);
        }
        value
    }
}
