//! Reports of a class, made of rows.

use super::*;
use crate::gradebook::{Found, LabRow, RowGrade, Run, RunKind, State, StudentRow, Terms};

const EVIL: &str = "=HYPERLINK(\"http://x\")]]><b>|\u{1b}[2J\n::error::x";

fn row(text: &str, student: &str, name: &str, state: State, points: Option<f64>) -> Row {
    let grade = points.map(|points| RowGrade {
        key: "k".to_owned(),
        kernel: "reference".to_owned(),
        source: "s".to_owned(),
        seed: "0x1".to_owned(),
        outcome: if points < 10.0 { "failed" } else { "passed" }.to_owned(),
        earned: Points::from(points),
        max: Points::whole(10),
        compiler: String::new(),
        qemu: String::new(),
        course: String::new(),
        attestation: String::new(),
        document: "d".to_owned(),
        cached: false,
        seconds: 1.0,
    });
    Row {
        student: StudentRow { student: student.to_owned(), name: name.to_owned(), team: String::new() },
        lab: "lab".to_owned(),
        state,
        reason: if matches!(state, State::Graded) { String::new() } else { text.to_owned() },
        attempts: 1,
        terms: Terms { repository: "r".to_owned(), wanted: "branch lab".to_owned(), due: Some(1000) },
        found: points.map(|_| Found { later: 2, head_time: 4600, rule: "the last".to_owned(), ..Found::default() }),
        grade,
    }
}

fn check(text: &str, student: &str, name: &str, verdict: &str, earned: f64) -> CheckRow {
    CheckRow {
        student: student.to_owned(),
        lab: "lab".to_owned(),
        name: name.to_owned(),
        title: "It must hold".to_owned(),
        proof: "trace".to_owned(),
        verdict: verdict.to_owned(),
        reason: text.to_owned(),
        earned: Points::from(earned),
        max: Points::whole(5),
    }
}

fn class() -> Class {
    saying(EVIL)
}

/// So many pairs with somebody of this name.
pub(in crate::report) fn like(other: &str, count: usize) -> alike::Alike {
    let pair = crate::likeness::Pair { one: "s1".to_owned(), other: other.to_owned(), common: 40, share: 0.879 };
    alike::Alike { lab: "lab".to_owned(), pairs: vec![pair; count] }
}

/// A class in which every string that a submission or a roster can have a hand in is this one.
pub(in crate::report) fn saying(text: &str) -> Class {
    let lab =
        LabRow { lab: "lab".to_owned(), title: "A lab".to_owned(), version: "v".to_owned(), points: Points::whole(10) };
    let run = Run {
        kind: RunKind::Batch,
        roster: String::new(),
        seed: "derived".to_owned(),
        grader: "0".to_owned(),
        shard: "1/1".to_owned(),
        only: String::new(),
        labs: vec![lab],
    };
    Class {
        run: PastRun { id: 1, run, started: 0, finished: Some(1), host: String::new() },
        rows: vec![
            row(text, "s1", "Ada", State::Graded, Some(10.0)),
            row(text, "s2", text, State::Graded, Some(4.5)),
            row(text, "s3", "", State::Missing, None),
            row(text, "s4", "", State::Error, None),
        ],
        checks: vec![
            check(text, "s1", "one", "pass", 5.0),
            check(text, "s1", "two", "pass", 5.0),
            check(text, "s2", "one", "pass", 4.5),
            check(text, "s2", "two", "fail", 0.0),
        ],
    }
}

#[test]
fn the_table_has_a_line_for_everybody_and_points_only_for_those_who_have_a_grade() {
    let text = csv::to_string(&class()).unwrap();
    let mut table = ::csv::Reader::from_reader(text.as_bytes());
    let column = |name: &str, table: &mut ::csv::Reader<&[u8]>| {
        table.headers().unwrap().iter().position(|header| header == name).unwrap()
    };
    let (status, points, two) = (column("status", &mut table), column("points", &mut table), column("two", &mut table));
    let rows: Vec<::csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let shown: Vec<(&str, &str, &str)> = rows.iter().map(|row| (&row[status], &row[points], &row[two])).collect();
    assert_eq!(shown, [("passed", "10", "5"), ("failed", "4.5", "0"), ("missing", "", ""), ("error", "", "")]);
    assert!(rows.iter().flatten().all(|cell| !cell.starts_with('=')), "{text}");
}

#[test]
fn a_class_in_junit_tells_the_student_s_fault_from_ours() {
    let text = junit::to_string(&class()).unwrap();
    for (what, count) in [("<testsuite ", 4), ("<failure ", 2), ("<error ", 1), ("type=\"missing\"", 1)] {
        assert_eq!(text.matches(what).count(), count, "{what} in {text}");
    }
    assert!(text.contains("classname=\"s2.lab\""), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains("]]><b>"), "{text}");
}

#[test]
fn the_summary_counts_names_and_escapes() {
    let text = markdown::render(&class(), &[like("[s9](x)", 22)]);
    for what in [
        "| 4 | 1 | 1 | 1 | 1 | 0 |",
        "7.3 on average, median 7.3, from 4.5 to 10",
        "| one | 2 of 2, 100 % |",
        "| two | 1 of 2, 50 % |",
        "2 later commit\\(s\\), up to 1 h late, not graded",
        "- s1 and \\[s9\\]\\(x\\): 87 % of the smaller one",
        "- and 2 more pairs, which `grader alike` lists",
    ] {
        assert!(text.contains(what), "{what} in {text}");
    }
    assert!(!text.contains("<b>") && !text.contains('\u{1b}') && !text.contains("\n::error"), "{text}");
}
