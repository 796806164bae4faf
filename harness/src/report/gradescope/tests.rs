use serde_json::Value;

use super::*;
use crate::report::samples;

fn document(grade: &Grade) -> Value {
    serde_json::from_str(&to_string(grade).unwrap()).unwrap()
}

#[test]
fn every_check_is_a_test_with_its_points_and_what_is_said_of_it() {
    let results = document(&samples::failed());
    assert_eq!(results["score"], 14.5);
    assert_eq!(results["execution_time"], 13);
    let tests = results["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 4);
    assert_eq!((&tests[0]["status"], &tests[1]["status"]), (&Value::from("passed"), &Value::from("failed")));
    assert_eq!((&tests[2]["score"], &tests[2]["max_score"]), (&Value::from(2.5), &Value::from(6.0)));
    assert!(tests[1]["output"].as_str().unwrap().contains("operation 193"), "{}", tests[1]);
    assert!(tests.iter().all(|test| test["visibility"] == "visible"));
}

#[test]
fn hidden_checks_are_hidden_tests_and_nowhere_else() {
    let results = document(&samples::with_hidden_checks());
    let (hidden, visible): (Vec<&Value>, Vec<&Value>) =
        results["tests"].as_array().unwrap().iter().partition(|test| test["visibility"] == "hidden");
    assert_eq!((hidden.len(), visible.len()), (1, 2));
    assert!(hidden[0]["name"].as_str().unwrap().starts_with("secret-check"));
    let shown = format!("{visible:?} {}", results["output"]);
    for secret in ["secret", "Secret", "0x5eed", "66", "50"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    // Staff see all of it, and Gradescope keeps sums back where a test is hidden.
    assert_eq!(results["score"], 12.0);
    assert_eq!(results["stdout_visibility"], "hidden");
}

#[test]
fn what_our_own_fault_left_undecided_has_no_score() {
    let results = document(&samples::undecided());
    assert_eq!(results.get("score"), None);
    assert_eq!(results["tests"][1].get("score"), None);
    assert_eq!(results["tests"][0]["score"], 12.0);
    assert!(results["output"].as_str().unwrap().contains("no fault of yours"));
}

#[test]
fn where_nothing_was_graded_the_document_says_why_and_gives_no_score() {
    let results: Value = serde_json::from_str(&without_grade("start qemu: not found\u{1b}[2J")).unwrap();
    assert_eq!(results.get("score"), None);
    assert_eq!(results["tests"].as_array().map(Vec::len), Some(0));
    assert!(results["output"].as_str().unwrap().contains("start qemu: not found␛[2J"));
}
