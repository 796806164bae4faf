use super::*;
use crate::report::samples;

#[test]
fn the_summary_has_points_checks_the_first_operation_and_throughput_beside_the_reference() {
    let text = to_string(&samples::failed());
    let order = [
        "## ❌ lab6-2-buddy: Buddy page allocation",
        "**14.5 of 34 points**, 1 of 4 checks passed",
        "| ✅ | ` split ` | 12/12 |",
        "Session ` mixed `, ` mm/src/page/buddy.rs:41 `: ` what the submission says `",
        "### The first operation that went wrong",
        "In check ` merge `, session ` mixed `:",
        "| operation 193 |",
        "| expected | ` free blocks of order 0: 2, not 4 ` |",
        "| ` mixed ` | 96.0 | 50 | 90 | 200 | 48.0 | 2.00x |",
        "<details><summary>12 of 12 points lost: <code>merge</code></summary>",
        "grader run --lab lab6-2-buddy",
    ];
    let mut from = 0;
    for part in order {
        let at = text[from..].find(part).unwrap_or_else(|| panic!("{part:?} is not there, or too early:\n{text}"));
        from += at;
    }
}

#[test]
fn what_does_not_fit_is_left_out_from_the_end_and_said_to_be() {
    let grade = samples::failed();
    let whole = to_string(&grade);
    assert_eq!(within(&grade, whole.len() + 100), whole);
    for bytes in [0, 10, 300, 600, 1000, whole.len() - 1] {
        let text = within(&grade, bytes);
        assert!(text.len() <= bytes, "{bytes}: {text}");
        assert!(bytes < 300 || text.ends_with("the log has all of it._\n"), "{bytes}: {text}");
    }
    assert!(within(&grade, 600).contains("14.5 of 34 points"));
}

#[test]
fn no_line_ends_the_block_that_it_stands_in() {
    let text = block(["a", "```", "`````", "~~~"].into_iter(), "text");
    assert_eq!(text, "``````text\na\n```\n`````\n~~~\n``````\n");
    assert_eq!(code("a``b"), "``` a``b ```");
}

#[test]
fn a_flood_of_lines_is_cut_and_counted() {
    let lines: Vec<String> = (0..500).map(|line| line.to_string()).collect();
    let text = block(lines.iter().map(String::as_str), "text");
    assert!(text.contains("\n79\n… 420 more lines\n"), "{text}");
}

#[test]
fn a_build_that_failed_is_told_first_and_once() {
    let text = to_string(&samples::refused("mismatched types", 2));
    assert!(text.contains("### It was not built"), "{text}");
    assert!(!text.contains("<details>"), "{text}");
}

#[test]
fn a_check_with_two_verdicts_for_one_seed_is_marked_and_shown_with_both_transcripts() {
    let text = to_string(&samples::failed());
    let marked: Vec<&str> = text.lines().filter(|line| line.contains("(unstable)")).collect();
    assert!(marked.len() == 1 && marked[0].contains("throughput"), "{marked:?}");
    for said in ["it failed and then it passed", "sessions/mixed.serial", "second/mixed.serial"] {
        assert!(text.contains(said), "{said}: {text}");
    }
}
