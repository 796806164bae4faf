//! What authors of labs and kinds read when their files are wrong.

use std::fs;

use grader::course::CourseError;
use grader::kind::{self, Version};
use grader::lab::read::{Known, ReadError, read};
use grader::lab::{Bound, Clock, Deadline, Judge, KindId, mutant};
use grader::owner::Owner;
use grader::yaml::{Defects, Problem};

use crate::fake::{Fake, JUDGES, KIND, LAB, write};

/// What is wrong with the lab file, if it is changed like this.
fn defects(changes: &[(&str, &str)]) -> Defects {
    let fake = Fake::new();
    let mut text = LAB.to_owned();
    for (old, new) in changes {
        assert_eq!(text.matches(old).count(), 1, "{old:?} is not in the file once");
        text = text.replacen(old, new, 1);
    }
    let folder = fake.path("course/labs/answer");
    fs::write(folder.join("lab.yaml"), text).unwrap();
    let kinds = fake.course.kinds().unwrap();
    match read(&folder, &Known { course: &fake.course.root, kinds: &kinds, judges: JUDGES }) {
        Err(ReadError::Defects(defects)) => defects,
        other => panic!("no defects, but {other:?}"),
    }
}

/// The one thing that is wrong, as `line:column: message (help)`.
#[track_caller]
fn only(old: &str, new: &str) -> String {
    let defects = defects(&[(old, new)]);
    assert_eq!(defects.defects.len(), 1, "{defects}");
    defects.defects[0].to_string()
}

/// The change has a mark where the defect must be reported.
#[track_caller]
fn says(old: &str, new: &str, words: &[&str]) {
    let text = LAB.replacen(old, new, 1);
    let (before, _) = text.split_once('‸').expect("a mark");
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    let place = format!("{}:{column}: ", before.matches('\n').count() + 1);
    unmarked(old, &new.replace('‸', ""), &place, words);
}

#[track_caller]
fn unmarked(old: &str, new: &str, place: &str, words: &[&str]) {
    let said = only(old, new);
    assert!(said.starts_with(place), "{said}");
    for word in words {
        assert!(said.contains(word), "{said:?} lacks {word:?}");
    }
}

#[test]
fn a_sound_lab_is_read_with_its_defaults() {
    let lab = Fake::new().lab();
    assert_eq!((lab.id.0.as_str(), lab.points), ("answer", 10));
    let names: Vec<_> = lab.sessions.iter().map(|session| session.id.0.as_str()).collect();
    assert_eq!(names, ["mixed", "ticks"]);
    let mixed = &lab.sessions[0];
    assert_eq!((mixed.harts, mixed.clock, mixed.memory, mixed.output_limit), (1, Clock::Virtual, 128, 1 << 20));
    assert_eq!(mixed.deadline, Deadline::Guest(2_000_000_000));
    assert_eq!(lab.sessions[1].ticks, [7_000, 10_000]);
    assert_eq!(lab.checks[0].title, "Blocks never overlap");
    assert_eq!(lab.checks[2].title, "All ends well");
    assert!(
        matches!(&lab.checks[3].judge, Judge::Metric { full, zero, .. } if (*full, *zero) == (Bound::Ratio(1.25), Bound::Ratio(6.0)))
    );
    assert_eq!(lab.version.len(), 64);
}

#[test]
fn a_wrong_key_is_named_with_the_one_that_was_meant() {
    says("deadline: 2s guest", "‸dealine: 2s guest", &["no key `dealine`", "did you mean `deadline`", "harts"]);
    says("title: The answer\n", "title: The answer\n‸colour: red\n", &["`colour`", "seed-key"]);
}

#[test]
fn a_missing_key_is_named_with_what_it_must_hold() {
    says("id: answer\ntitle: The answer\n", "‸id: answer\n", &["`title`", "what students call the lab"]);
}

#[test]
fn a_repeated_key_is_named_with_the_line_of_the_first() {
    says("points: 10\n", "points: 10\n‸points: 10\n", &["`points`", "twice", "line 3"]);
    says("  ticks: {", "  ‸mixed: { run: hello }\n  ticks: {", &["session `mixed`", "line 8"]);
}

