//! `grader handout`: what students start from, and what they must not find there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use git2::{ObjectType, Repository};
use tempfile::TempDir;

use crate::student::{Outcome, course, grader};

/// Makes the handout; answers what the command printed.
fn handout(into: &Path) -> String {
    let mut command = grader(into.parent().expect("a folder lies in another"));
    let output =
        command.arg("--course").arg(course()).args(["handout", "--out"]).arg(into).output().expect("grader starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The labs that have a branch, with the files that each takes.
fn labs() -> Vec<(String, Vec<String>)> {
    let folders = fs::read_dir(course().join("labs")).expect("labs").flatten().map(|entry| entry.path());
    let mut labs: Vec<_> = folders
        // A lab without starters is for kernels that others hand out.
        .filter(|folder| folder.join("lab.yaml").is_file() && folder.join("handout").is_dir())
        .map(|folder| {
            let mut files = Vec::new();
            list(&folder.join("handout"), &folder.join("handout"), &mut files);
            // Starters in C are for kernels that others hand out.
            files.retain(|file| file.ends_with(".rs"));
            (folder.file_name().expect("a name").to_string_lossy().into_owned(), files)
        })
        .collect();
    labs.sort();
    labs
}

fn list(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).expect("it lies there").display().to_string());
        }
    }
}

/// Runs of lines that say enough to be recognised, without their indentation.
fn passages(text: &str) -> BTreeSet<String> {
    const LINES: usize = 3;
    const LENGTH: usize = 80;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| line.len() > 3).collect();
    lines.windows(LINES).map(|lines| lines.join("\n")).filter(|passage| passage.len() >= LENGTH).collect()
}

#[test]
fn no_branch_of_the_handout_has_anything_of_a_solution_in_all_its_history() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("start");
    handout(&path);
    let read =
        |path: String| fs::read_to_string(course().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut secret = BTreeSet::new();
    for (lab, files) in labs() {
        for file in files {
            let own = passages(&read(format!("labs/{lab}/handout/{file}")));
            let solution = passages(&read(format!("reference-kernel/{file}")));
            let hidden: Vec<_> = solution.difference(&own).cloned().collect();
            assert!(hidden.len() > 10, "{lab}: {file} has nothing to hide");
            secret.extend(hidden);
        }
    }
    let c = passages(&read("labs/kernels/xv6n-umalloc/umalloc.c".to_owned()));
    secret.extend(c);
    // What other parts of the kernel say as well is no secret.
    for text in kernel_files() {
        let said = passages(&text);
        secret.retain(|passage| !said.contains(passage));
    }
    let repository = Repository::open(&path).expect("a repository");
    let database = repository.odb().expect("its objects");
    let mut objects = Vec::new();
    database
        .foreach(|id| {
            objects.push(*id);
            true
        })
        .expect("objects");
    let mut blobs = 0;
    for id in objects {
        let object = database.read(id).expect("an object");
        if object.kind() == ObjectType::Blob {
            blobs += 1;
            let found = passages(&String::from_utf8_lossy(object.data()));
            let leaked: Vec<_> = found.intersection(&secret).collect();
            assert!(leaked.is_empty(), "the handout gives away {leaked:#?}");
        }
    }
    assert!(blobs > 50, "the handout has {blobs} files");
}

/// The texts of the kernel's own files that no lab takes.
fn kernel_files() -> Vec<String> {
    let root = course().join("reference-kernel");
    let taken: BTreeSet<String> = labs().into_iter().flat_map(|(_, files)| files).collect();
    let mut files = Vec::new();
    for folder in ["abi/src", "base/src", "kernel/src", "mm/src", "sync/src", "ulib/src", "user/src"] {
        list(&root, &root.join(folder), &mut files);
    }
    let others = files.into_iter().filter(|file| !taken.contains(file));
    others.map(|file| fs::read_to_string(root.join(file)).expect("a source file")).collect()
}

#[test]
fn the_same_course_gives_the_same_commits_and_a_full_folder_is_left_alone() {
    let folder = TempDir::new().expect("a temporary folder");
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let commits = |said: &str| said.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let said = handout(&one);
    assert_eq!(commits(&said), commits(&handout(&other)));
    assert_eq!(commits(&said).len(), 1 + labs().len(), "{said}");

    let output = grader(folder.path()).arg("--course").arg(course()).args(["handout", "--out", "one"]).output();
    let output = output.expect("grader starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not empty"));
}

#[test]
#[ignore = "long: ci/long"]
fn every_branch_of_the_handout_builds_without_a_warning_boots_and_is_graded() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("start");
    handout(&path);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("handout-target");
    for (lab, _) in labs() {
        let git = |arguments: &[&str]| {
            let status = Command::new("git").args(arguments).current_dir(&path).status().expect("git starts");
            assert!(status.success(), "git {arguments:?}");
        };
        git(&["checkout", "--quiet", &lab]);
        let mut cargo = Command::new("cargo");
        let boots = cargo.args(["run", "--locked", "--offline", "--", "hello"]).current_dir(&path);
        let output = boots.env("CARGO_TARGET_DIR", &target).output().expect("cargo starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{lab}: {said}\n{}", String::from_utf8_lossy(&output.stdout));
        assert!(!said.contains("warning"), "{lab}: {said}");

        // Nothing that was handed out counts as changed in vain.
        let first = first_check(&lab);
        let json = path.join(".git/grade.json");
        let mut run = grader(&path);
        run.arg("--course").arg(course()).args(["run", "--lab", &lab, "--check", &first, "--json"]).arg(&json);
        let graded = Outcome::of(&mut run, &json);
        assert!(matches!(graded.code, Some(0 | 1)), "{}", graded.said());
        assert_eq!(graded.grade["submission"]["ignored"].as_array().map(Vec::len), Some(0), "{}", graded.said());
    }
}

/// A pattern that only the first check of a lab matches.
fn first_check(lab: &str) -> String {
    let text = fs::read_to_string(course().join(format!("labs/{lab}/lab.yaml"))).expect("a lab");
    let line = text.lines().skip_while(|line| *line != "checks:").nth(1).expect("a check");
    format!("^{}$", line.trim_start_matches("  - id: ").trim())
}
