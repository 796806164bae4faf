//! The grade for a GitHub Actions workflow: annotations on the student's own lines, a summary, and outputs.
//!
//! Annotations are workflow commands in the step's log. The summary and the outputs go to files that the runner names
//! in the environment. Limits as in the runner's source (`actions/runner`: `ActionCommand.cs`,
//! `ActionCommandManager.cs`, `ExecutionContext.cs`, `FileCommandManager.cs`).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;

use super::{markdown, safe};
use crate::grade::{Build, Grade, GradedCheck, Outcome, Problem, Verdict};

/// Annotations of a kind that are shown of a step; all others are in its log only.
const MOST_SHOWN: usize = 10;

/// Characters of a message that are kept.
const LONGEST_MESSAGE: usize = 4096;

/// Characters of a title that can be read beside a line.
const LONGEST_TITLE: usize = 200;

/// Bytes of a step's summary; one that is larger is dropped as a whole. The limit was 128 KiB before it was 1 MiB, and
/// servers of one's own can be of that age; nobody reads more.
const LONGEST_SUMMARY: u64 = 128 << 10;

/// Annotations, each a line: the most telling first, and how many more there would be.
pub fn commands(grade: &Grade) -> String {
    let all = annotations(grade);
    let (mut lines, mut more) = (String::new(), 0);
    for kind in [Kind::Error, Kind::Warning] {
        let of_kind: Vec<&Annotation> = all.iter().filter(|annotation| annotation.kind == kind).collect();
        for annotation in of_kind.iter().take(MOST_SHOWN) {
            lines.push_str(&annotation.command());
        }
        more += of_kind.len().saturating_sub(MOST_SHOWN);
    }
    if more > 0 {
        let message = format!("and {more} more: the step's summary and its log have all of them");
        lines.push_str(&Annotation { kind: Kind::Notice, problem: None, title: "More".to_owned(), message }.command());
    }
    lines
}

/// What stands in their place where nothing could be graded.
pub fn without_grade(why: &str) -> String {
    let title = "The grader could not do its work".to_owned();
    Annotation { kind: Kind::Error, problem: None, title, message: why.to_owned() }.command()
}

/// Adds summary and outputs to the files that the runner names in these variables.
///
/// # Errors
/// When a file that is named cannot be written.
pub fn write_step_files(grade: &Grade, variable: impl Fn(&str) -> Option<OsString>) -> io::Result<()> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(path) = named("GITHUB_STEP_SUMMARY") {
        let taken = std::fs::metadata(&path).map_or(0, |file| file.len());
        let left = usize::try_from(LONGEST_SUMMARY.saturating_sub(taken)).unwrap_or(0);
        append(Path::new(&path), &markdown::within(grade, left))?;
    }
    if let Some(path) = named("GITHUB_OUTPUT") {
        append(Path::new(&path), &outputs(grade))?;
    }
    Ok(())
}

/// `score`, `max-score`, `passed`. None where our own fault left something undecided: that would be a grade.
fn outputs(grade: &Grade) -> String {
    let (earned, max) = (grade.points.earned, grade.points.max);
    match grade.outcome() {
        Outcome::Error => String::new(),
        outcome => format!("score={earned}\nmax-score={max}\npassed={}\n", outcome == Outcome::Passed),
    }
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error,
    Warning,
    Notice,
}

#[derive(Debug)]
struct Annotation<'g> {
    kind: Kind,
    problem: Option<&'g Problem>,
    title: String,
    message: String,
}

impl Annotation<'_> {
    fn command(&self) -> String {
        let name = match self.kind {
            Kind::Error => "error",
            Kind::Warning => "warning",
            Kind::Notice => "notice",
        };
        let mut properties = String::new();
        if let Some(Problem { place, .. }) = self.problem {
            let file = property(&safe::line(&place.file));
            properties.push_str(&format!("file={file},line={},col={},", place.line, place.column));
        }
        properties.push_str(&format!("title={}", property(&safe::short(&self.title, LONGEST_TITLE))));
        format!("::{name} {properties}::{}\n", data(&safe::visible(&shortened(&self.message, LONGEST_MESSAGE))))
    }
}

/// All that there is to say, the most telling first: what kept it from being built, where it stopped, what it lost.
fn annotations(grade: &Grade) -> Vec<Annotation<'_>> {
    let mut all = Vec::new();
    let error = |problem, title: String, message: String| Annotation { kind: Kind::Error, problem, title, message };
    match &grade.build {
        Build::Refused { reason, problems, .. } => {
            all.extend(problems.iter().map(|found| error(Some(found), found.kind.clone(), found.message.clone())));
            if problems.is_empty() {
                all.push(error(None, "Not built".to_owned(), reason.clone()));
            }
        }
        Build::Error { reason } => {
            let title = "The grader could not build it; that is no fault of yours".to_owned();
            all.push(Annotation { kind: Kind::Warning, problem: None, title, message: reason.clone() });
        }
        Build::Built { .. } => {
            let mut seen = BTreeSet::new();
            for session in &grade.sessions {
                let Some(found) = &session.problem else { continue };
                if seen.insert((&found.place.file, found.place.line)) {
                    let title = format!("{} in session {}", found.kind, session.id);
                    all.push(error(Some(found), title, found.message.clone()));
                }
            }
            let mut checks: Vec<&GradedCheck> = grade.checks.iter().collect();
            // The sort is stable: of equal losses, the lab's order.
            checks.sort_by_key(|check| std::cmp::Reverse(check.points.max.without(check.points.earned)));
            all.extend(checks.into_iter().filter_map(of_check));
        }
    }
    all
}

/// What a check lost, with the first operation that shows why.
fn of_check(check: &GradedCheck) -> Option<Annotation<'_>> {
    let lost = check.points.max.without(check.points.earned);
    let (kind, title, mut message) = match &check.verdict {
        Verdict::Pass | Verdict::Skipped { .. } => return None,
        Verdict::Fail { reason, .. } => {
            (Kind::Error, format!("{}: {lost} of {} points lost", check.id, check.points.max), reason.clone())
        }
        Verdict::Error { reason } => {
            let title = format!("{}: could not be judged, which is no fault of yours", check.id);
            (Kind::Warning, title, reason.clone())
        }
    };
    message = format!("{}\n{message}", check.title);
    if let Verdict::Fail { findings, .. } = &check.verdict
        && let Some(found) = findings.first()
    {
        message.push_str("\n\n");
        message.push_str(&super::terminal::explanation(found).join("\n"));
    }
    Some(Annotation { kind, problem: None, title, message })
}

/// Text as the data of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text as a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Its first characters.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most - 1) {
        Some((at, last)) if at + last.len_utf8() < text.len() => format!("{}…", &text[..at]),
        _ => text.to_owned(),
    }
}

/// Keeps the runner from obeying what is said between its opening and its closing, whoever says it.
///
/// The runner reads a step's two streams apart and has one switch for both, so all must come by one of them.
#[derive(Debug)]
pub struct Fence {
    token: String,
}

impl Fence {
    /// Answers the fence with the line that opens it. The token is one that no submission can know.
    pub fn open() -> (Self, String) {
        use std::hash::{BuildHasher as _, RandomState};
        // The state's keys are drawn by the system.
        let draw = || RandomState::new().hash_one(std::time::SystemTime::now());
        let fence = Self { token: format!("grader-{:016x}{:016x}", draw(), draw()) };
        let opening = format!("::stop-commands::{}\n", fence.token);
        (fence, opening)
    }

    /// The line that closes it.
    pub fn close(self) -> String {
        format!("::{}::\n", self.token)
    }
}

#[cfg(test)]
mod tests;
