//! A kernel that is spoken to over its console, graded as `labs/README.md` says, whatever students have it print.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::c_kernel::files_of_the_page;
use crate::student::{Outcome, course_file, grader};

/// The page's example as a course of its own, with a student beside it.
struct Example {
    folder: TempDir,
}

impl Example {
    fn new() -> Self {
        let example = Self { folder: TempDir::new().expect("a temporary folder") };
        for (path, content) in files_of_the_page("shell") {
            example.write(&format!("course/{path}"), &content);
        }
        example.write("course/labs/greetings/handout/kernel/programs.c", &course_file("tests/c-shell/starter.c"));
        let kernel = ["Makefile", "kernel/entry.S", "kernel/shell.c", "kernel/shell.h", "kernel/programs.c"];
        let files = kernel.map(|path| (path, course_file(&format!("tests/c-shell/{path}"))));
        let linker_script = ("kernel/kernel.ld", course_file("tests/c-kernel/kernel/kernel.ld"));
        for (path, content) in files.iter().chain([&linker_script]) {
            example.write(&format!("course/shell-kernel/{path}"), content);
            example.write(&format!("student/{path}"), content);
        }
        git2::Repository::init(example.path("student")).expect("a repository");
        example
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// Has the lab's file, or the kind's, say something else.
    fn change(&self, path: &str, find: &str, replace: &str) {
        let path = format!("course/{path}");
        let text = fs::read_to_string(self.path(&path)).expect("a file of the course");
        assert_eq!(text.matches(find).count(), 1, "{find}");
        self.write(&path, &text.replace(find, replace));
    }

    /// Grades the reference's programs with these edits made to them.
    fn grade(&self, edits: &[(&str, &str)]) -> Outcome {
        let mut programs = course_file("tests/c-shell/kernel/programs.c");
        for (find, replace) in edits {
            assert_eq!(programs.matches(find).count(), 1, "{find}");
            programs = programs.replace(find, replace);
        }
        self.write("student/kernel/programs.c", &programs);
        let json = self.path("grade.json");
        let mut run = grader(&self.path("student"));
        run.arg("--course").arg(self.path("course"));
        run.args(["run", "--lab", "greetings", "--worktree", "--json"]).arg(&json).arg("--out").arg(self.path("run"));
        Outcome::of(&mut run, &json)
    }

    /// What the run's folder has of the console.
    fn console(&self) -> String {
        fs::read_to_string(self.path("run/consoles/both.txt")).expect("the console")
    }
}

const GREETS: &str = "say(\"hello\\n\");";
const COUNTS: &str = "say(\"\\ncount OK\\n\");";
const TOTAL: &str = "say_number(3);";
const OTHER: &str = "  for (;;)\n    asm volatile(\"wfi\");";
const BOOTS: &str = "say(\"tiny shell\\n\");";

#[test]
fn console_as_the_page_says_the_course_proves_itself() {
    let example = Example::new();
    for arguments in [&["labs", "--check"][..], &["selftest", "--lab", "greetings"]] {
        let mut command = grader(example.folder.path());
        command.arg("--course").arg(example.path("course")).args(arguments);
        let output = command.output().expect("grader starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn console_results_are_kept_by_command_and_judged_again_to_the_same_grade() {
    let example = Example::new();
    let outcome = example.grade(&[]);
    assert_eq!((outcome.code, outcome.earned()), (Some(0), 10.0), "{}", outcome.said());
    for check in ["greets", "counts", "few"] {
        assert_eq!(outcome.graded(check)["proof"], "console-pattern", "{}", outcome.said());
    }
    assert_eq!(
        example.console(),
        "== greet\nhello\n== counttest\nstart count\ntotal= 3\ncount OK\n== every command that was typed had ended\n"
    );
    let json = example.path("again.json");
    let mut replay = grader(example.folder.path());
    replay.arg("--course").arg(example.path("course")).arg("replay").arg(example.path("run"));
    let again = Outcome::of(replay.arg("--json").arg(&json), &json);
    assert_eq!(again.grade["checks"], outcome.grade["checks"], "{}", again.said());
}

#[test]
fn console_figures_earn_a_share_and_one_that_is_absent_earns_nothing() {
    let example = Example::new();
    // The logarithm of 70 lies in the middle between those of 10 and 500.
    let some = example.grade(&[(TOTAL, "say_number(70);")]);
    assert_eq!(some.graded("few")["points"]["earned"], 2.5, "{}", some.said());
    let none = example.grade(&[(TOTAL, "say(\"none\");")]);
    assert_eq!(none.verdict("few"), "fail", "{}", none.said());
    let reason = none.reason("few");
    assert!(reason.contains("no line of the form") && reason.contains("was seen after `counttest`"), "{reason}");
    assert_eq!(none.verdict("counts"), "pass", "{}", none.said());
}

#[test]
fn console_a_result_counts_for_the_command_that_printed_it() {
    let example = Example::new();
    let outcome = example.grade(&[(GREETS, "say(\"hello\\ncount OK\\ntotal= 3\\n\");"), (COUNTS, "say(\"\\n\");")]);
    assert_eq!([outcome.verdict("greets"), outcome.verdict("counts")], ["pass", "fail"], "{}", outcome.said());
    let reason = outcome.reason("counts");
    assert!(reason.contains("no line of the form `^count OK$` was seen after `counttest`"), "{reason}");
    let outcome = example.grade(&[(COUNTS, "say(\"\\ncount OK\\nsecond count: FAIL\\n\");")]);
    assert!(outcome.reason("counts").contains("\"FAIL\", which must not be"), "{}", outcome.said());
}

#[test]
fn console_a_panic_that_spins_ends_the_session_at_once_with_the_kernel_s_own_words() {
    let example = Example::new();
    let outcome = example.grade(&[(TOTAL, "say(\"7\\n\\x1b[31mpanic: out of numbers\\n\"); for (;;);")]);
    assert_eq!(outcome.ending("both"), "gave-up", "{}", outcome.said());
    assert_eq!([outcome.verdict("greets"), outcome.verdict("counts")], ["pass", "fail"], "{}", outcome.said());
    assert!(outcome.reason("counts").contains("panic: out of numbers"), "{}", outcome.said());
    // What was printed before may not be all.
    assert!(outcome.reason("few").contains("`counttest` did not end"), "{}", outcome.said());
}

#[test]
fn console_a_command_that_hangs_is_named_and_those_after_it_are_not_typed() {
    let example = Example::new();
    example.change("labs/greetings/lab.yaml", "- greet\n", "- { type: greet, limit: 1s }\n");
    let outcome = example.grade(&[(GREETS, "say(\"hello\\n\"); for (;;);")]);
    assert_eq!(outcome.ending("both"), "overdue", "{}", outcome.said());
    // What was expected had been said by then.
    assert_eq!([outcome.verdict("greets"), outcome.verdict("counts")], ["pass", "fail"], "{}", outcome.said());
    let reason = outcome.reason("counts");
    assert!(reason.contains("`counttest` was not typed: \"greet\" did not end within its 1 s"), "{reason}");
}

#[test]
fn console_a_kernel_that_shows_no_prompt_or_nothing_at_all_is_told_so() {
    let example = Example::new();
    example.change("labs/kernels/shell/kernel.yaml", "  join: \"; \"\n", "  join: \"; \"\n  ready: 1s\n");
    let silent = example.grade(&[(BOOTS, "for (;;);")]);
    let reason = silent.reason("greets");
    assert!(reason.contains("showed no prompt within 1 s, and had not printed a single line"), "{}", silent.said());
    let stuck = example.grade(&[(BOOTS, "say(\"tiny shell\\n\"); for (;;);")]);
    let reason = stuck.reason("greets");
    assert!(reason.contains("the last line that was printed was \"tiny shell\""), "{}", stuck.said());
    assert_eq!((silent.code, stuck.code), (Some(1), Some(1)));
}

#[test]
fn console_two_harts_that_write_into_each_other_s_lines_cost_nobody_the_verdict() {
    let example = Example::new();
    // Results come when the other hart has fallen silent; prompts, echoes and answers while it prints.
    let noisy = "  for (;;) {\n    while (!noise);\n    say(\"\\x1b[3\"), say(\"1mhart 1\\x1b[0m costs 5> each\\n\");\n    noise--;\n  }";
    let edits = [
        ("#include \"shell.h\"\n", "#include \"shell.h\"\nstatic volatile int noise = 300;\n"),
        (OTHER, noisy),
        (GREETS, "while (noise);\n    say(\"hello\\n\");"),
        (COUNTS, "noise = 100;\n    say(\"\\n\");\n    while (noise);\n    say(\"count OK\\n\");\n    noise = 50;"),
    ];
    // One hart spins while the other prints; how long that takes is the machine's affair.
    example.change("labs/greetings/lab.yaml", "limit: 2s", "limit: 30s");
    let outcome = example.grade(&edits);
    assert_eq!(outcome.verdict("greets"), "pass", "{}\n{}", outcome.said(), example.console());
    assert_eq!(outcome.verdict("counts"), "pass", "{}\n{}", outcome.said(), example.console());
}

#[test]
fn console_a_flood_is_cut_and_named() {
    let example = Example::new();
    let outcome = example.grade(&[(GREETS, "for (;;) say(\"hello\\n\");")]);
    assert_eq!(outcome.ending("both"), "flooded", "{}", outcome.said());
    assert!(outcome.reason("counts").contains("wrote more than"), "{}", outcome.said());
}

#[test]
fn console_a_kernel_that_prints_what_the_course_s_program_would_earns_nothing_for_it() {
    let example = Example::new();
    // The disk of this machine lies in memory, and the program on it is a line that it would print.
    let loaded = "none, -device, \"loader,file={disk},addr=0x84000000,force-raw=on\"]";
    example.change("labs/kernels/shell/kernel.yaml", "none]", loaded);
    example.change(
        "labs/kernels/shell/kernel.yaml",
        "  kernel: kernel/kernel\n",
        "  kernel: kernel/kernel\n  disk: words\n",
    );
    example.change("labs/greetings/lab.yaml", "    harts: 2\n", "    harts: 2\n    phrases: count OK\n");
    example.write("course/shell-kernel/words", "count OK\n");
    let runs_it = (COUNTS, "say(\"\\n\");\n    say((const char *)0x84000000ul);");
    let honest = example.grade(&[runs_it]);
    assert_eq!(honest.verdict("counts"), "pass", "{}", honest.said());
    assert!(example.console().contains("total= 3\ncount OK\n"), "{}", example.console());
    let forged = example.grade(&[]);
    assert_eq!([forged.verdict("greets"), forged.verdict("counts")], ["pass", "fail"], "{}", forged.said());
    let reason = forged.reason("counts");
    assert!(reason.contains("\"count OK\" was printed, but not by the test program"), "{reason}");
}
