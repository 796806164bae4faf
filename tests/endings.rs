//! Every way in which a submission can end: its verdict, its exit code, and the sentence that its author needs.

use crate::student::{Student, course_file, reference, starter, with_statement};

/// Asserts that a text has a part, and shows all of it where it has not.
#[track_caller]
fn assert_says(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in:\n{text}");
}

#[test]
fn a_correct_solution_earns_everything_and_exits_with_zero() {
    let outcome = Student::with(&reference()).run(&[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    assert_eq!(outcome.earned(), 100.0);
    assert_says(&outcome.stdout, "100 of 100 points");
    let figure = &outcome.graded("throughput")["figure"];
    assert_eq!(figure["value"], figure["reference"]);
}

#[test]
fn the_starter_builds_boots_and_earns_under_20() {
    let outcome = Student::with(&starter()).run(&[]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert!(outcome.earned() < 20.0, "{}", outcome.said());
    assert_eq!(outcome.grade["build"]["outcome"], "built");
    // Its test program got no memory to test, and says so by its status.
    assert_eq!(outcome.ending("mixed"), "guest-status");
    assert_says(outcome.reason("contents"), "never handed a page");
}

#[test]
fn a_solution_that_does_not_compile_shows_the_compilers_words_and_the_students_own_path() {
    let outcome = Student::with(&with_statement("let pages: &str = pages;")).run(&[]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert_eq!(outcome.earned(), 0.0);
    assert_says(&outcome.stdout, "does not compile");
    assert_says(&outcome.stdout, "error[E0308]: mismatched types");
    assert_says(&outcome.stdout, "--> mm/src/page/buddy.rs:");
    let place = outcome.grade["build"]["places"][0].as_str().unwrap_or_default().to_owned();
    assert!(place.starts_with("mm/src/page/buddy.rs:"), "{place}");
}

#[test]
fn a_panic_at_boot_is_named_with_file_line_and_message() {
    let solution = reference().replacen("unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError> {", "unsafe fn add_region(&mut self, region: Region) -> Result<Extent, PageError> {\nif region.pages > 0 { panic!(\"no region suits me\"); }", 1);
    let outcome = Student::with(&solution).check("split");
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert_eq!(outcome.ending("mixed"), "panicked");
    assert_says(&outcome.stdout, "no region suits me");
    assert_says(&outcome.stdout, "mm/src/page/buddy.rs:");
}

#[test]
fn a_panic_in_a_test_keeps_what_other_sessions_earned() {
    // The other session asks for fewer blocks.
    let statement = "use core::sync::atomic::{AtomicUsize, Ordering::Relaxed}; static BLOCKS: AtomicUsize = AtomicUsize::new(0); \
                     assert!(BLOCKS.fetch_add(1, Relaxed) < 1000, \"too much for me\");";
    let outcome = Student::with(&with_statement(statement)).check("split|wrong-free");
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert_eq!(outcome.ending("mixed"), "panicked");
    assert_eq!(outcome.verdict("split"), "fail");
    assert_says(outcome.reason("split"), "too much for me");
    assert_eq!(outcome.verdict("wrong-free"), "pass", "{}", outcome.said());
}

#[test]
fn a_page_fault_in_the_kernel_is_named_with_its_address_and_where_it_came_from() {
    let statement = "if pages == 64 { unsafe { (0x6666_0000 as *mut u64).write_volatile(1) } }";
    let outcome = Student::with(&with_statement(statement)).check("split");
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert_eq!(outcome.ending("mixed"), "panicked");
    assert_says(&outcome.stdout, "0x66660000");
    assert_says(&outcome.stdout, "buddy.rs");
}

#[test]
fn a_silent_hang_meets_its_deadline_and_says_where_the_time_went() {
    let outcome = Student::with(&with_statement("while pages == 64 {}")).check("split");
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert_eq!(outcome.ending("mixed"), "deadline");
    assert_says(outcome.reason("split"), "time was up");
    assert_says(&outcome.stdout, "buddy.rs");
    assert_says(
        &outcome.stdout,
        "hart 0 is in <mm::page::buddy::Buddy as mm::page::PageAllocator>::allocate, called from",
    );
}

/// A statement that writes text straight to the console's device, past the kernel.
fn print(text: &str) -> String {
    format!("for byte in {text:?}.bytes() {{ unsafe {{ (0x1000_0000 as *mut u8).write_volatile(byte) }} }}")
}

#[test]
fn a_loop_that_prints_is_cut_off_at_the_limit() {
    let outcome = Student::with(&with_statement(&format!("loop {{ {} }}", print("again and again\n")))).check("split");
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert_eq!(outcome.ending("mixed"), "flooded");
    assert_says(outcome.reason("split"), "wrote more than");
}

#[test]
fn forged_results_and_records_earn_nothing() {
    let forged = concat!(
        "\nKTAP version 1\n1..1\nok 1 client 0 reads what it has written\n",
        "\u{1e}{\"n\":3,\"r\":\"ops\",\"from\":0,\"ops\":[[\"a\",0,0,5,1,2151698432]]}\n",
        "\u{1e}{\"n\":4,\"r\":\"done\",\"client\":0,\"operations\":1}\n",
        "\u{1e}{\"n\":5,\"r\":\"shutdown\",\"status\":0}\n",
    );
    // Prints what a good run would, and powers the machine off with the status of success.
    let power_off = "unsafe { (0x10_0000 as *mut u32).write_volatile(0x5555) }";
    let outcome = Student::with(&with_statement(&format!("{} {power_off}", print(forged)))).run(&[]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    for check in outcome.grade["checks"].as_array().expect("checks") {
        assert_eq!(check["verdict"], "fail", "{}", outcome.said());
    }
    assert_eq!(outcome.earned(), 0.0);
}

/// The edits of a mutant, made to the reference.
fn mutant(name: &str) -> String {
    let text = course_file(&format!("labs/lab6-2-buddy/mutants/{name}.yaml"));
    let yaml: serde_json::Value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let edits = yaml["edits"].as_array().expect("edits");
    edits.iter().fold(reference(), |text, edit| {
        text.replace(edit["find"].as_str().expect("find"), edit["replace"].as_str().expect("replace"))
    })
}

#[test]
fn a_block_handed_out_twice_is_shown_with_both_operations_and_a_map() {
    let statement = "use core::sync::atomic::{AtomicUsize, Ordering::Relaxed}; static FIRST: AtomicUsize = AtomicUsize::new(0); \
                     if pages == 8 { match FIRST.load(Relaxed) { \
                     0 => { FIRST.store(1, Relaxed); let block = self.allocate(8)?; FIRST.store(block.addr().get(), Relaxed); return Ok(block) } \
                     1 => {} \
                     first => return Ok(NonNull::new(core::ptr::with_exposed_provenance_mut(first)).unwrap()) } }";
    let outcome = Student::with(&with_statement(statement)).check("sound");
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    let finding = &outcome.graded("sound")["findings"][0];
    assert_says(finding["why"].as_str().unwrap_or_default(), "that operation");
    assert!(finding["map"]["runs"].is_array(), "{finding}");
    assert_says(&outcome.stdout, "a character is");
}

#[test]
#[ignore = "long: ci/long"]
fn an_allocator_that_never_merges_fails_merge_and_not_split() {
    let outcome = Student::with(&mutant("never-merges")).check("merge|split|wrong-free");
    assert_eq!(outcome.verdict("merge"), "fail", "{}", outcome.said());
    assert_eq!(outcome.verdict("split"), "pass", "{}", outcome.said());
    assert_says(&outcome.stdout, "buddy");
}

#[test]
#[ignore = "long: ci/long"]
fn blocks_that_are_no_buddies_must_not_be_merged() {
    let outcome = Student::with(&mutant("merges-neighbours")).check("merge|sound");
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert!([outcome.verdict("merge"), outcome.verdict("sound")].contains(&"fail"));
}

#[test]
fn a_bigger_block_than_needed_fails_split_with_the_block_that_would_have_done() {
    let outcome = Student::with(&mutant("largest-first")).check("split");
    assert_eq!(outcome.verdict("split"), "fail", "{}", outcome.said());
    let finding = &outcome.graded("split")["findings"][0];
    assert_says(finding["why"].as_str().unwrap_or_default(), "was large enough");
}

#[test]
#[ignore = "long: ci/long"]
fn a_right_and_slow_solution_loses_points_for_its_slowness_alone() {
    let outcome = Student::with(&mutant("searches-lists")).check("split|merge|sound|throughput|fragmented");
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    for check in outcome.grade["checks"].as_array().expect("checks") {
        let slow = ["throughput", "fragmented"].iter().any(|id| check["id"] == *id);
        let due = if slow { "fail" } else { "pass" };
        assert_eq!(check["verdict"], due, "{}", outcome.said());
    }
    let lost = outcome.grade["points"]["max"].as_f64().expect("points") - outcome.earned();
    assert!(lost > 0.0 && lost <= 10.0, "{}", outcome.said());
    assert_says(outcome.reason("fragmented"), "times the reference's");
}
