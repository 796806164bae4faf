use super::*;

fn documents(text: &str) -> Vec<Document> {
    let mut parser = Parser::default();
    for (index, line) in text.lines().enumerate() {
        parser.line(index as u64 + 1, line);
    }
    parser.finish()
}

fn document(text: &str) -> Document {
    let mut documents = documents(text);
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents.remove(0)
}

fn results(document: &Document) -> Vec<(&str, Status)> {
    document.tests.iter().map(|test| (test.name.as_str(), test.status)).collect()
}

fn problems(document: &Document) -> Vec<String> {
    document.problems.iter().map(|problem| format!("{}: {}", problem.line, problem.what)).collect()
}

#[test]
fn results_have_names_numbers_lines_and_the_diagnostics_before_them() {
    let document = document("KTAP version 1\n1..2\nok 1 first\n# expected 1, got 2\nnot ok 2 - second one\n");
    assert_eq!(results(&document), [("first", Status::Passed), ("second one", Status::Failed)]);
    assert_eq!(document.tests[1].diagnostics, ["expected 1, got 2"]);
    assert_eq!((document.tests[1].line, document.tests[1].number), (5, Some(2)));
    assert_eq!(document.problems, []);
}

#[test]
fn directives_change_what_a_result_means() {
    let document = document(
        "KTAP version 1\n1..7\nok 1 a # SKIP no such device\nnot ok 2 b # SKIP\nnot ok 3 c # TODO later\n\
         not ok 4 d # XFAIL\nok 5 e # TIMEOUT 5 s\nnot ok 6 f # ERROR\nok 7 g # 12 of 12\n",
    );
    use Status::{Errored, ExpectedFailure, Passed, Skipped, TimedOut};
    let statuses: Vec<_> = document.tests.iter().map(|test| test.status).collect();
    assert_eq!(statuses, [Skipped, Skipped, ExpectedFailure, ExpectedFailure, TimedOut, Errored, Passed]);
    assert_eq!(document.tests[0].note, "no such device");
    assert_eq!(document.tests[6].name, "g # 12 of 12");
}

#[test]
fn a_test_fails_with_its_subtest_even_if_it_says_otherwise() {
    let document = document(
        "KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: group\n  1..2\n  ok 1 a\n  not ok 2 b\nok 1 group\n",
    );
    assert_eq!(results(&document), [("group", Status::Failed)]);
    assert_eq!(document.tests[0].subtests.len(), 2);
    assert_eq!(problems(&document), ["8: \"group\" does not say that it failed, though its subtest \"b\" did"]);
    let leaves: Vec<_> = document.leaves().into_iter().map(|(path, _)| path.join("/")).collect();
    assert_eq!(leaves, ["group/a", "group/b"]);
}

#[test]
fn planned_tests_that_never_reported_are_missing() {
    let document = document("KTAP version 1\n1..18446744073709551615\nok 1 a\n");
    assert_eq!(results(&document)[1], ("tests 2 to 18446744073709551615", Status::Missing));
    assert!(document.tests[1].status.is_bad());
    assert_eq!(document.problems.len(), 1);
}

#[test]
fn a_test_whose_subtests_stop_in_the_middle_is_missing_too() {
    let document = document("KTAP version 1\n1..2\n  KTAP version 1\n  # Subtest: group\n  1..2\n  ok 1 a\n");
    assert_eq!(results(&document), [("group", Status::Missing), ("test 2", Status::Missing)]);
    assert_eq!(document.tests[0].subtests[1].status, Status::Missing);
    assert_eq!(document.problems.len(), 3);
}

#[test]
fn wrong_numbers_and_plans_are_named_with_their_lines() {
    let document = document("KTAP version 1\n1..1\nok 1 a\nok 1 a\n1..3\nok 99999999999999999999999 b\n");
    assert_eq!(
        problems(&document),
        [
            "4: result 1 where result 2 was due",
            "5: a second plan, 1..3, after 1..1",
            "6: result 18446744073709551615 where result 3 was due",
        ]
    );
    assert_eq!(
        problems(&self::document("KTAP version 1\n1..1\nok 1 a\nok 2 b")),
        ["4: 2 results where 1 were planned"]
    );
    assert_eq!(
        problems(&self::document("KTAP version 1\nok 1 a")),
        ["2: no plan, such as 1..3, says how many results there should be"]
    );
}

#[test]
fn the_prefix_of_the_version_line_is_learnt() {
    let document = document(
        "[    0.100000] KTAP version 1\n[    0.200000] 1..1\nconsole\n[    0.250000] booting\n\
         [    0.300000]   KTAP version 1\n[    0.400000]   1..1\n[    0.500000]   ok 1 b\n[    0.600000] ok 1 a\n",
    );
    assert_eq!(results(&document), [("a", Status::Passed)]);
    assert_eq!(document.tests[0].subtests[0].name, "b");
    assert_eq!(document.problems, []);
}

#[test]
fn other_text_changes_nothing() {
    let clean = document("KTAP version 1\n1..1\nok 1 a\n");
    let noisy = document("KTAP version 1\n1..1\nokay\nok\nok then\nnot okay 1 x\nwe are ok 1 here\nok 1 a\n");
    assert_eq!(results(&noisy), results(&clean));
    assert_eq!(noisy.problems, []);
    assert_eq!(documents("1..1\nok 1 before any version line\n"), []);
}

#[test]
fn a_second_version_line_begins_another_document() {
    let documents = documents("KTAP version 1\n1..1\nok 1 a\nKTAP version 1\n1..1\nok 1 b\n");
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[1].line, 4);
    assert!(documents.iter().all(|document| document.problems.is_empty()));
}

#[test]
fn nesting_without_end_is_cut_and_named() {
    let mut text = String::from("KTAP version 1\n");
    for level in 1..1000 {
        text += &format!("{}KTAP version 1\n", " ".repeat(2 * level));
    }
    let document = document(&text);
    assert!(document.problems.iter().any(|problem| problem.what.contains("levels")));
}

proptest::proptest! {
    #[test]
    fn no_output_makes_the_reader_panic_and_no_bad_result_is_lost(
        lines in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::prelude::Just("KTAP version 1".to_owned()),
                "( |  |    ){0,3}(KTAP version 1|1\\.\\.[0-9]{1,3}|# Subtest: [a-z]|# note|ok [0-9]{1,2} - x|not ok [0-9]{1,2} y|ok [0-9] z # SKIP)",
                "\\PC{0,20}",
            ],
            0..40,
        )
    ) {
        let documents = documents(&lines.join("\n"));
        // At the outermost level, where nothing can be unclear.
        let begun = lines.iter().position(|line| line == "KTAP version 1").unwrap_or(lines.len());
        let one = lines.iter().filter(|line| line.contains("KTAP version 1")).count() == 1;
        let bad = lines[begun..].iter().filter(|line| line.starts_with("not ok ")).count();
        if one {
            let failed = documents.iter().flat_map(|document| &document.tests).filter(|test| test.status.is_bad()).count();
            proptest::prop_assert!(failed >= bad, "{documents:?}");
        }
    }
}
