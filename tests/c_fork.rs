//! Copy-on-write fork in C: a kernel whose fork is right, and the defects that courses' own tests let pass.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::student::{Outcome, copy, course, course_file, grader};

/// Texts to find, each with what takes its place.
type Edits<'a> = &'a [(&'a str, &'a str)];

/// A course for that kernel, with a student beside it.
struct Example {
    folder: TempDir,
}

impl Example {
    fn new() -> Self {
        let example = Self { folder: TempDir::new().expect("a temporary folder") };
        let files = course().join("tests/c-fork");
        copy(&files.join("course"), &example.path("course"));
        copy(&course().join("labs/kernels/driver"), &example.path("course/labs/kernels/driver"));
        for tree in ["course/fork-kernel", "student"] {
            for folder in ["kernel", "user"] {
                copy(&files.join(folder), &example.path(tree).join(folder));
            }
            fs::copy(files.join("Makefile"), example.path(tree).join("Makefile")).expect("a file");
        }
        git2::Repository::init(example.path("student")).expect("a repository");
        example
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Grades the kernel with these edits of `kernel/vm.c`, by some checks.
    fn grade(&self, checks: &str, edits: Edits<'_>) -> Outcome {
        let mut text = course_file("tests/c-fork/kernel/vm.c");
        for (find, replace) in edits {
            assert_eq!(text.matches(find).count(), 1, "{find}");
            text = text.replace(find, replace);
        }
        fs::write(self.path("student/kernel/vm.c"), text).expect("a file");
        let json = self.path("grade.json");
        let mut run = grader(&self.path("student"));
        run.arg("--course").arg(self.path("course"));
        run.args(["run", "--lab", "fork-cow", "--worktree", "--check", checks, "--json"]).arg(&json);
        Outcome::of(&mut run, &json)
    }
}

/// The checks that failed, each with what its first finding or its reason says.
fn failed(outcome: &Outcome) -> Vec<(String, String)> {
    let checks = outcome.grade["checks"].as_array().cloned().unwrap_or_default();
    let failed = checks.iter().filter(|check| check["verdict"] == "fail");
    let why = |check: &serde_json::Value| {
        let why = check["findings"][0]["why"].as_str().or_else(|| check["reason"].as_str());
        (check["id"].as_str().unwrap_or_default().to_owned(), why.unwrap_or_default().to_owned())
    };
    failed.map(why).collect()
}

#[test]
fn c_fork_a_right_one_earns_everything_and_the_same_twice() {
    let example = Example::new();
    let first = example.grade(".*", &[]);
    assert_eq!((first.code, first.earned()), (Some(0), 20.0), "{}", first.said());
    assert_eq!(first.grade["checks"], example.grade(".*", &[]).grade["checks"]);
}

#[test]
fn c_fork_defects_fail_the_check_that_is_about_them_with_what_is_wrong() {
    let example = Example::new();
    let is_cow = "if (*entry & PTE_W)\n      *entry = ";
    let is_user = ("(*entry & (PTE_V | PTE_U)) != (PTE_V | PTE_U)", "!(*entry & PTE_V)");
    let defects: [(Edits<'_>, &str, &str); 9] = [
        // A page table walk beyond MAXVA panics the kernel.
        (&[("if (address >= MAXVA)\n    return -1;", "")], "bounds", "panic: walk"),
        // Read-only text becomes writable by a fork.
        (&[(is_cow, "*entry = ")], "bounds", "only what was writable may become so again"),
        // What is kept from the process is not from the copy to it.
        (
            &[is_user, ("(PTE_V | PTE_U | PTE_COW)) != (PTE_V | PTE_U | PTE_COW)", "PTE_COW) == 0")],
            "bounds",
            "nothing is there that the process may use",
        ),
        // The copy leaves the reference that it replaces.
        (&[("kfree(page);\n    page = copy;", "page = copy;")], "returned", "must be given up"),
        // The kernel writes through a page that others have.
        (
            &[("if (!(*entry & PTE_W) && write_fault(table, to) < 0)\n      return -1;", "")],
            "private",
            "must not see what this one writes",
        ),
        // Half a copy.
        (&[("memcpy(copy, page, PAGE)", "memcpy(copy, page, PAGE / 2)")], "contents", "the copy is not whole"),
        // The parent goes on writing where the child reads.
        (
            &[("*copy = *entry;", "*copy = *entry;\n    if (*entry & PTE_COW)\n      *entry |= PTE_W;")],
            "contents",
            "was written by",
        ),
        // Who exits takes the pages of all others with it.
        (&[("share((void *)PTE_TO_PA(*entry));", "")], "scarce", "must not see what this one writes"),
        // Out of memory is nobody's panic.
        (
            &[("if (!copy)\n      return -1;\n    memcpy", "if (!copy)\n      panic(\"out of memory\");\n    memcpy")],
            "scarce",
            "panic: out of memory",
        ),
    ];
    for (edits, check, lesson) in defects {
        let outcome = example.grade(&format!("^(sharing|{check})$"), edits);
        let failed = failed(&outcome);
        let why = failed.iter().find(|(id, _)| id == check).map(|(_, why)| why.as_str());
        assert!(why.is_some_and(|why| why.contains(lesson)), "{edits:?}: {failed:#?}\n{}", outcome.said());
    }
}

#[test]
fn c_fork_that_copies_everything_at_once_earns_nothing() {
    let example = Example::new();
    let eager = "void *page = kalloc();\n    if (!page)\n      return -1;\n    memcpy(page, (void *)PTE_TO_PA(*entry), PAGE);\n    \
                 *copy = PA_TO_PTE(page) | (*entry & 0x3ff);";
    let sharing = "if (*entry & PTE_W)\n      *entry = (*entry & ~(u64)PTE_W) | PTE_COW;\n    *copy = *entry;\n    \
                   share((void *)PTE_TO_PA(*entry));";
    let outcome = example.grade(".*", &[(sharing, eager)]);
    assert_eq!(outcome.earned(), 0.0, "{}", outcome.said());
    assert!(failed(&outcome)[0].1.contains("copies a page when one of the two writes to it"), "{}", outcome.said());
}