#[test]
fn a_wrong_type_is_named_with_the_right_one() {
    says("points: 10\n", "points: ‸ten\n", &["whole number from 1", "found a text"]);
    says("points: 10\n", "points: ‸10.5\n", &["whole number", "found a number"]);
    says("files: [src/answer.rs]", "files: ‸{ src: 1 }", &["list", "found a mapping"]);
}

#[test]
fn a_path_that_leads_outside_or_nowhere_is_refused() {
    for outside in ["../secret.rs", "/etc/passwd", "src/../../x", "./src/answer.rs", "src//answer.rs"] {
        says("[src/answer.rs]", &format!("[‸{outside}]"), &["stay inside tiny-kernel", outside]);
    }
    says("[src/answer.rs]", "[‸src/anwser.rs]", &["tiny-kernel has no file `src/anwser.rs`"]);
    says("[src/answer.rs]", "[‸src]", &["no file `src`"]);
    says("[src/answer.rs]", "[src/answer.rs, ‸src/answer.rs]", &["twice"]);
}

#[test]
fn an_id_that_is_not_its_folder_s_is_refused() {
    says("id: answer\n", "id: ‸question\n", &["`question`", "folder `answer`"]);
}

#[test]
fn a_check_that_is_there_twice_is_refused() {
    says("id: own, ", "id: ‸sound,", &["check `sound`", "line 11"]);
}

#[test]
fn points_that_do_not_add_up_are_refused() {
    let found = defects(&[("points: 10\n", "points: 12\n")]);
    assert_eq!(found.defects[0].problem, Problem::PointSum { sums: vec![("tiny".to_owned(), 10)], points: 12 });
    assert_eq!((found.defects[0].line, found.defects[0].column), (3, 9));
}

#[test]
fn points_are_those_of_the_kernel_in_which_the_checks_are_worth_most() {
    const OTHER: (&str, &str) = ("kernels:\n", "kernels:\n  other:\n    files: [src/answer.rs]\n");
    let fake = Fake::new();
    write(&fake.path("course/labs/kernels/other/kernel.yaml"), &KIND.replace("id: tiny", "id: other"));
    let mixed = |points: &str| {
        let text = LAB.replacen(OTHER.0, OTHER.1, 1).replacen("  mixed: {", "  mixed: { kernels: tiny,", 1);
        let text = text.replacen("points: 10\n", points, 1).replacen("[mixed, ticks], oracle", "ticks, oracle", 1);
        write(&fake.path("course/labs/answer/lab.yaml"), &text);
        let kinds = fake.course.kinds().unwrap();
        let known = Known { course: &fake.course.root, kinds: &kinds, judges: JUDGES };
        read(&fake.path("course/labs/answer"), &known)
    };
    let lab = mixed("points: 10\n").unwrap();
    let worth = |kind: &str| lab.points_in(&KindId(kind.to_owned()));
    assert_eq!((lab.points, worth("tiny"), worth("other")), (10, 10, 7));

    let Err(ReadError::Defects(found)) = mixed("points: 7\n") else { panic!("no defects") };
    let said = found.to_string();
    assert!(said.contains("7 points for kernels of kind `other` and 10 points for kernels of kind `tiny`"), "{said}");
}

#[test]
fn a_session_for_a_kernel_that_the_lab_does_not_name_is_refused() {
    let fake = Fake::new();
    write(&fake.path("course/labs/kernels/other/kernel.yaml"), &KIND.replace("id: tiny", "id: other"));
    write(&fake.path("course/labs/answer/lab.yaml"), &LAB.replacen("  mixed: {", "  mixed: { kernels: other,", 1));
    let kinds = fake.course.kinds().unwrap();
    let known = Known { course: &fake.course.root, kinds: &kinds, judges: JUDGES };
    let Err(ReadError::Defects(found)) = read(&fake.path("course/labs/answer"), &known) else { panic!("no defects") };
    let said = found.to_string();
    assert!(
        said.contains("session `mixed` is for kernels of kind `other`, in which the lab cannot be solved"),
        "{said}"
    );
}

#[test]
fn a_bad_regular_expression_is_refused_with_the_reason() {
    says("ktap: \"^own\"", "ktap: ‸\"(own\"", &["regular expression", "unclosed group"]);
}

