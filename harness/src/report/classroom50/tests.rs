use serde_json::Value;

use super::*;
use crate::report::samples;

/// What the runner sets for an autograder.
fn runner(name: &str) -> Option<String> {
    let value = match name {
        "CLASSROOM" => "os-2026",
        "ASSIGNMENT" => "buddy",
        "SUBMISSION_TAG" => "submit/2026-01-01T00-00-00Z-c0ffee0",
        "GITHUB_REPOSITORY" => "an-org/OS-2026-buddy-a-student",
        "GITHUB_ACTOR" => "somebody",
        "RELEASE_URL" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

fn document(grade: &Grade) -> Value {
    serde_json::from_str(&to_string(grade, runner).unwrap()).unwrap()
}

#[test]
fn a_result_has_all_keys_that_the_schema_requires_and_none_that_it_does_not_know() {
    let result = document(&samples::failed());
    let keys: Vec<&str> = result.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "schema",
        "classroom",
        "assignment",
        "assignment_type",
        "owner",
        "submission",
        "commit",
        "release",
        "review",
        "datetime",
        "graded_at",
        "score",
        "max-score",
        "tests",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(result["datetime"], "2026-01-01T00:00:00Z");
    assert_eq!(result["graded_at"], "2026-01-01T01:00:00Z");
    assert_eq!(result["owner"], "a-student");
    assert_eq!(result["assignment_type"], "individual");
    assert_eq!(result["review"], result["commit"]);
    let release =
        "https://github.com/an-org/OS-2026-buddy-a-student/releases/tag/submit%2F2026-01-01T00-00-00Z-c0ffee0";
    assert_eq!(result["release"], release);
}

#[test]
fn scores_are_whole_and_only_all_points_are_all_points() {
    let result = document(&samples::failed());
    assert_eq!((result["score"].as_u64(), result["max-score"].as_u64()), (Some(14), Some(34)));
    let tests = result["tests"].as_array().unwrap();
    let throughput = tests.iter().find(|test| test["test-name"] == "throughput").unwrap();
    assert_eq!((throughput["score"].as_u64(), throughput["max-score"].as_u64()), (Some(2), Some(6)));
    assert_eq!(throughput["passed"], false);
    assert!(tests.iter().all(|test| test["score"].as_u64() <= test["max-score"].as_u64()));
}

#[test]
fn what_our_own_fault_left_undecided_is_no_score() {
    let error = to_string(&samples::undecided(), runner).unwrap_err().to_string();
    assert!(error.contains("the grader's fault"), "{error}");
}

#[test]
fn outside_of_its_runner_it_says_what_is_missing() {
    let error = to_string(&samples::failed(), |_| None).unwrap_err().to_string();
    assert!(error.contains("CLASSROOM"), "{error}");
    let other_tag = |name: &str| if name == "SUBMISSION_TAG" { Some("v1".to_owned()) } else { runner(name) };
    let error = to_string(&samples::failed(), other_tag).unwrap_err().to_string();
    assert!(error.contains("submit/"), "{error}");
}

#[test]
fn whose_it_is_falls_back_to_whoever_pushed() {
    let elsewhere = |name: &str| match name {
        "GITHUB_REPOSITORY" => Some("an-org/a-test".to_owned()),
        name => runner(name),
    };
    let result: Value = serde_json::from_str(&to_string(&samples::failed(), elsewhere).unwrap()).unwrap();
    assert_eq!(result["owner"], "somebody");
}

#[test]
fn the_sum_of_visible_checks_is_all_that_is_said_where_others_are_hidden() {
    let result = document(&samples::with_hidden_checks().visible());
    assert_eq!((result["score"].as_u64(), result["max-score"].as_u64()), (Some(12), Some(16)));
    assert_eq!(result["tests"].as_array().unwrap().len(), 2);
}
