//! Results that the guest prints of its own checks, in KTAP version 1 (Linux, Documentation/dev-tools/ktap.rst).

use serde::{Deserialize, Serialize};

mod line;

use line::{Directive, Syntax};

/// One run of tests: from one version line to the next, or to the end of the output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The transcript's line that has the version line.
    pub line: u64,
    /// The results of the outermost level, in order.
    pub tests: Vec<Test>,
    /// What is wrong with the output itself. A document with problems proves nothing in favour of the guest.
    pub problems: Vec<Problem>,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// The transcript's line; where it never reported, the last one that was read before that was clear.
    pub line: u64,
    /// Its number as printed.
    pub number: Option<u64>,
    /// Its description, without the directive.
    pub name: String,
    /// How it went; a test whose subtest failed has failed, whatever it says itself.
    pub status: Status,
    /// What the directive adds, such as why it was skipped.
    pub note: String,
    /// The `# …` lines before it on its level.
    pub diagnostics: Vec<String>,
    /// The tests that it consists of.
    pub subtests: Vec<Test>,
}

/// How a test went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// `ok`
    Passed,
    /// `not ok`
    Failed,
    /// `SKIP`: not run.
    Skipped,
    /// `not ok` with `TODO` or `XFAIL`.
    ExpectedFailure,
    /// `TIMEOUT`, whatever stands before it.
    TimedOut,
    /// `ERROR`, whatever stands before it.
    Errored,
    /// Announced by the plan, or begun, and never reported.
    Missing,
}

impl Status {
    /// Whether it must count against whoever wrote what was tested.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Errored | Self::Missing)
    }
}

/// What is wrong with the output of tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The transcript's line.
    pub line: u64,
    /// One sentence, without a full stop.
    pub what: String,
}

impl Document {
    /// Every result without subtests, depth first, with the names of the tests that it is part of.
    pub fn leaves(&self) -> Vec<(Vec<&str>, &Test)> {
        fn visit<'a>(tests: &'a [Test], path: &mut Vec<&'a str>, leaves: &mut Vec<(Vec<&'a str>, &'a Test)>) {
            for test in tests {
                path.push(&test.name);
                if test.subtests.is_empty() {
                    leaves.push((path.clone(), test));
                }
                visit(&test.subtests, path, leaves);
                path.pop();
            }
        }
        let mut leaves = Vec::new();
        visit(&self.tests, &mut Vec::new(), &mut leaves);
        leaves
    }
}

/// The most levels of tests within tests; what lies deeper is named as a problem and is no result.
pub const MOST_LEVELS: usize = 16;

/// Takes lines of console text, one after the other.
#[derive(Debug, Default)]
pub struct Parser {
    done: Vec<Document>,
    document: Document,
    /// Characters before the version line, which every other line of the document has before it too.
    prefix: usize,
    /// The outermost level first; empty while no document is open.
    levels: Vec<Level>,
    last_line: u64,
}

/// Tests side by side.
#[derive(Debug, Default)]
struct Level {
    indent: usize,
    /// What a `# Subtest: NAME` line calls the test that these are part of.
    name: String,
    plan: Option<u64>,
    tests: Vec<Test>,
    diagnostics: Vec<String>,
}

impl Parser {
    /// Takes the text of a line; says whether it was part of a document.
    pub fn line(&mut self, number: u64, text: &str) -> bool {
        self.last_line = number;
        if let Some(prefix) = line::version(text) {
            self.version(prefix);
            return true;
        }
        // What lacks the prefix, and what comes before any version line, is console text.
        let start = text.char_indices().map(|(start, _)| start).nth(self.prefix);
        let Some(text) = start.map(|start| &text[start..]).filter(|_| !self.levels.is_empty()) else {
            return false;
        };
        let indent = text.len() - text.trim_start_matches(' ').len();
        match line::read(&text[indent..]) {
            None => return false,
            Some(Syntax::Plan(count)) => self.plan(indent, count),
            Some(Syntax::Result { ok, number, name, directive }) => self.result(indent, ok, number, name, directive),
            Some(Syntax::Diagnostic(text)) => self.diagnostic(indent, text),
        }
        true
    }

    /// No more lines belong to the document that is open, if one is.
    pub fn end_document(&mut self) {
        self.give_up_deeper(0);
        if let Some(level) = self.levels.pop() {
            self.document.tests = self.completed(level);
            self.done.push(std::mem::take(&mut self.document));
        }
    }

    /// Everything that was read.
    pub fn finish(mut self) -> Vec<Document> {
        self.end_document();
        self.done
    }

    fn version(&mut self, prefix: &str) {
        let indent = prefix.chars().skip(self.prefix).count();
        let indented = prefix.chars().skip(self.prefix).all(|c| c == ' ');
        if !self.levels.is_empty() && indent > 0 && indented {
            self.give_up_deeper(indent - 1);
            self.open(indent);
        } else {
            self.end_document();
            self.prefix = prefix.chars().count();
            self.document = Document { line: self.last_line, ..Document::default() };
            self.levels.push(Level::default());
        }
    }

