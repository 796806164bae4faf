//! What a session types at a kernel's prompt, and what a check reads of the answers.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use super::{Deadline, values};
use crate::yaml::{Fields, Node, Problem, Reader, Value};

/// How long a command may take unless the lab says, in nanoseconds.
const LIMIT: u64 = 60_000_000_000;
/// How long a boot is expected to take at the most, in nanoseconds.
const BOOT: u64 = 60_000_000_000;
/// The shortest phrase.
const SHORTEST: usize = 6;
/// The longest command; a kernel's console reads lines of a hundred bytes, and the harness adds a question.
const LONGEST: usize = 64;

/// A command that is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What is typed, which is its name too.
    pub typed: String,
    /// How long it may take, in nanoseconds in which the machine is given processors.
    pub limit: u64,
    /// Patterns whose named groups are figures.
    pub figures: Vec<Pattern>,
}

/// A regular expression in which `^` and `$` are the ends of lines.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(expression: &str) -> Result<Self, regex::Error> {
        RegexBuilder::new(expression).multi_line(true).build().map(Self)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl std::ops::Deref for Pattern {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        &self.0
    }
}

/// What must and must not stand on the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// In the output of this command; anywhere, without one.
    pub after: Option<String>,
    /// Each of these must be found.
    pub expect: Vec<Pattern>,
    /// None of these may be found.
    pub not: Vec<Pattern>,
}

/// What can be known of the numbers that a group of a pattern finds.
#[derive(Debug, Clone, Copy)]
pub struct Statistic {
    /// What follows the group's name in a metric; the last one is meant where nothing does.
    pub name: &'static str,
    /// From the numbers in order, of which there is at least one.
    pub of: fn(&[f64]) -> f64,
}

/// Every statistic.
pub const STATISTICS: [Statistic; 7] = [
    Statistic { name: "first", of: |numbers| numbers[0] },
    Statistic { name: "last", of: |numbers| numbers[numbers.len() - 1] },
    Statistic { name: "least", of: |numbers| numbers.iter().copied().fold(f64::INFINITY, f64::min) },
    Statistic { name: "most", of: most },
    Statistic { name: "sum", of: sum },
    Statistic { name: "count", of: |numbers| numbers.len() as f64 },
    Statistic { name: "share", of: |numbers| most(numbers) / sum(numbers).max(f64::MIN_POSITIVE) },
];

fn most(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn sum(numbers: &[f64]) -> f64 {
    numbers.iter().sum()
}

impl Command {
    /// The names of its figures.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.figures.iter().flat_map(|pattern| pattern.capture_names().flatten())
    }

    /// Every metric that a check can name.
    pub fn metrics(&self) -> impl Iterator<Item = String> + '_ {
        self.groups().flat_map(|group| {
            let plain = format!("{}.{group}", self.typed);
            let all = STATISTICS.map(|statistic| format!("{plain}.{}", statistic.name));
            std::iter::once(plain).chain(all)
        })
    }
}

/// Reads the `phrases` of a session.
pub(super) fn read_phrases(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let expected = format!(
        "a phrase of at least {SHORTEST} plain characters that programs on the disk print, as in `test1 OK`, or a list of them"
    );
    let items = reader.one_or_more(node, &expected)?;
    let read = |item: &Node, reader: &mut Reader<'_>| {
        let text = reader.text(item, &expected)?;
        let plain = text.chars().all(|character| character == ' ' || character.is_ascii_graphic());
        // A shorter one could be code by chance; `%` means something to those who print it.
        let sound = plain && text.len() >= SHORTEST && !text.contains('%');
        if sound { Some(text.to_owned()) } else { reader.wrong_value(item, &expected) }
    };
    Some(items.iter().filter_map(|item| read(item, reader)).collect())
}

/// The time of all of them together, in which a machine ends that nobody watches.
pub(super) fn time(commands: &[Command]) -> Deadline {
    Deadline::Wall(commands.iter().fold(BOOT, |sum, command| sum.saturating_add(command.limit)))
}

