//! The syntax of one KTAP line, without its prefix and indentation.

use super::Status;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax<'a> {
    /// `1..N`
    Plan(u64),
    /// `ok N - NAME # DIRECTIVE DATA` or `not ok …`; a number too large for its type is its largest value, which is
    /// wrong wherever it stands.
    Result { ok: bool, number: u64, name: &'a str, directive: Option<Directive<'a>> },
    /// `# TEXT`
    Diagnostic(&'a str),
}

/// What modifies a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Directive<'a> {
    pub word: Word,
    pub data: &'a str,
}

/// The word of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Skip,
    Todo,
    Xfail,
    Timeout,
    Error,
}

impl Word {
    const ALL: [(&str, Self); 5] = [
        ("SKIP", Self::Skip),
        ("TODO", Self::Todo),
        ("XFAIL", Self::Xfail),
        ("TIMEOUT", Self::Timeout),
        ("ERROR", Self::Error),
    ];

    /// What it makes of `ok` or `not ok`.
    pub const fn status(self, ok: bool) -> Status {
        match self {
            Self::Skip => Status::Skipped,
            Self::Todo if ok => Status::Passed,
            Self::Todo | Self::Xfail => Status::ExpectedFailure,
            Self::Timeout => Status::TimedOut,
            Self::Error => Status::Errored,
        }
    }
}

/// What stands before the version line's text, if the line is one.
pub(super) fn version(text: &str) -> Option<&str> {
    // TAP's own versions differ in what a version line promises; KTAP has had this one only.
    let prefix = text.trim_end().strip_suffix("KTAP version 1")?;
    // A word that merely ends like that is none.
    prefix.chars().next_back().is_none_or(|c| !c.is_alphanumeric()).then_some(prefix)
}

/// What a line says; `None` for text that is no KTAP.
pub(super) fn read(text: &str) -> Option<Syntax<'_>> {
    let text = text.trim_end();
    if let Some(diagnostic) = text.strip_prefix('#') {
        return Some(Syntax::Diagnostic(diagnostic.trim_start()));
    }
    if let Some(plan) = text.strip_prefix("1..") {
        // `1..0 # SKIP …` announces that there is nothing to run.
        let (count, rest) = number(plan)?;
        return (rest.is_empty() || rest.trim_start().starts_with('#')).then_some(Syntax::Plan(count));
    }
    let (ok, rest) = match text.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok ")?),
    };
    let (number, rest) = number(rest)?;
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("- ").unwrap_or(if rest == "-" { "" } else { rest });
    let (name, directive) = directive(rest);
    Some(Syntax::Result { ok, number, name: name.trim(), directive })
}

fn number(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.split_at(text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    (!digits.is_empty()).then(|| (digits.parse().unwrap_or(u64::MAX), rest))
}

/// Splits the directive off a description; a `#` that no known word follows is part of the description.
fn directive(text: &str) -> (&str, Option<Directive<'_>>) {
    for (at, _) in text.match_indices('#') {
        if !text[..at].is_empty() && !text[..at].ends_with(' ') {
            continue;
        }
        let rest = text[at + 1..].trim_start();
        let end = rest.find(' ').unwrap_or(rest.len());
        let found =
            Word::ALL.into_iter().find(|(word, _)| rest[..end].trim_end_matches(':').eq_ignore_ascii_case(word));
        if let Some((_, word)) = found {
            return (&text[..at], Some(Directive { word, data: rest[end..].trim() }));
        }
    }
    (text, None)
}
