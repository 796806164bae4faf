//! A kernel in C, graded as `labs/README.md` says.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::student::{Outcome, course, course_file, grader};

/// The page's example as a course of its own, with a student beside it.
pub struct Example {
    folder: TempDir,
}

impl Example {
    /// As it is handed out.
    pub fn new() -> Self {
        let example = Self { folder: TempDir::new().expect("a temporary folder") };
        for (path, content) in files_of_the_page("tiny") {
            example.write(&format!("course/{path}"), &content);
        }
        for file in ["grader.h", "report.h", "draw.h", "script.h", "pages.c"] {
            let content = course_file(&format!("labs/kernels/driver/{file}"));
            example.write(&format!("course/labs/kernels/driver/{file}"), &content);
        }
        example.write("course/labs/kernels/tiny/glue.c", &course_file("tests/c-kernel/glue.c"));
        let first_fit = course_file("tests/c-kernel/first-fit.c");
        example.write("course/labs/tiny-bestfit/handout/kernel/kalloc.c", &first_fit);
        for path in kernel_files() {
            let content = course_file(&format!("tests/c-kernel/{path}"));
            example.write(&format!("course/tiny-kernel/{path}"), &content);
            example.write(&format!("student/{path}"), &content);
        }
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

    /// Grades this text as the student's allocator.
    pub fn grade(&self, allocator: &str) -> Outcome {
        self.write("student/kernel/kalloc.c", allocator);
        let student = self.path("student");
        if !student.join(".git").exists() {
            git2::Repository::init(&student).expect("a repository");
        }
        let json = self.path("grade.json");
        let mut run = grader(&student);
        run.arg("--course").arg(self.path("course"));
        run.args(["run", "--lab", "tiny-bestfit", "--worktree", "--json"]).arg(&json);
        Outcome::of(&mut run, &json)
    }
}

/// The two files that the page shows for a kind of kernel, a kind and a lab: a path in backticks on a line of its own,
/// then a block.
pub fn files_of_the_page(kind: &str) -> Vec<(String, String)> {
    let page = course_file("labs/README.md");
    let mut files = Vec::new();
    let mut rest = page.as_str();
    while let Some((before, after)) = rest.split_once("\n```yaml\n") {
        let (content, after) = after.split_once("\n```\n").expect("a block has an end");
        let title = before.trim_end().lines().last().unwrap_or_default();
        let is_for = |content: &str| {
            content.contains(&format!("id: {kind}\n")) || content.contains(&format!("kernels:\n  {kind}:\n"))
        };
        if let Some(path) = title.strip_prefix('`').and_then(|title| title.strip_suffix('`'))
            && is_for(content)
        {
            files.push((path.to_owned(), format!("{content}\n")));
        }
        rest = after;
    }
    assert_eq!(files.len(), 2, "the page shows a kind and a lab of {kind}");
    files
}

fn kernel_files() -> Vec<String> {
    let root = course().join("tests/c-kernel");
    let names = fs::read_dir(root.join("kernel")).expect("the kernel").flatten().map(|entry| entry.file_name());
    let names = names.map(|name| format!("kernel/{}", name.to_string_lossy()));
    names
        .filter(|name| Path::new(name).extension().is_some_and(|kind| kind != "o"))
        .chain(["Makefile".to_owned()])
        .collect()
}

fn best_fit() -> String {
    course_file("tests/c-kernel/kernel/kalloc.c")
}

fn with(text: &str, find: &str, replace: &str) -> String {
    assert_eq!(text.matches(find).count(), 1, "{find}");
    text.replace(find, replace)
}

#[test]
fn c_kernel_as_the_page_says_best_fit_earns_everything_and_first_fit_what_is_right_about_it() {
    let example = Example::new();
    let best = example.grade(&best_fit());
    assert_eq!((best.code, best.earned()), (Some(0), 20.0), "{}", best.said());
    assert!(best.stderr.contains("tiny: A small kernel in C"), "{}", best.said());
    let first = example.grade(&course_file("tests/c-kernel/first-fit.c"));
    assert_eq!((first.code, first.verdict("best-fit")), (Some(1), "fail"), "{}", first.said());
    for check in ["merge", "sound", "exhaustion", "contents"] {
        assert_eq!(first.verdict(check), "pass", "{}", first.said());
    }
}

#[test]
fn c_kernel_the_page_s_course_proves_itself() {
    let example = Example::new();
    for arguments in [&["labs", "--check"][..], &["selftest", "--lab", "tiny-bestfit"]] {
        let mut command = grader(example.folder.path());
        command.arg("--course").arg(example.path("course")).args(arguments);
        let output = command.output().expect("grader starts");
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn c_kernel_a_solution_is_graded_with_as_many_seeds_as_are_asked_for() {
    let example = Example::new();
    let mut command = grader(example.folder.path());
    command.arg("--course").arg(example.path("course"));
    command.args(["selftest", "--lab", "tiny-bestfit", "--solution", "^reference$", "--seeds", "3"]);
    let output = command.output().expect("grader starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<_> = said.lines().filter(|line| line.starts_with("reference") && line.ends_with(" ok")).collect();
    assert_eq!(rows.len(), 3, "{said}");
    for (row, name) in rows.iter().zip(["reference  ", "reference 1", "reference 2"]) {
        assert!(row.starts_with(name), "{said}");
    }
}

#[test]
fn c_kernel_three_wrong_allocators_fail_the_checks_that_they_must() {
    let example = Example::new();
    let best = best_fit();
    let never_merges_back = with(&best, "if (after && touches(freed, after))", "if (0)");
    let outcome = example.grade(&never_merges_back);
    assert_eq!([outcome.verdict("merge"), outcome.verdict("sound")], ["fail", "pass"], "{}", outcome.said());

    let loses_a_page = with(&best, "rest->pages = found->pages - pages;", "rest->pages = found->pages - pages - 1;");
    let outcome = example.grade(&loses_a_page);
    assert_eq!([outcome.verdict("exhaustion"), outcome.verdict("sound")], ["fail", "pass"], "{}", outcome.said());

    let merges_across_a_page = with(&best, "PAGE == (char *)next;", "PAGE >= (char *)next - PAGE;");
    let outcome = example.grade(&merges_across_a_page);
    assert_eq!(outcome.verdict("sound"), "fail", "{}", outcome.said());
    let finding = &outcome.graded("sound")["findings"][0];
    assert!(finding["why"].as_str().is_some_and(|why| why.contains("that were not freed since")), "{}", outcome.said());
}

#[test]
fn c_kernel_that_does_not_compile_or_link_is_the_student_s_fault_with_the_line_named() {
    let example = Example::new();
    let best = best_fit();
    let outcome = example.grade(&with(&best, "return found;", "return found"));
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert!(outcome.stdout.contains("kernel/kalloc.c:"), "{}", outcome.said());
    let outcome = example.grade(&best.replace("kfreen", "kfreem"));
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    assert!(outcome.stdout.contains("undefined reference to `kfreen'"), "{}", outcome.said());
}

#[test]
fn c_kernel_whose_driver_does_not_compile_is_our_fault_and_one_whose_header_breaks_it_is_the_student_s() {
    let example = Example::new();
    let lab = fs::read_to_string(example.path("course/labs/tiny-bestfit/lab.yaml")).expect("the lab");
    let takes_header = with(&lab, "files: [kernel/kalloc.c]", "files: [kernel/kalloc.c, kernel/kernel.h]");
    example.write("course/labs/tiny-bestfit/lab.yaml", &takes_header);
    let header = course_file("tests/c-kernel/kernel/kernel.h");
    example.write(
        "student/kernel/kernel.h",
        &with(&header, "void power_off(int status)", "void power_off(int status, int why)"),
    );
    let student = example.grade(&best_fit());
    assert_eq!((student.code, student.earned()), (Some(1), 0.0), "{}", student.said());
    assert!(student.reason("sound").contains("the submission does not compile"), "{}", student.said());

    let driver = course_file("labs/kernels/driver/pages.c");
    example.write("course/labs/kernels/driver/pages.c", &format!("{driver}\nint broken(void) {{ return 0 }}\n"));
    example.write("student/kernel/kernel.h", &header);
    let ours = example.grade(&best_fit());
    assert_eq!((ours.code, ours.verdict("sound")), (Some(3), "error"), "{}", ours.said());
    let line = driver.lines().count() + 2;
    assert!(ours.reason("sound").contains(&format!("kernel/pages.c:{line}:")), "{}", ours.said());
}

#[test]
fn c_kernel_that_takes_in_files_of_the_machine_is_refused_with_the_line_and_kept_from_them_besides() {
    let example = Example::new();
    let included = example.grade(&format!("#include \"/etc/passwd\"\n{}", best_fit()));
    assert_eq!(included.code, Some(1), "{}", included.said());
    assert!(
        included.stdout.contains("kernel/kalloc.c:1:1: `#include \"/etc/passwd\"` is forbidden"),
        "{}",
        included.said()
    );
    let lab = fs::read_to_string(example.path("course/labs/tiny-bestfit/lab.yaml")).expect("the lab");
    let allows =
        with(&lab, "    files: [kernel/kalloc.c]\n", "    files: [kernel/kalloc.c]\n    allow: [include, asm]\n");
    example.write("course/labs/tiny-bestfit/lab.yaml", &allows);
    for attempt in ["#include \"/etc/passwd\"", "asm(\".section .data; .incbin \\\"/etc/passwd\\\"\");"] {
        let outcome = example.grade(&format!("{attempt}\n{}", best_fit()));
        assert_eq!(outcome.code, Some(1), "{}", outcome.said());
        assert!(
            outcome.said().contains("Permission denied") || outcome.said().contains("file not found"),
            "{}",
            outcome.said()
        );
    }
}

#[test]
fn c_kernel_that_prints_what_students_are_told_to_print_earns_nothing_for_it() {
    let example = Example::new();
    let prints = format!(
        "#include \"kernel.h\"\nvoid kinit(void) {{ for (const char *say = \"kallocn: OK\\n\"; *say; say++) put(*say); power_off(0); }}\n{}",
        "void *kallocn(u64 pages) { return 0; }\nvoid kfreen(void *address, u64 pages) {}\n"
    );
    let outcome = example.grade(&prints);
    assert_eq!((outcome.code, outcome.earned()), (Some(1), 0.0), "{}", outcome.said());
}