    fn plan(&mut self, indent: usize, count: u64) {
        self.give_up_deeper(indent);
        if !self.reach(indent) {
            return;
        }
        let before = self.levels.last_mut().and_then(|level| level.plan.replace(count));
        if let Some(before) = before {
            self.problem(format!("a second plan, 1..{count}, after 1..{before}"));
        }
    }

    fn diagnostic(&mut self, indent: usize, text: &str) {
        let name = text.strip_prefix("Subtest:").map(str::trim);
        if name.is_some() && self.levels.last().is_some_and(|level| level.indent < indent) {
            // Older kernels begin subtests with this line alone.
            self.open(indent);
        }
        let Some(level) = self.levels.iter_mut().rev().find(|level| level.indent <= indent) else { return };
        match name {
            Some(name) => name.clone_into(&mut level.name),
            None => level.diagnostics.push(text.to_owned()),
        }
    }

    fn result(&mut self, indent: usize, ok: bool, number: u64, name: &str, directive: Option<Directive<'_>>) {
        let subtests = self.close_deeper(indent).map(|(_, tests)| tests).unwrap_or_default();
        if !self.reach(indent) {
            return;
        }
        let plain = if ok { Status::Passed } else { Status::Failed };
        let mut status = directive.map_or(plain, |directive| directive.word.status(ok));
        if let Some(bad) = subtests.iter().find(|test| test.status.is_bad())
            && !status.is_bad()
        {
            self.problem(format!("{name:?} does not say that it failed, though its subtest {:?} did", bad.name));
            status = Status::Failed;
        }
        let line = self.last_line;
        let note = directive.map_or(String::new(), |directive| directive.data.to_owned());
        let Some(level) = self.levels.last_mut() else { return };
        let expected = level.tests.len() as u64 + 1;
        let diagnostics = std::mem::take(&mut level.diagnostics);
        let name = name.to_owned();
        level.tests.push(Test { line, number: Some(number), name, status, note, diagnostics, subtests });
        if number != expected {
            self.problem(format!("result {number} where result {expected} was due"));
        }
    }

    /// Makes the level of that indentation the innermost one; deeper ones must be closed already.
    fn reach(&mut self, indent: usize) -> bool {
        match self.levels.last() {
            Some(level) if level.indent < indent => {
                self.problem("subtests that do not begin with a version line of their own".into());
                self.open(indent)
            }
            level => level.is_some(),
        }
    }

    fn open(&mut self, indent: usize) -> bool {
        let room = self.levels.len() < MOST_LEVELS;
        if room {
            self.levels.push(Level { indent, ..Level::default() });
        } else {
            self.problem(format!("more than {MOST_LEVELS} levels of subtests; this one is not read"));
        }
        room
    }

    /// Closes the levels deeper than `indent`, and gives name and tests of the outermost of them, if there is one.
    fn close_deeper(&mut self, indent: usize) -> Option<(String, Vec<Test>)> {
        let mut closed = None;
        while let Some(mut level) = self.levels.pop_if(|level| level.indent > indent) {
            if let Some((name, subtests)) = closed.take() {
                level.tests.push(self.never_reported(name, subtests));
            }
            let name = std::mem::take(&mut level.name);
            closed = Some((name, self.completed(level)));
        }
        closed
    }

    /// As [`close_deeper`](Self::close_deeper), where no result can come any more of the test that they are part of.
    fn give_up_deeper(&mut self, indent: usize) {
        if let Some((name, subtests)) = self.close_deeper(indent) {
            let test = self.never_reported(name, subtests);
            if let Some(level) = self.levels.last_mut() {
                level.tests.push(test);
            }
        }
    }

    fn never_reported(&mut self, name: String, subtests: Vec<Test>) -> Test {
        self.problem(format!("the test {name:?} began with subtests and never reported itself"));
        missing(self.last_line, None, name, subtests)
    }

    /// The tests of a level that nothing can be added to any more, held against its plan.
    fn completed(&mut self, mut level: Level) -> Vec<Test> {
        let count = level.tests.len() as u64;
        match level.plan {
            None => self.problem("no plan, such as 1..3, says how many results there should be".into()),
            Some(planned) if planned < count => {
                self.problem(format!("{count} results where {planned} were planned"));
            }
            Some(planned) if planned > count => {
                let first = count + 1;
                let name =
                    if first == planned { format!("test {first}") } else { format!("tests {first} to {planned}") };
                self.problem(format!("{name} never reported; the plan was 1..{planned}"));
                level.tests.push(missing(self.last_line, Some(first), name, Vec::new()));
            }
            Some(_) => {}
        }
        level.tests
    }

    fn problem(&mut self, what: String) {
        self.document.problems.push(Problem { line: self.last_line, what });
    }
}

fn missing(line: u64, number: Option<u64>, name: String, subtests: Vec<Test>) -> Test {
    Test { line, number, name, status: Status::Missing, note: String::new(), diagnostics: Vec::new(), subtests }
}

#[cfg(test)]
mod tests;
