//! A class from the command line. What is handed in here is refused before anything is built, so that no test waits for
//! a compiler; `ci/class` grades a class that is built and booted, and kills it.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

use crate::student::{LAB, Student, course, grader, reference};

/// A class with a roster.
struct Class {
    folder: TempDir,
    _students: Vec<Student>,
}

/// What came of a command.
struct Said {
    code: Option<i32>,
    text: String,
}

impl Class {
    /// Ada's solution has a forbidden construct, Grace has no branch.
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let ada = Student::with(&format!("{}\nconst SECRET: &str = include_str!(\"/etc/passwd\");\n", reference()));
        let grace = Student::with(&reference());
        let roster = format!(
            "id,name,repository,branch\nada,=Ada,{},{LAB}\ngrace,Grace,{},nowhere\n",
            ada.path().display(),
            grace.path().display()
        );
        fs::write(folder.path().join("class.csv"), roster).expect("a roster");
        Self { folder, _students: vec![ada, grace] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, command: &str) -> Command {
        let mut started = grader(self.folder.path());
        started.arg("--course").arg(course()).arg(command);
        started
    }

    fn batch(&self, more: &[&str]) -> Said {
        let mut command = self.command("batch");
        said(command.args(["--roster", "class.csv", "--lab", LAB, "--out", "out"]).args(more))
    }
}

fn said(command: &mut Command) -> Said {
    let output = command.output().expect("grader starts");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    Said { code: output.status.code(), text }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_class_is_graded_into_a_gradebook_from_which_every_report_can_be_made_again() {
    let class = Class::new();
    let first = class.batch(&["--csv", "one.csv", "--jsonl", "one.jsonl", "--junit", "one.xml", "--junit-dir", "each"]);
    assert_eq!(first.code, Some(1), "{}", first.text);
    assert!(first.text.contains("there is no branch `nowhere`"), "{}", first.text);
    let table = read(&class.path("one.csv"));
    assert!(table.lines().any(|line| line.starts_with("ada,'=Ada,") && line.contains(",failed,0,100,")), "{table}");
    assert!(table.lines().any(|line| line.starts_with("grace,Grace,") && line.contains(",missing,,,")), "{table}");
    let line = read(&class.path("one.jsonl"));
    let line: serde_json::Value = serde_json::from_str(line.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&line["student"], &line["grade"]["lab"]["id"]), (&"ada".into(), &LAB.into()));
    assert!(read(&class.path(&format!("each/{LAB}/ada.xml"))).contains("forbidden construct"));

    let mut report = class.command("report");
    let again = said(report.args(["--from", "out", "--csv", "two.csv", "--markdown", "two.md", "--junit", "two.xml"]));
    assert_eq!(again.code, Some(1), "{}", again.text);
    assert_eq!(read(&class.path("two.csv")), table);
    assert_eq!(read(&class.path("two.xml")), read(&class.path("one.xml")));
    assert!(read(&class.path("two.md")).contains("## Handed in nothing that could be graded"));

    let resumed = class.batch(&["--resume"]);
    assert!(resumed.text.contains("2 of them are done already"), "{}", resumed.text);
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_graded() {
    let class = Class::new();
    fs::write(class.path("class.csv"), "id,repository\na,r/a\na,r/b\n,r/c\n").expect("a roster");
    let wrong = class.batch(&[]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.text);
    for what in
        ["class.csv:3:1: student `a` is there twice, first in line 2", "class.csv:4:1: a student needs the key `id`"]
    {
        assert!(wrong.text.contains(what), "{what} in {}", wrong.text);
    }
    assert!(!class.path("out").exists());
    let mut report = class.command("report");
    let missing = said(report.args(["--from", "out/gradebook.db"]));
    assert_eq!(missing.code, Some(2), "{}", missing.text);
    assert!(missing.text.contains("there is no such file"), "{}", missing.text);
    assert_eq!(class.batch(&["--seed", "random"]).code, Some(2));
    assert_eq!(class.batch(&["--shard", "3/2"]).code, Some(2));
}
