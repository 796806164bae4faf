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

/// The course, with a lab of two short sessions.
struct ShortCourse(TempDir);

impl ShortCourse {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let tracked = std::process::Command::new("git")
            .current_dir(course())
            .args(["ls-files", "-z", "reference-kernel", "labs/kernels", &format!("labs/{LAB}/handout")])
            .output()
            .expect("git");
        for path in String::from_utf8(tracked.stdout).expect("UTF-8").split_terminator('\0') {
            let goal = folder.path().join(path);
            fs::create_dir_all(goal.parent().expect("a folder")).expect("a folder");
            fs::copy(course().join(path), goal).expect("a copy");
        }
        let short = Self(folder);
        short.write_lab("", "6", "4");
        short
    }

    fn write_lab(&self, more: &str, requests: &str, frees: &str) {
        let lab = format!(
            r#"id: {LAB}
title: A short lab
points: 10
kernels:
  reference: {{ files: [mm/src/page/buddy.rs], build: {{ features: [kernel/buddy] }} }}
sessions:
  requests:    {{ run: "buddytest requests",    arena: [4099] }}
  wrong-frees: {{ run: "buddytest wrong-frees", arena: [1031+9{more}] }}
checks:
  - {{ id: requests,   title: Requests are answered, session: requests,    oracle: buddy.requests, points: {requests} }}
  - {{ id: wrong-free, title: Frees are refused,     session: wrong-frees, oracle: buddy.rejects,  points: {frees} }}
"#
        );
        fs::write(self.0.path().join(format!("labs/{LAB}/lab.yaml")), lab).expect("a lab");
    }
}

#[test]
fn a_lab_whose_points_changed_is_judged_again_without_a_boot_and_what_needs_one_is_named() {
    let course = ShortCourse::new();
    let student = Student::with(&reference());
    let folder = TempDir::new().expect("a folder");
    let roster = format!("id,repository,branch\nada,{},{LAB}\n", student.path().display());
    fs::write(folder.path().join("class.csv"), roster).expect("a roster");
    let run = |arguments: &[&str]| {
        let mut command = grader(folder.path());
        command.arg("--course").arg(course.0.path());
        // Neither a builder nor QEMU may be needed for what follows the first run.
        if arguments[0] != "batch" {
            command.env("PATH", "");
        }
        said(command.args(arguments))
    };
    let batch = ["batch", "--roster", "class.csv", "--lab", LAB, "--out", "out"];
    let first = run(&batch);
    assert_eq!(first.code, Some(0), "{}", first.text);

    course.write_lab("", "3", "7");
    let again = run(&["regrade", "--lab", LAB, "--from", "out", "--jsonl", "two.jsonl"]);
    assert_eq!(again.code, Some(0), "{}", again.text);
    let line = read(&folder.path().join("two.jsonl"));
    let line: serde_json::Value = serde_json::from_str(&line).expect("a line");
    assert_eq!(line["grade"]["checks"][1]["points"]["earned"], 7.0, "{line}");
    let changed = run(&["diff", "out#1", "out#2"]);
    assert_eq!(changed.code, Some(1), "{}", changed.text);
    for what in ["ada in", "because of the lab (lab.yaml)", "requests: pass 6 of 6 -> pass 3 of 3"] {
        assert!(changed.text.contains(what), "{what} in {}", changed.text);
    }
    assert_eq!(run(&["diff", "out#2", "out"]).code, Some(0));

    course.write_lab(", 777", "3", "7");
    let fresh = run(&["regrade", "--lab", LAB, "--from", "out"]);
    assert_eq!(fresh.code, Some(3), "{}", fresh.text);
    assert!(
        fresh.text.contains("ada in lab6-2-buddy: session wrong-frees is booted in another way now"),
        "{}",
        fresh.text
    );
}

#[test]
fn a_run_that_is_killed_between_two_boots_goes_on_with_the_second() {
    let course = ShortCourse::new();
    let student = Student::with(&reference());
    let folder = TempDir::new().expect("a folder");
    let roster = format!("id,repository,branch\nada,{},{LAB}\n", student.path().display());
    fs::write(folder.path().join("class.csv"), roster).expect("a roster");
    let batch = |more: &[&str]| {
        let mut command = grader(folder.path());
        command.arg("--course").arg(course.0.path()).args(["batch", "--roster", "class.csv", "--lab", LAB]);
        said(command.args(["--out", "out", "--no-cache"]).args(more))
    };
    let first = batch(&[]);
    assert_eq!(first.code, Some(0), "{}", first.text);

    // What a kill leaves: a draft with one boot, and a commit that was found.
    let runs = folder.path().join("out/runs");
    let run = fs::read_dir(&runs).expect("runs").flatten().next().expect("a run");
    let draft = runs.join(format!(".new-{}", run.file_name().to_string_lossy()));
    fs::rename(run.path(), &draft).expect("a draft");
    for file in ["grade.json", "sessions/wrong-frees.json", "sessions/wrong-frees.serial"] {
        fs::remove_file(draft.join(file)).expect("a file");
    }
    let before = read(&draft.join("sessions/requests.json"));
    let file = folder.path().join("out/gradebook.db");
    let database = rusqlite::Connection::open(&file).expect("the gradebook");
    database
        .execute_batch(
            "UPDATE submissions SET state = 'found', document = NULL, outcome = NULL; UPDATE runs SET finished_at = NULL",
        )
        .expect("an update");
    drop(database);

    let resumed = batch(&["--resume"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.text);
    assert_eq!(read(&run.path().join("sessions/requests.json")), before, "it was booted again");
    assert!(run.path().join("sessions/wrong-frees.json").exists());
    assert!(!draft.exists());
}
