//! The course's own YAML files, read so that every defect knows its place.
//!
//! A file becomes a tree of [`Node`]s with spans first; a [`Reader`] takes values out of it and notes everything
//! that is wrong on the way, so that an author sees all defects of a file at once.

mod defect;
mod reader;

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{Location, Spanned};

pub use defect::{Defect, Defects, Problem};
pub use reader::{Fields, Reader, is_name, read_file, read_source, read_text};

/// A value with its place in the source, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it was written.
    pub at: Range<usize>,
    /// What was written.
    pub value: Value,
}

/// What YAML can say, with mappings in the order of the file and repeated keys kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A string, quoted or not.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Vec<(Node, Node)>),
}

impl Value {
    /// What an author calls such a value.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// The most levels of values within values. Each takes some 30 KiB of a stack in a build for debugging.
const DEEPEST: usize = 24;

/// Reads YAML into a tree.
///
/// # Errors
/// The first place where it is no YAML.
pub fn parse(source: &str) -> Result<Node, Box<Defect>> {
    let options = serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        with_snippet: false,
        budget: serde_yaml::budget! { max_depth: DEEPEST },
    };
    let tree: Spanned<RawValue> = serde_yaml::from_str_with_options(source, options).map_err(|error| {
        let at = error.location().map_or(0..0, |location| span(source, &location));
        // The library adds "at line, column" to its text; a defect says that itself.
        let text = error.to_string();
        let text = text.split("\n").next().unwrap_or_default();
        let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
        Box::new(Defect::new(source, at, Problem::Syntax(text.trim_start_matches("error: ").to_owned())))
    })?;
    Ok(tree.value.place(source, span(source, &tree.defined)))
}

fn span(source: &str, location: &Location) -> Range<usize> {
    let span = location.span();
    // Errors of the scanner have a line and a column only.
    let start = span.byte_offset().map_or_else(|| offset_of(source, location), |offset| offset as usize);
    let start = start.min(source.len());
    let end = start + span.byte_len().map_or(0, |length| length as usize);
    let end = end.min(source.len());
    if source.is_char_boundary(start) && source.is_char_boundary(end) { start..end } else { 0..0 }
}

fn offset_of(source: &str, location: &Location) -> usize {
    let (line, column) = (location.line() as usize, location.column() as usize);
    let before: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let text = source[before..].lines().next().unwrap_or_default();
    before + text.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>()
}

/// As [`Value`], with places as the library counts them.
enum RawValue {
    Plain(Value),
    List(Vec<Spanned<RawValue>>),
    Map(Vec<(Spanned<RawValue>, Spanned<RawValue>)>),
}

impl RawValue {
    fn place(self, source: &str, at: Range<usize>) -> Node {
        let place = |raw: Spanned<Self>| {
            let at = span(source, &raw.defined);
            raw.value.place(source, at)
        };
        let value = match self {
            Self::Plain(value) => value,
            Self::List(items) => Value::List(items.into_iter().map(place).collect()),
            Self::Map(entries) => {
                Value::Map(entries.into_iter().map(|(key, value)| (place(key), place(value))).collect())
            }
        };
        Node { at, value }
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
        RawValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Integer(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Integer(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<RawValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(RawValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(RawValue::Map(entries))
    }
}