/// Reads the `console` of a session.
pub(super) fn read_commands(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<Command>> {
    const EXPECTED: &str = "a command that is typed, `{ type, limit, figures }`, or a list of them";
    let items = match &node.value {
        Value::Map(_) => std::slice::from_ref(node),
        _ => reader.one_or_more(node, EXPECTED)?,
    };
    let mut commands: Vec<Command> = Vec::new();
    let mut first = Vec::new();
    for item in items {
        let Some(command) = read_command(item, reader) else { continue };
        let same = commands.iter().position(|other| other.typed == command.typed);
        if let Some(same) = same {
            let problem = Problem::Repeated { what: "the command", name: command.typed, first: first[same] };
            reader.note(item.at.clone(), problem);
        } else {
            first.push(reader.line(&item.at));
            commands.push(command);
        }
    }
    Some(commands)
}

fn read_command(node: &Node, reader: &mut Reader<'_>) -> Option<Command> {
    if !matches!(node.value, Value::Map(_)) {
        return Some(Command { typed: read_typed(node, reader)?, limit: LIMIT, figures: Vec::new() });
    }
    let mut fields = reader.fields(node, "a command that is typed")?;
    let typed = fields.required(reader, "type", "what is typed").and_then(|node| read_typed(node, reader));
    let limit = fields
        .optional("limit")
        .map_or(Some(LIMIT), |node| reader.parsed(node, "a length of time, as in `60s`", values::nanoseconds));
    let figures = fields.optional("figures").map_or(Some(Vec::new()), |node| read_figures(node, reader));
    reader.finish(fields);
    Some(Command { typed: typed?, limit: limit?, figures: figures? })
}

fn read_typed(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let expected = format!("one line of plain characters to type, at most {LONGEST}");
    let text = reader.word(node, &expected)?;
    let plain = text.chars().all(|character| character == ' ' || character.is_ascii_graphic());
    match plain && !text.trim().is_empty() && text.len() <= LONGEST {
        true => Some(text.trim().to_owned()),
        false => reader.wrong_value(node, expected),
    }
}

fn read_figures(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<Pattern>> {
    const EXPECTED: &str = "a regular expression with named groups, as in `tot= (?<tot>\\d+)`, or a list of them";
    let items = reader.one_or_more(node, EXPECTED)?;
    let patterns = items.iter().filter_map(|item| {
        let pattern = read_pattern(item, reader)?;
        if pattern.capture_names().flatten().next().is_none() {
            return reader.wrong_value(item, EXPECTED);
        }
        Some(pattern)
    });
    Some(patterns.collect())
}

/// Reads the `console` of a check, with the place that names the command.
pub(super) fn read_said(node: &Node, reader: &mut Reader<'_>) -> Option<(Said, Range<usize>)> {
    const EXPECTED: &str = "a regular expression, or a list of them";
    if !matches!(node.value, Value::Map(_)) {
        let expect = vec![read_pattern(node, reader)?];
        return Some((Said { after: None, expect, not: Vec::new() }, node.at.clone()));
    }
    let mut fields = reader.fields(node, "what the console must say")?;
    let after_node = fields.optional("after");
    let after = after_node.map(|node| read_typed(node, reader));
    let mut patterns = |key: &'static str, fields: &mut Fields<'_>| {
        let Some(node) = fields.optional(key) else { return Some(Vec::new()) };
        let items = reader.one_or_more(node, EXPECTED)?;
        Some(items.iter().filter_map(|item| read_pattern(item, reader)).collect::<Vec<_>>())
    };
    let expect = patterns("expect", &mut fields);
    let not = patterns("not", &mut fields);
    reader.finish(fields);
    let after = match after {
        None => None,
        Some(after) => Some(after?),
    };
    let said = Said { after, expect: expect?, not: not? };
    if said.expect.is_empty() && said.not.is_empty() {
        return reader.wrong_value(node, "`expect` or `not`, or both");
    }
    Some((said, after_node.unwrap_or(node).at.clone()))
}

fn read_pattern(node: &Node, reader: &mut Reader<'_>) -> Option<Pattern> {
    let plain = reader.pattern(node)?;
    // It was compiled just now.
    Pattern::new(plain.as_str()).ok()
}