#[test]
fn names_that_refer_to_nothing_are_refused_with_those_that_do() {
    says("session: [mixed, ticks]", "session: [‸mixd, mixed, ticks]", &["no session `mixd`", "`mixed`"]);
    says("buddy.sound", "‸buddy.sond", &["`buddy.sond`", "did you mean `buddy.sound`", "buddy.all"]);
    says("  tiny:\n", "  ‸tinny:\n", &["kernel kind `tinny`", "`tiny`"]);
    says("id: own, ", "id: own, needs: ‸sond,", &["no check further up `sond`", "`sound`"]);
    says("id: own, ", "id: own, needs: [sound, ‸own],", &["no check further up `own`"]);
}

#[test]
fn a_session_that_no_check_reads_is_refused() {
    says("  ticks: {", "  ‸idle: { run: hello }\n  ticks: {", &["`idle`", "booted for nothing"]);
}

#[test]
fn a_bad_script_line_is_refused_before_anything_boots() {
    says("\"buddytest mixed --operations 60\"", "‸\"buddytest soup\"", &["\"soup\"", "wrong-frees"]);
    says("\"buddytest mixed --operations 60\"", "‸\"buddytest mixed --seed 7\"", &["--seed", "adds"]);
    says("[\"hello\", ", "[‸\"\", ", &["script line"]);
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    says("harts: 4", "harts: ‸9", &["`9`", "from 1 to 8"]);
    says("2s guest", "‸2s", &["2s guest", "20s wall"]);
    says("2s guest", "‸2s wall", &["virtual", "guest time"]);
    says("[7us, 10us]", "[7us, ‸10parsec]", &["10parsec", "1us to 1s"]);
    says("[7us, 10us]", "[7us, ‸7us]", &["tick `7us`", "twice"]);
    says("[4099+3]", "[‸4099+1024]", &["skew below 1024"]);
    says("[4099+3]", "‸[1,2,3,4,5]", &["at most 4 regions"]);
    says("[4099+3]", "‸[99999]", &["128M"]);
    says("full: 1.25x", "full: ‸-2x", &["as in `1.25x`", "above zero"]);
    says("full: 1.25x", "full: ‸6x", &["the same"]);
    says("full: 1.25x", "full: ‸2", &["both be ratios"]);
    says("points: 10", "points: 10\nstarter-below: ‸none", &["whole number"]);
    says("metric: mixed.mean", "metric: ‸mixed.middle", &["PHASE.STATISTIC", "mean, median, p99"]);
}

#[test]
fn what_students_see_must_not_hang_on_what_they_do_not() {
    says("id: own, ", "id: own, visibility: ‸secret,", &["visible, hidden"]);
    let text = LAB.replace("id: sound,", "id: sound, visibility: hidden,");
    let defects = defects(&[(LAB, &text.replace("id: own, ", "id: own, needs: sound,"))]);
    assert_eq!(defects.defects.len(), 1, "{defects}");
    let said = defects.to_string();
    assert!(said.contains("students see check `own`") && said.contains("`sound`"), "{said}");
}

#[test]
fn a_check_needs_one_judge_that_its_session_can_feed() {
    says("oracle: buddy.sound", "oracle: buddy.sound, ends: ‸true", &["exactly one", "has 2"]);
    says("{ id: own,   session: ticks, ktap: \"^own\"", "‸{ id: own,   session: ticks", &["exactly one", "has 0"]);
    unmarked("[\"hello\", \"buddytest exhaust\"]", "hello", "11:", &["no program with a workload"]);
    says("session: mixed, metric", "session: ‸ticks, metric", &["one boot"]);
    unmarked("arena: [4099+3], deadline: 2s guest", "clock: parallel", "14:", &["parallel clock"]);
}

#[test]
fn all_defects_of_a_file_are_reported_at_once_in_its_order() {
    let found = defects(&[
        ("points: 10\n", "points: ten\n"),
        ("harts: 4", "hart: 4"),
        ("ktap: \"^own\"", "ktap: \"(\""),
        ("zero: 6x", "zero: 6"),
    ]);
    let lines: Vec<_> = found.defects.iter().map(|defect| defect.line).collect();
    assert_eq!(lines, [3, 9, 12, 14], "{found}");
}

