//! What is wrong with a file of the course, where, and what was expected.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

use crate::owner::Owner;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// Bytes of the source that it is about.
    pub at: Range<usize>,
    /// Line, from one.
    pub line: usize,
    /// Column in characters, from one.
    pub column: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file is no YAML.
    #[error("this is no valid YAML: {0}")]
    Syntax(String),
    /// A mapping has a key that means nothing there.
    #[error("{of} has no key `{key}`")]
    UnknownKey {
        /// What was written.
        key: String,
        /// What the mapping describes.
        of: &'static str,
        /// The keys that mean something there.
        expected: Vec<String>,
        /// The one that was probably meant.
        meant: Option<String>,
    },
    /// A mapping lacks a key.
    #[error("{of} needs the key `{key}`: {expected}")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// What the mapping describes.
        of: &'static str,
        /// What its value must be.
        expected: String,
    },
    /// A name is given twice.
    #[error("{what} `{name}` is there twice, first in line {first}")]
    Repeated {
        /// What it is the name of.
        what: &'static str,
        /// The name.
        name: String,
        /// Line of the first.
        first: usize,
    },
    /// A value has the wrong type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What is there.
        found: &'static str,
        /// What must be.
        expected: String,
    },
    /// A value of the right type means nothing.
    #[error("`{found}` is not {expected}")]
    WrongValue {
        /// What is there.
        found: String,
        /// What must be.
        expected: String,
    },
    /// A name refers to nothing.
    #[error("there is no {what} `{name}`")]
    UnknownName {
        /// What it should be the name of.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        expected: Vec<String>,
        /// The one that was probably meant.
        meant: Option<String>,
    },
    /// A path leads out of the folder that it is relative to.
    #[error("path `{path}` is not plain: it must be relative, written with `/`, and stay inside {within}")]
    PathOutside {
        /// The path.
        path: String,
        /// The folder.
        within: String,
    },
    /// A path leads nowhere.
    #[error("{within} has no file `{path}`")]
    PathMissing {
        /// The path.
        path: String,
        /// The folder that it is relative to.
        within: String,
    },
    /// A regular expression that is none.
    #[error("this is no regular expression: {reason}")]
    Pattern {
        /// What the parser of expressions says.
        reason: String,
    },
    /// The points of the checks are not the points of the lab.
    #[error("{}, and it says {points}", together(sums))]
    PointSum {
        /// Of the checks for each kernel kind.
        sums: Vec<(String, u64)>,
        /// Of the lab.
        points: u64,
    },
    /// Two parts of the file that are right each, and wrong together.
    #[error("{0}")]
    Conflict(String),
}

/// What the checks are worth, by kernel kind where that is not the same for all.
fn together(sums: &[(String, u64)]) -> String {
    match sums {
        [(_, first), rest @ ..] if rest.iter().any(|(_, sum)| sum != first) => {
            let kinds: Vec<String> =
                sums.iter().map(|(kind, sum)| format!("{sum} points for kernels of kind `{kind}`")).collect();
            format!("the checks are worth {} together, of which `points` is the most", kinds.join(" and "))
        }
        [(_, sum), ..] => format!("the checks are worth {sum} points together, which is what `points` must say"),
        [] => "there are no kernels that the checks could be for".to_owned(),
    }
}

impl Problem {
    /// What to do about it, where the message does not say so already.
    pub fn help(&self) -> Option<String> {
        let (expected, meant) = match self {
            Self::UnknownKey { expected, meant, .. } | Self::UnknownName { expected, meant, .. } => (expected, meant),
            _ => return None,
        };
        let known = if expected.is_empty() {
            "there are none".to_owned()
        } else {
            format!("expected one of: {}", expected.join(", "))
        };
        Some(match meant {
            Some(meant) => format!("did you mean `{meant}`? {known}"),
            None => known,
        })
    }
}

impl Defect {
    /// A defect at these bytes of the source.
    pub fn new(source: &str, at: Range<usize>, problem: Problem) -> Self {
        let before = &source[..at.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self { at, line, column, problem }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.problem)?;
        self.problem.help().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

/// Everything that is wrong with one file. It is shown with source and carets by miette.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defects {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub source: String,
    /// What is wrong, in the order of the file; at least one.
    pub defects: Vec<Defect>,
}

impl Defects {
    /// A file of the course is mended by whoever wrote it.
    pub const OWNER: Owner = Owner::Caller;
}

impl fmt::Display for Defects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, defect) in self.defects.iter().enumerate() {
            let lead = if index == 0 { "" } else { "\n" };
            write!(f, "{lead}{}:{defect}", self.path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Defects {}

impl Defects {
    /// One diagnostic a defect, with the source around it.
    pub fn reports(&self) -> impl Iterator<Item = miette::Report> + '_ {
        self.defects.iter().map(|defect| {
            miette::Report::new(Shown {
                message: defect.problem.to_string(),
                help: defect.problem.help(),
                at: defect.at.clone(),
                source: NamedSource::new(self.path.display().to_string(), self.source.clone()),
            })
        })
    }
}

#[derive(Debug)]
struct Shown {
    message: String,
    help: Option<String>,
    at: Range<usize>,
    source: NamedSource<String>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, self.at.clone()))))
    }
}
