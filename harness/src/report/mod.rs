//! A grade in the forms that people and their tools read; each form a file of its own.

pub mod class;
pub mod classroom50;
pub mod github;
pub mod gradescope;
#[cfg(test)]
mod injection;
pub mod json;
pub mod junit;
pub mod live;
pub mod map;
pub mod markdown;
pub mod safe;
#[cfg(test)]
pub mod samples;
mod table;
pub mod terminal;

use std::io;

use crate::grade::Grade;

/// A form that a grade can be written in.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub title: &'static str,
    /// What it is made from.
    pub of: Of,
    /// The grade in it.
    pub render: fn(&Grade) -> io::Result<String>,
    /// What stands there when nothing could be graded, for this reason; nothing, where its readers need nothing.
    pub without_grade: Option<fn(&str) -> String>,
}

/// What of a grade a form is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// All of it: its readers are staff, or it has a place for what students must not see.
    Whole,
    /// What students may see.
    Visible,
}

/// All of them.
pub const FORMATS: [Format; 6] = [
    Format {
        name: "json",
        title: "the grade document",
        of: Of::Whole,
        render: |grade| Ok(json::to_string(grade)),
        without_grade: None,
    },
    Format { name: "junit", title: "the JUnit report", of: Of::Visible, render: junit::to_string, without_grade: None },
    Format {
        name: "markdown",
        title: "the Markdown report",
        of: Of::Visible,
        render: |grade| Ok(markdown::to_string(grade)),
        without_grade: None,
    },
    Format {
        name: GITHUB,
        title: "annotations, summary and outputs of a step of GitHub Actions",
        of: Of::Visible,
        render: |grade| Ok(github::commands(grade)),
        without_grade: Some(github::without_grade),
    },
    Format {
        name: "classroom50",
        title: "Classroom 50's result.json",
        of: Of::Visible,
        render: |grade| classroom50::to_string(grade, |name| std::env::var(name).ok()),
        without_grade: None,
    },
    Format {
        name: "gradescope",
        title: "Gradescope's results.json",
        of: Of::Whole,
        render: gradescope::to_string,
        without_grade: Some(gradescope::without_grade),
    },
];

/// The one that is written into a log that the terminal's report is in, too.
pub const GITHUB: &str = "github";
