//! Where reports go: what was asked for in which form, to which file or to standard output.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::terminal;
use crate::grade::{Grade, Outcome};
use crate::owner::Owner;
use crate::report::github::{self, Fence};
use crate::report::terminal::{self as report, Theme};
use crate::report::{FORMATS, Format, GITHUB, Of};
use crate::runner;
use crate::write;

/// Where reports go, besides the terminal.
#[derive(Debug, Args)]
pub struct Reports {
    /// Write a JUnit report here: `--format junit=FILE`
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the grade document here: `--format json=FILE`
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a report in this form to a file, or to standard output in place of the one for people: json, junit,
    /// markdown, classroom50, gradescope; github takes no file and comes beside the one for people (repeatable)
    #[arg(long, value_name = "NAME[=FILE]", value_parser = wanted)]
    pub format: Vec<Wanted>,
    /// Show hidden checks, the seed and all points, which students must not see
    #[arg(long)]
    pub show_hidden: bool,
}

/// A report that was asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    format: Format,
    /// Where it goes; to standard output without one.
    file: Option<PathBuf>,
}

impl Wanted {
    fn is_for_github(&self) -> bool {
        self.format.name == GITHUB
    }
}

/// `NAME`, `NAME=-` or `NAME=FILE`.
fn wanted(text: &str) -> Result<Wanted, String> {
    let (name, file) = text.split_once('=').map_or((text, None), |(name, file)| (name, Some(file)));
    let names = || FORMATS.map(|format| format.name).join(", ");
    let format = FORMATS.into_iter().find(|format| format.name == name);
    let format = format.ok_or_else(|| format!("there is no such form; there are {}", names()))?;
    let wanted = Wanted { format, file: file.filter(|file| !file.is_empty() && *file != "-").map(PathBuf::from) };
    if wanted.is_for_github() && wanted.file.is_some() {
        return Err("it is for the log of a step, and the files that GitHub names; it takes no other".to_owned());
    }
    Ok(wanted)
}

/// The reports of one command, from its beginning to its end.
#[derive(Debug)]
pub struct Publisher<'r> {
    wanted: Vec<Wanted>,
    reports: &'r Reports,
    /// While it is there, a runner of GitHub's obeys nothing that is printed.
    fence: Option<Fence>,
}

impl<'r> Publisher<'r> {
    /// Before anything is graded: refuses what cannot be done together, and leaves word for readers who need a file.
    pub fn begin(reports: &'r Reports) -> Result<Self, Failure> {
        let named = |name: &str, file: &Option<PathBuf>| {
            let format = FORMATS.into_iter().find(|format| format.name == name)?;
            Some(Wanted { format, file: Some(file.clone()?) })
        };
        let mut wanted: Vec<Wanted> =
            [named("json", &reports.json), named("junit", &reports.junit)].into_iter().flatten().collect();
        wanted.extend(reports.format.iter().cloned());
        let printed: Vec<&str> = wanted.iter().filter(|one| one.file.is_none()).map(|one| one.format.name).collect();
        if printed.len() > 1 {
            let what = format!("print {} on one standard output", printed.join(" and "));
            return Err(Failure::caller(what).with_help("name a file for all but one of them: --format NAME=FILE"));
        }
        let mut publisher = Self { wanted, reports, fence: None };
        // Whatever ends us, even what nobody can catch, leaves a file that says that there is no grade.
        publisher.write_without_grade("it was ended before it was through")?;
        if publisher.wanted.iter().any(Wanted::is_for_github) {
            // The runner has one switch for two streams, which it reads apart.
            let joined = rustix::stdio::dup2_stderr(io::stdout());
            joined.map_err(|error| Failure::harness(format!("join the two outputs: {error}")))?;
            publisher.put_up_fence()?;
        }
        Ok(publisher)
    }

