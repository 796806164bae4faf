//! Page lists and a buffer cache in C, which several harts use: a kernel with right ones, and the defects that
//! students' own tests let pass.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::student::{Outcome, copy, course, course_file, grader};

/// A course for that kernel, with a student beside it.
struct Example {
    folder: TempDir,
}

impl Example {
    fn new() -> Self {
        let example = Self { folder: TempDir::new().expect("a temporary folder") };
        let files = course().join("tests/c-harts");
        copy(&files.join("course"), &example.path("course"));
        copy(&course().join("labs/kernels/driver"), &example.path("course/labs/kernels/driver"));
        for tree in ["course/harts-kernel", "student"] {
            copy(&files.join("kernel"), &example.path(tree).join("kernel"));
            fs::copy(files.join("Makefile"), example.path(tree).join("Makefile")).expect("a file");
        }
        git2::Repository::init(example.path("student")).expect("a repository");
        example
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Grades the kernel with these edits of `kernel/kalloc.c` and `kernel/bio.c`, by some checks.
    fn grade(&self, checks: &str, edits: &[(&str, &str)]) -> Outcome {
        self.grade_with(&["--check", checks], edits)
    }

    /// Likewise, with these arguments.
    fn grade_with(&self, arguments: &[&str], edits: &[(&str, &str)]) -> Outcome {
        let mut left = edits.len();
        for file in ["kernel/kalloc.c", "kernel/bio.c"] {
            let mut text = course_file(&format!("tests/c-harts/{file}"));
            for (find, replace) in edits.iter().filter(|(find, _)| course_has(file, find)) {
                assert_eq!(text.matches(find).count(), 1, "{find}");
                text = text.replace(find, replace);
                left -= 1;
            }
            fs::write(self.path("student").join(file), text).expect("a file");
        }
        assert_eq!(left, 0, "an edit fits nowhere: {edits:?}");
        let json = self.path("grade.json");
        let mut run = grader(&self.path("student"));
        run.arg("--course").arg(self.path("course"));
        run.args(["run", "--lab", "harts-lock", "--worktree"]).args(arguments).arg("--json").arg(&json);
        Outcome::of(&mut run, &json)
    }
}

fn course_has(file: &str, text: &str) -> bool {
    course_file(&format!("tests/c-harts/{file}")).contains(text)
}

/// What the first finding of a failed check says.
fn why(outcome: &Outcome, check: &str) -> String {
    outcome.graded(check)["findings"][0]["why"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn c_harts_right_lists_and_a_right_cache_earn_everything_and_the_same_twice() {
    let example = Example::new();
    let first = example.grade(".*", &[]);
    assert_eq!((first.code, first.earned()), (Some(0), 20.0), "{}", first.said());
    assert_eq!(first.grade["checks"], example.grade(".*", &[]).grade["checks"]);
    // Every operation that the drivers report was seen from outside.
    if first.grade["witness"]["state"] == "available" {
        for check in ["owner", "reach", "blocks"] {
            assert_eq!(first.graded(check)["proof"], "witnessed", "{}", first.said());
        }
    }
}

#[test]
fn c_harts_pages_that_a_thief_writes_over_are_lost() {
    let example = Example::new();
    // An interrupt, and in it another process that frees a page, comes between the look at the own list and the theft.
    let outcome = example.grade(
        "owner|reach",
        &[
            ("    last->next = lists[hart].first;\n", "    last->next = 0;\n"),
            (
                "  push_off();\n  u64 hart = hart_number();\n  acquire(&lists[hart].lock);\n  struct page *page",
                "  u64 hart = hart_number();\n  acquire(&lists[hart].lock);\n  struct page *page",
            ),
            ("  pop_off();\n  if (page)\n", "  if (page)\n"),
        ],
    );
    assert_eq!((outcome.verdict("reach"), outcome.verdict("owner")), ("fail", "pass"), "{}", outcome.said());
    assert!(why(&outcome, "reach").contains("pages were free"), "{}", outcome.said());
}

#[test]
fn c_harts_two_that_steal_from_each_other_while_they_hold_their_own_locks_are_told_of_the_deadlock() {
    let example = Example::new();
    let outcome = example.grade(
        "reach",
        &[
            (
                "    lists[hart].first = page->next;\n  release(&lists[hart].lock);\n",
                "    lists[hart].first = page->next;\n",
            ),
            ("    acquire(&lists[hart].lock);\n    last->next", "    last->next"),
            (
                "    lists[hart].first = first->next;\n    release(&lists[hart].lock);\n",
                "    lists[hart].first = first->next;\n",
            ),
            ("  pop_off();\n  if (page)\n", "  release(&lists[hart].lock);\n  pop_off();\n  if (page)\n"),
        ],
    );
    assert_eq!(outcome.verdict("reach"), "fail", "{}", outcome.said());
    assert!(outcome.stdout.contains("deadlock: hart 0 waits for lock kmem"), "{}", outcome.said());
}

#[test]
fn c_harts_one_list_for_all_is_right_but_not_apart() {
    let example = Example::new();
    let kalloc = "  u64 hart = hart_number();\n  acquire(&lists[hart].lock);\n  struct page *page";
    let kfree = "  u64 hart = hart_number();\n  acquire(&lists[hart].lock);\n  page->next";
    let outcome = example.grade(
        "owner|reach|apart",
        &[(kalloc, &kalloc.replace("hart_number()", "0")), (kfree, &kfree.replace("hart_number()", "0"))],
    );
    let verdicts = ["owner", "reach", "apart"].map(|check| outcome.verdict(check).to_owned());
    assert_eq!(verdicts, ["pass", "pass", "fail"], "{}", outcome.said());
}

#[test]
fn c_harts_a_check_with_two_verdicts_for_one_seed_is_unstable_and_fails_with_both_transcripts() {
    let example = Example::new();
    let lab = example.path("course/labs/harts-lock/lab.yaml");
    let text = fs::read_to_string(&lab).expect("the lab").replace("[reach, mixed, scarce, races]", "races");
    fs::write(&lab, text).expect("the lab");
    let grade = |out: &str, edits: &[(&str, &str)]| {
        example.grade_with(
            &["--check", "owner", "--seed", "5", "--out", example.path(out).to_str().expect("UTF-8")],
            edits,
        )
    };
    let right = grade("right", &[]);
    assert_eq!((right.code, right.grade["sessions"][0]["twice"].as_array()), (Some(0), None), "{}", right.said());
    let kalloc = "void *kalloc(void) {\n";
    let gives_up = format!("{kalloc}  static int calls;\n  if (++calls == 40)\n    panic(\"enough\");\n");
    let wrong = grade("wrong", &[(kalloc, &gives_up)]);
    assert_eq!((wrong.code, wrong.verdict("owner")), (Some(1), "fail"), "{}", wrong.said());
    assert!(wrong.stderr.contains("booted a second time with the same seed"), "{}", wrong.said());
    assert!(wrong.stdout.contains("no verdict changed"), "{}", wrong.said());

    // As if the second boot had won the race.
    for file in ["races.json", "races.serial"] {
        let second = example.path("wrong/second").join(file);
        assert!(second.exists(), "{}", wrong.said());
        fs::copy(example.path("right/sessions").join(file), second).expect("a transcript");
    }
    let (json, junit) = (example.path("replayed.json"), example.path("replayed.xml"));
    let mut replay = grader(&example.path("student"));
    replay.arg("--course").arg(example.path("course")).arg("replay").arg(example.path("wrong"));
    replay.arg("--json").arg(&json).arg("--junit").arg(&junit);
    let replayed = Outcome::of(&mut replay, &json);
    assert_eq!((replayed.code, replayed.verdict("owner")), (Some(1), "fail"), "{}", replayed.said());
    let unstable = &replayed.graded("owner")["unstable"];
    assert_eq!((&unstable["first"], &unstable["second"]), (&"fail".into(), &"pass".into()), "{}", replayed.said());
    let report = fs::read_to_string(&junit).expect("a report");
    for said in ["sessions/races.serial", "second/races.serial", "it failed and then it passed", "panic: enough"] {
        assert!(replayed.stdout.contains(said) && report.contains(said), "{said}: {}\n{report}", replayed.said());
    }
}

#[test]
fn c_harts_two_buffers_for_one_block_are_shown_with_both() {
    let example = Example::new();
    let again = "    acquire(&buckets[bucket].lock);\n    buffer = find(block);\n";
    let outcome = example.grade("blocks", &[(again, "    acquire(&buckets[bucket].lock);\n")]);
    assert_eq!(outcome.verdict("blocks"), "fail", "{}", outcome.said());
    assert!(why(&outcome, "blocks").contains("Of two buffers for one block"), "{}", outcome.said());
}

#[test]
fn c_harts_caches_that_forget_a_read_a_pin_or_their_buckets_fail_the_checks_of_that() {
    let example = Example::new();
    let stale = example.grade("blocks", &[("      buffer->valid = 0;\n", "")]);
    assert_eq!(stale.verdict("blocks"), "fail", "{}", stale.said());
    assert!(why(&stale, "blocks").contains("must be read from the disk again"), "{}", stale.said());

    let unpinned = example.grade(
        "blocks|pins",
        &[
            (
                "void bpin(struct buffer *buffer) { change_references(buffer, 1); }",
                "void bpin(struct buffer *buffer) { (void)buffer; }",
            ),
            (
                "void bunpin(struct buffer *buffer) { change_references(buffer, -1); }",
                "void bunpin(struct buffer *buffer) { (void)buffer; }",
            ),
        ],
    );
    assert_eq!((unpinned.verdict("pins"), unpinned.verdict("blocks")), ("fail", "pass"), "{}", unpinned.said());

    let one = example.grade("blocks|buckets", &[("enum { BUCKETS = 5 };", "enum { BUCKETS = 1 };")]);
    assert_eq!((one.verdict("buckets"), one.verdict("blocks")), ("fail", "pass"), "{}", one.said());
}

#[test]
fn c_harts_a_kernel_that_only_prints_what_the_course_looks_for_earns_nothing() {
    let example = Example::new();
    let prints = "void kinit(void) {\n  for (const char *text = \"test1 OK\\ntest2 OK\\nALL TESTS PASSED\\n\"; *text; text++)\n    put(*text);\n  power_off(0);\n";
    let outcome = example.grade(".*", &[("void kinit(void) {\n", prints)]);
    assert_eq!((outcome.code, outcome.earned()), (Some(1), 0.0), "{}", outcome.said());
}
