//! What authors of labs and kinds read when what is typed at a console, or read off it, makes no sense.

use std::fs;

use grader::course::CourseError;
use grader::kind;
use grader::lab::read::{Known, ReadError, read};
use grader::lab::{Clock, Judge, Lab, Proof};

use crate::fake::{Fake, JUDGES, KIND, write};

const LAB: &str = r#"id: answer
title: The answer
points: 10
kernels:
  tiny:
    files: [src/answer.rs]
sessions:
  talk:
    harts: 3
    console:
      - kalloctest
      - { type: usertests -q, limit: 300s, figures: 'tot= (?<tot>\d+)' }
checks:
  - { id: ok,    session: talk, console: { after: kalloctest, expect: '^test1 OK$', not: [FAIL] }, points: 4 }
  - { id: spins, session: talk, metric: usertests -q.tot, full: 10, zero: 500, points: 6 }
"#;

const CONSOLE: &str = r#"console:
  prompt: '\$ $'
  join: "; "
  ask: "echo {mark}  end"
  answer: "{mark} end"
variants:
  - { file: Makefile, has: legacy, qemu: [-cpu, rv64], note: An old tree }
"#;

/// What is wrong with the lab, or with the kind, if they are changed like this.
fn read_with(kind: &str, old: &str, new: &str) -> Result<Lab, String> {
    let fake = Fake::new();
    let change = |text: &str| {
        assert!(old.is_empty() || text.matches(old).count() == 1, "{old:?} is not in the file once");
        if old.is_empty() { text.to_owned() } else { text.replacen(old, new, 1) }
    };
    let in_kind = kind.contains(old) && !old.is_empty();
    let (kind, lab) = if in_kind { (change(kind), LAB.to_owned()) } else { (kind.to_owned(), change(LAB)) };
    write(&fake.path("course/labs/kernels/tiny/kernel.yaml"), &kind);
    kind::read(&fake.path("course/labs/kernels/tiny"), &fake.course.root).map_err(|error| error.to_string())?;
    let folder = fake.path("course/labs/answer");
    fs::write(folder.join("lab.yaml"), lab).unwrap();
    let kinds = fake.course.kinds().unwrap();
    let read = read(&folder, &Known { course: &fake.course.root, kinds: &kinds, judges: JUDGES });
    read.map_err(|error| match error {
        ReadError::Defects(defects) => defects.defects.iter().map(|defect| format!("{defect}\n")).collect(),
        error => CourseError::File(error).to_string(),
    })
}

#[track_caller]
fn says(old: &str, new: &str, words: &[&str]) {
    let said = read_with(&format!("{KIND}{CONSOLE}"), old, new).expect_err("a defect");
    for word in words {
        assert!(said.contains(word), "{said:?} lacks {word:?}");
    }
}

#[test]
fn a_sound_session_at_the_console_is_read_with_its_defaults() {
    let lab = read_with(&format!("{KIND}{CONSOLE}"), "", "").unwrap();
    let session = &lab.sessions[0];
    assert_eq!((session.clock, session.run.len(), session.console.len()), (Clock::Parallel, 0, 2));
    assert_eq!([session.console[0].limit, session.console[1].limit], [60_000_000_000, 300_000_000_000]);
    assert!(matches!(&lab.checks[0].judge, Judge::Console(said) if said.after.as_deref() == Some("kalloctest")));
    assert!(lab.checks.iter().all(|check| check.proof == Proof::ConsolePattern));
}

#[test]
fn what_is_typed_must_be_one_command_of_the_session() {
    says("after: kalloctest", "after: kaloctest", &["14:51: ", "`kaloctest`", "did you mean `kalloctest`"]);
    says("after: kalloctest, ", "", &["`after` must name"]);
    says("      - kalloctest\n", "      - kalloctest\n      - kalloctest\n", &["12:9", "twice", "line 11"]);
    says("      - kalloctest\n", "      - \"a\\tb\"\n", &["plain characters"]);
    says("type: usertests -q, ", "", &["`type`"]);
    says("    harts: 3\n", "    harts: 3\n    run: hello\n", &["either a script (`run`)", "`console`"]);
}

#[test]
fn a_session_at_the_console_has_the_parallel_clock_and_limits_of_its_own() {
    says("harts: 3\n", "harts: 3\n    clock: virtual\n", &["parallel clock"]);
    says("harts: 3\n", "harts: 3\n    deadline: 5s wall\n", &["`limit` of its own"]);
    says("limit: 300s", "limit: 300", &["as in `60s`"]);
}

#[test]
fn figures_that_nobody_reads_off_the_console_are_refused_with_those_that_are() {
    says("usertests -q.tot", "usertests -q.total", &["`usertests -q.total`", "did you mean `usertests -q.tot`"]);
    says("usertests -q.tot", "kalloctest.tot", &["kalloctest.tot", "usertests -q.tot.most"]);
    says(r"tot= (?<tot>\d+)", r"tot= \d+", &["named groups"]);
    says(r"(?<tot>\d+)", r"(?<tot>\d+", &["unclosed group"]);
    says("full: 10, zero: 500", "full: 2x, zero: 5x", &["no reference"]);
}

#[test]
fn a_check_of_the_console_says_what_must_be_there_or_must_not() {
    says("expect: '^test1 OK$', not: [FAIL]", "", &["`expect` or `not`"]);
    says("expect:", "expects:", &["`expects`", "did you mean `expect`"]);
    says(
        "console: { after: kalloctest, expect: '^test1 OK$', not: [FAIL] }",
        "ends: true",
        &["judged by what the console says"],
    );
}

#[test]
fn phrases_are_long_enough_to_be_no_code_by_chance_and_lie_on_a_disk() {
    says("harts: 3\n", "harts: 3\n    phrases: OK\n", &["at least 6"]);
    says("harts: 3\n", "harts: 3\n    phrases: test1 OK\n", &["have no `build.disk`"]);
}

#[test]
fn a_kernel_without_a_shell_is_not_typed_at() {
    let said = read_with(KIND, "", "").expect_err("a defect");
    assert!(said.contains("8:3") && said.contains("kind `tiny` have no `console`"), "{said}");
}

#[test]
fn a_question_whose_echo_is_its_answer_is_refused() {
    says("echo {mark}  end", "echo {mark} end", &["taken for the answer", "two blanks"]);
    says("ask: \"echo {mark}  end\"", "ask: echo", &["`{mark}` in it"]);
    says(r"prompt: '\$ $'", "prompt: '('", &["unclosed group"]);
    says("has: legacy", "has: legacy, lacks: new", &["not both"]);
    says("file: Makefile", "file: ../Makefile", &["../Makefile"]);
}
