//! Grades for the tests of reports.

use std::collections::BTreeMap;

use crate::confinement::Protection;
use crate::grade::{
    BootOfTwo, Build, Came, Confined, Figure, Grade, GradedCheck, GradedLab, GradedSession, GradedSubmission, Points,
    Problem, SCHEMA, Score, SessionFinding, Times, Tools, Unstable, Verdict, Watched, Witness,
};
use crate::image::Place;
use crate::lab::{Proof, Visibility};
use crate::oracle::finding::Finding;
use crate::oracle::metrics::Instructions;
use crate::subject::table::{Column, Table};

/// A submission that lost points in every way but one.
pub fn failed() -> Grade {
    saying("what the submission says")
}

/// Likewise; every string that a submission can have a hand in is this one.
pub fn saying(text: &str) -> Grade {
    let words = || text.to_owned();
    let instructions = |mean| Instructions { count: 10, mean, median: 50, p99: 90, worst: 200 };
    let mut table = Table::new("trace", [Column::new("operations", 0), Column::new("utilisation", 1).compared()]);
    table.push(words(), [1000.0, 84.25]);
    let finding = SessionFinding {
        session: "mixed".to_owned(),
        finding: Finding {
            rule: "unmerged".to_owned(),
            operation: 193,
            who: words(),
            asked: "statistics".to_owned(),
            answered: words(),
            expected: "free blocks of order 0: 2, not 4".to_owned(),
            why: words(),
            map: None,
        },
    };
    let lost = Verdict::Fail { reason: words(), findings: vec![finding.clone(), finding], violations: 73 };
    let slow = Verdict::Fail { reason: words(), findings: Vec::new(), violations: 0 };
    let session = GradedSession {
        id: "mixed".to_owned(),
        arguments: String::new(),
        script: vec!["buddytest mixed".to_owned()],
        ending: "panicked".to_owned(),
        explanation: words(),
        problem: Some(problem("panic", 41, text)),
        again: 1,
        twice: ["sessions", "second"].map(|folder| boot_of_two(folder, text)).into(),
        excerpt: text.lines().map(str::to_owned).collect(),
        damage: vec![words()],
        witnessed: Some(false),
        operations: 1000,
        phases: BTreeMap::from([("mixed".to_owned(), instructions(96.0))]),
        reference: BTreeMap::from([("mixed".to_owned(), instructions(48.0))]),
        tables: vec![table.clone()],
        reference_tables: vec![table],
    };
    let mut checks = vec![
        check("split", (12.0, 12), Verdict::Pass),
        check("merge", (0.0, 12), lost),
        check("throughput", (2.5, 6), slow),
        check("later", (0.0, 4), Verdict::Skipped { reason: words() }),
    ];
    // So that what a boot said is in every report twice.
    let sessions = vec!["mixed".to_owned()];
    checks[2].unstable = Some(Unstable { first: Came::Fail, second: Came::Pass, sessions });
    Grade {
        schema: SCHEMA.to_owned(),
        lab: GradedLab {
            id: "lab6-2-buddy".to_owned(),
            title: "Buddy page allocation".to_owned(),
            version: "ab".repeat(32),
            kernel: "reference".to_owned(),
            hides: false,
        },
        submission: GradedSubmission {
            what: words(),
            repository: Some(words()),
            branch: Some(words()),
            commit: Some("c0ffee".repeat(6)),
            committed: Some(1_767_225_600),
            root: String::new(),
            files: BTreeMap::from([("mm/src/page/buddy.rs".to_owned(), "cd".repeat(32))]),
            ignored: vec![words()],
        },
        seed: "0x5eed".to_owned(),
        reproduce: format!("grader run --lab lab6-2-buddy --branch '{text}' --seed 0x5eed"),
        tools: Tools {
            grader: "0.1.0".to_owned(),
            course: "ef".repeat(32),
            compiler: "rustc".to_owned(),
            qemu: "QEMU".to_owned(),
            handout: Some(words()),
        },
        confinement: Some(Confined {
            required: true,
            waived: vec![Protection::Disk],
            in_force: BTreeMap::from([(Protection::Files, "Landlock".to_owned())]),
            missing: BTreeMap::from([(Protection::Disk, "it is a test".to_owned())]),
        }),
        witness: Some(Watched::Missing { why: words() }),
        partial: false,
        points: Score { earned: checks.iter().map(|check| check.points.earned).sum(), max: Points::whole(34) },
        build: Build::Built { source: "01".repeat(32) },
        sessions: vec![session],
        checks,
        times: Times { started: 1_767_229_200, total: 12.5, ..Times::default() },
    }
}