#[test]
fn a_file_that_is_no_yaml_is_reported_with_its_place() {
    let said = only("title: The answer\n", "title: \"The answer\n");
    assert!(said.contains("no valid YAML"), "{said}");
    let said = only("sessions:\n", "sessions: [\n");
    assert!(said.contains("no valid YAML") && !said.starts_with("1:1:"), "{said}");
}

#[test]
fn a_defect_is_shown_with_file_line_column_and_caret() {
    let found = defects(&[("harts: 4", "hrats: 4")]);
    let report = found.reports().next().unwrap();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
    let mut shown = String::new();
    handler.render_report(&mut shown, report.as_ref()).unwrap();
    for part in ["lab.yaml:9:61", "hrats: 4", "did you mean `harts`?", "──"] {
        assert!(shown.contains(part), "{shown} lacks {part}");
    }
}

#[test]
fn a_wrong_lab_is_the_caller_s_fault_and_so_is_an_unknown_one() {
    let fake = Fake::new();
    let error = fake.course.lab("anwser", JUDGES).unwrap_err();
    assert_eq!(error.owner(), Owner::Caller);
    assert!(matches!(&error, CourseError::UnknownLab { meant: Some(meant), .. } if meant == "answer"));
    fs::write(fake.path("course/labs/answer/lab.yaml"), "id: answer\n").unwrap();
    assert_eq!(fake.course.lab("answer", JUDGES).unwrap_err().owner(), Owner::Caller);
    let labs = fake.course.labs(JUDGES).unwrap();
    assert!(labs.len() == 1 && labs[0].1.is_err());
}

#[test]
fn a_kernel_kind_is_read_and_its_defects_reported_alike() {
    let fake = Fake::new();
    assert_eq!(fake.kind().qemu.minimum, Version(7, 2));
    let wrong = KIND.replace("minimum: \"7.2\"", "minimun: \"7.2\"").replace("{features}", "{feature}");
    let folder = fake.path("course/labs/kernels/tiny");
    write(&folder.join("kernel.yaml"), &wrong);
    let error = kind::read(&folder, &fake.course.root).unwrap_err().to_string();
    assert!(error.contains("`minimum`") && error.contains("placeholder `feature`"), "{error}");
}

#[test]
fn a_mutant_whose_text_is_not_there_exactly_once_is_reported() {
    let fake = Fake::new();
    let (lab, kind) = (fake.lab(), fake.kind());
    let [path] = &mutant::files(&lab)[..] else { panic!("one mutant") };
    let read = || mutant::read(path, &lab, &kind, &fake.course.root);
    let mutant = read().unwrap();
    assert_eq!((mutant.name.as_str(), mutant.edits.len()), ("one-less", 1));

    let text = fs::read_to_string(path).unwrap();
    fs::write(path, text.replace("\"42\"", "\"u\"").replace("[sound]", "[sund]")).unwrap();
    let Err(ReadError::Defects(defects)) = read() else { panic!("no defects") };
    let said: Vec<_> = defects.defects.iter().map(ToString::to_string).collect();
    assert!(said[0].starts_with("2:9: there is no check `sund`"), "{said:?}");
    assert!(said[1].contains("2 times") && said[1].starts_with("4:34:"), "{said:?}");
}

#[test]
fn a_check_of_the_course_reports_kinds_labs_mutants_and_missing_starters() {
    let fake = Fake::new();
    assert!(fake.course.check(JUDGES).unwrap().is_empty());
    fs::remove_file(fake.path("course/labs/answer/handout/src/answer.rs")).unwrap();
    write(&fake.path("course/labs/answer/mutants/broken.yaml"), "title: Broken\nfails: [sound]\nedits: []\n");
    write(&fake.path("course/labs/second/lab.yaml"), "id: second\n");
    write(&fake.path("course/labs/kernels/other/kernel.yaml"), "id: other\n");
    let wrong: Vec<String> = fake.course.check(JUDGES).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(wrong.len(), 4, "{wrong:#?}");
    for part in
        ["kernels/other/kernel.yaml:1:1", "handout/src/answer.rs is missing", "broken.yaml:3:8", "second/lab.yaml:1:1"]
    {
        assert!(wrong.iter().any(|said| said.contains(part)), "{part} is not in {wrong:#?}");
    }
}