    /// Shows a grade, writes the reports that were asked for, and answers with the exit code.
    ///
    /// A report that cannot be written is named and does not keep the others from being written.
    pub fn publish(&mut self, grade: &Grade) -> Result<ExitCode, Failure> {
        let visible = if self.reports.show_hidden { grade.clone() } else { grade.visible() };
        if self.wanted.iter().all(|one| one.file.is_some() || one.is_for_github()) {
            terminal::print(&report::render(&visible, &Theme::new(terminal::colours(&io::stdout()))))?;
        }
        self.take_down_fence()?;
        let mut failed = None;
        for one in &self.wanted {
            let grade = if one.format.of == Of::Whole { grade } else { &visible };
            if let Err(failure) = write_one(one, grade)
                && let Some(earlier) = failed.replace(failure)
            {
                terminal::complain(&earlier);
            }
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok(match visible.outcome() {
                Outcome::Passed => ExitCode::SUCCESS,
                Outcome::Failed => Owner::Submission.exit_code().into(),
                Outcome::Error => Owner::Harness.exit_code().into(),
            }),
        }
    }

    /// Tells those who read no terminal that there is no grade, and why; answers as the command would have.
    pub fn without_grade(mut self, failure: Failure) -> Result<ExitCode, Failure> {
        let why = runner::chain(&*failure.error);
        if let Err(other) = self.write_without_grade(&why) {
            terminal::complain(&other);
        }
        let Some(for_github) = self.wanted.iter().find(|one| one.is_for_github()).cloned() else {
            return Err(failure);
        };
        // What it says may be the submission's own words.
        terminal::complain(&failure);
        self.take_down_fence()?;
        if let Some(say) = for_github.format.without_grade {
            terminal::print(&say(&why))?;
        }
        Ok(failure.owner.exit_code().into())
    }

    fn write_without_grade(&self, why: &str) -> Result<(), Failure> {
        for one in &self.wanted {
            if let (Some(file), Some(say)) = (&one.file, one.format.without_grade) {
                write_file(one, file, &say(why))?;
            }
        }
        Ok(())
    }

    fn put_up_fence(&mut self) -> Result<(), Failure> {
        let (fence, opening) = Fence::open();
        self.fence = Some(fence);
        terminal::print(&opening)
    }

    fn take_down_fence(&mut self) -> Result<(), Failure> {
        self.fence.take().map_or(Ok(()), |fence| terminal::print(&fence.close()))
    }
}

fn write_one(one: &Wanted, grade: &Grade) -> Result<(), Failure> {
    let Format { name, title, render, .. } = one.format;
    if one.is_for_github() {
        github::write_step_files(grade, |name| std::env::var_os(name))
            .map_err(|error| Failure::harness(format!("write the summary and outputs of the step: {error}")))?;
    }
    let text = render(grade).map_err(|error| Failure::harness(format!("write {title} (--format {name}): {error}")))?;
    match &one.file {
        Some(file) => write_file(one, file, &text),
        None => terminal::print(&text),
    }
}

fn write_file(one: &Wanted, file: &Path, text: &str) -> Result<(), Failure> {
    write::atomically(file, text.as_bytes())
        .map_err(|error| Failure::harness(format!("write {} {}: {error}", one.format.title, file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(format: &[&str]) -> Reports {
        let format = format.iter().map(|text| wanted(text).unwrap()).collect();
        Reports { junit: None, json: None, format, show_hidden: false }
    }

    #[test]
    fn two_reports_on_one_standard_output_are_refused() {
        let both = reports(&["json", "junit=-"]);
        let failure = Publisher::begin(&both).unwrap_err();
        assert_eq!(failure.owner, Owner::Caller);
        assert_eq!(failure.error.to_string(), "print json and junit on one standard output");
        assert!(Publisher::begin(&reports(&["json", "junit=x.xml"])).is_ok());
    }

    #[test]
    fn what_is_no_form_is_refused_with_those_that_are() {
        assert!(wanted("yaml").unwrap_err().contains("json, junit, markdown, github, classroom50, gradescope"));
        assert!(wanted("github=log").is_err());
    }

    #[test]
    fn gradescope_finds_a_document_without_a_score_whatever_ends_the_grader() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results/results.json");
        let asked = reports(&[&format!("gradescope={}", file.display())]);
        let publisher = Publisher::begin(&asked).unwrap();
        let left = || -> serde_json::Value { serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap() };
        assert_eq!(left().get("score"), None);
        let failed = publisher.without_grade(Failure::harness("start QEMU")).unwrap_err();
        assert_eq!(failed.owner, Owner::Harness);
        assert!(left()["output"].as_str().unwrap().ends_with("start QEMU"), "{}", left());
    }
}