/// A submission that says so much that it is said in a few places only.
pub fn flooding(text: &str) -> Grade {
    let mut grade = failed();
    grade.submission.what = text.to_owned();
    grade.checks[1].verdict = Verdict::Fail { reason: text.to_owned(), findings: Vec::new(), violations: 1 };
    let session = &mut grade.sessions[0];
    session.excerpt = text.lines().map(str::to_owned).collect();
    session.tables[0].push(text, [1.0, 2.0]);
    session.problem = Some(problem("panic", 41, text));
    grade
}

/// A check with so many points of so many.
pub fn check(id: &str, (earned, max): (f64, u32), verdict: Verdict) -> GradedCheck {
    let figure = (id == "throughput").then(|| Figure {
        metric: "mixed.mean".to_owned(),
        unit: "instructions".to_owned(),
        value: 96.0,
        reference: Some(48.0),
        full: 1.25,
        zero: 6.0,
        witness: Some(Witness::Agrees { value: 96.0 }),
    });
    GradedCheck {
        id: id.to_owned(),
        title: format!("What `{id}` is about holds"),
        proof: Proof::Trace,
        visibility: Visibility::Visible,
        sessions: vec!["mixed".to_owned()],
        unstable: None,
        points: Score { earned: Points::from(earned), max: Points::whole(max) },
        verdict,
        figure,
    }
}

fn boot_of_two(folder: &str, text: &str) -> BootOfTwo {
    let lines = text.lines().map(str::to_owned).collect();
    BootOfTwo { transcript: format!("{folder}/mixed.serial"), explanation: text.to_owned(), lines }
}

/// Something wrong at a line of the student's own.
pub fn problem(kind: &str, line: u32, message: &str) -> Problem {
    let place = Place { file: "mm/src/page/buddy.rs".to_owned(), line, column: 5 };
    Problem { place, kind: kind.to_owned(), message: message.to_owned() }
}

/// Of a submission that does not compile; the compiler says this at each of so many lines.
pub fn refused(message: &str, lines: u32) -> Grade {
    let mut grade = saying(message);
    let problems: Vec<Problem> = (1..=lines).map(|line| problem("compiler error E0308", line, message)).collect();
    grade.build = Build::Refused {
        reason: format!("the submission does not compile: {message}"),
        diagnostics: format!("error: {message}\n"),
        places: Vec::new(),
        problems,
    };
    grade.sessions.clear();
    for check in &mut grade.checks {
        check.points.earned = Points::ZERO;
        check.verdict = Verdict::Fail { reason: message.to_owned(), findings: Vec::new(), violations: 0 };
    }
    grade.points.earned = Points::ZERO;
    grade
}

/// Of a machine that could not judge a check.
pub fn undecided() -> Grade {
    let mut grade = failed();
    grade.checks[1].verdict = Verdict::Error { reason: "QEMU would not start".to_owned() };
    grade
}

/// Of a lab of which students see only a part: two checks of 16 points.
pub fn with_hidden_checks() -> Grade {
    let mut grade = failed();
    grade.checks.retain(|check| ["split", "later"].contains(&check.id.as_str()));
    let reason = "secret-check failed in secret-session".to_owned();
    let mut secret = check("secret-check", (0.0, 50), Verdict::Fail { reason, findings: Vec::new(), violations: 1 });
    secret.title = "Secret title".to_owned();
    secret.visibility = Visibility::Hidden;
    secret.sessions = vec!["secret-session".to_owned()];
    grade.checks.push(secret);
    grade.lab.hides = true;
    let session = GradedSession { id: "secret-session@7us".to_owned(), ..grade.sessions[0].clone() };
    grade.sessions.push(session);
    grade.times.sessions.insert("secret-session@7us".to_owned(), 0.5);
    grade.points = Score { earned: Points::whole(12), max: Points::whole(66) };
    grade
}
