//! The catalogue of cheating kernels: none of them earns a point, and each is stopped by what its file says.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::c_kernel::Example;
use crate::student::{Outcome, copy, course, course_file, grader, reference};

/// A cheat as the head of its file describes it.
struct Cheat {
    name: String,
    code: String,
}

impl Cheat {
    /// All in a folder of the catalogue, in order of name.
    fn all(folder: &str) -> Vec<Self> {
        let folder = course().join("tests/cheats").join(folder);
        let mut files: Vec<PathBuf> = fs::read_dir(folder).expect("cheats").flatten().map(|file| file.path()).collect();
        files.sort();
        let cheat = |path: &PathBuf| Self {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            code: fs::read_to_string(path).expect("a cheat"),
        };
        files.iter().map(cheat).collect()
    }

    /// What stands behind a word in the head of the file.
    fn head(&self, word: &str) -> Option<&str> {
        let leads = [format!("//! {word}: "), format!("// {word}: ")];
        self.code.lines().find_map(|line| leads.iter().find_map(|lead| line.strip_prefix(lead)))
    }

    fn due(&self, word: &str) -> &str {
        self.head(word).unwrap_or_else(|| panic!("{} says nothing of `{word}`", self.name))
    }

    fn id(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The file to hand in: this one; or, where its head has edits, the course's own with those made and this behind it.
    fn solution(&self) -> String {
        let edits: Vec<&str> = self.code.lines().filter_map(|line| line.strip_prefix("//! edit: ")).collect();
        if edits.is_empty() {
            return self.code.clone();
        }
        let mut text = course_file(&format!("reference-kernel/{}", self.due("file")));
        for edit in edits {
            let (find, replace) = edit.split_once(" => ").unwrap_or_else(|| panic!("{}: no edit: {edit}", self.name));
            assert_eq!(text.matches(find).count(), 1, "{}: {find:?} is there once", self.name);
            text = text.replace(find, replace);
        }
        text + &self.body()
    }

    /// The code without its head.
    fn body(&self) -> String {
        self.code.lines().filter(|line| !line.starts_with("//!")).collect::<Vec<_>>().join("\n")
    }

    /// The check that it is after, as a lab has it.
    fn check(&self, session: &str) -> String {
        let judge = self.due("check").trim_start_matches('{').trim_end_matches('}').trim();
        format!("  - {{ id: {}, session: {session}, {judge}, points: 1 }}\n", self.id())
    }
}

/// A course with one lab, and a submission to it.
struct Graded {
    folder: TempDir,
}

impl Graded {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// Lays a folder of the repository into the course.
    fn copy(&self, from: &str, to: &str) {
        copy(&course().join(from), &self.path(to));
    }

    /// Grades the folder `student` in the lab `cheats`.
    fn grade(&self) -> Outcome {
        git2::Repository::init(self.path("student")).expect("a repository");
        let json = self.path("grade.json");
        let mut run = grader(&self.path("student"));
        run.arg("--course").arg(self.path("course"));
        run.args(["run", "--lab", "cheats", "--worktree", "--json"]).arg(&json);
        Outcome::of(&mut run, &json)
    }
}

/// Asserts that no cheat earned anything, and that each was stopped by what its file names.
fn assert_stopped(cheats: &[Cheat], outcome: &Outcome) {
    assert_eq!(outcome.code, Some(1), "{}", outcome.said());
    for cheat in cheats {
        let id = cheat.id();
        let (earned, verdict) = (&outcome.graded(&id)["points"]["earned"], outcome.verdict(&id));
        assert_eq!((earned.as_f64(), verdict), (Some(0.0), "fail"), "{id}: {}", outcome.said());
        let (reason, stopped) = (outcome.reason(&id), cheat.due("stopped"));
        assert!(reason.contains(stopped), "{id} is not stopped by {stopped:?}: {reason}\n{}", outcome.said());
    }
}

#[test]
fn cheats_of_a_kernel_in_rust_earn_nothing() {
    let cheats = Cheat::all("kernel");
    let graded = Graded::new();
    graded.copy("reference-kernel", "course/reference-kernel");
    graded.copy("labs/kernels/reference", "course/labs/kernels/reference");
    let mut lab = format!(
        "id: cheats\ntitle: Cheats\npoints: {}\nkernels:\n  reference:\n    files: [mm/src/page/buddy.rs]\n    build: {{ features: [kernel/buddy] }}\nsessions:\n",
        cheats.len()
    );
    for (number, cheat) in cheats.iter().enumerate() {
        let pages = cheat.head("pages").map_or(String::new(), |pages| format!(", pages: {pages}"));
        let harts = cheat.head("harts").unwrap_or("1");
        lab += &format!(
            "  {}: {{ run: \"{}\", arena: [{}], harts: {harts}, output-limit: 1M{pages} }}\n",
            cheat.id(),
            cheat.due("run"),
            2048 + number
        );
    }
    lab += "checks:\n";
    lab.extend(cheats.iter().map(|cheat| cheat.check(&cheat.id())));
    graded.write("course/labs/cheats/lab.yaml", &lab);

    for path in ["Cargo.toml", "mm/Cargo.toml", "mm/src/page/mod.rs"] {
        graded.write(&format!("student/{path}"), &course_file(&format!("reference-kernel/{path}")));
    }
    let honest = reference().replace("use super::", "use super::super::").replace("//!", "//");
    let module =
        |cheat: &Cheat| format!("mod {} {{\nuse super::*;\npub struct It;\n{}\n}}\n", cheat.name, cheat.body());
    let all: String = cheats.iter().map(|cheat| format!("&{}::It, ", cheat.name)).collect();
    let modules: String = cheats.iter().map(module).collect();
    let modules = format!("pub const ALL: &[&dyn Cheat] = &[{all}];\n{modules}");
    let modules = course_file("tests/cheats/forger.rs") + &modules;
    let solution = course_file("tests/cheats/allocator.rs").replace("{honest}", &honest).replace("{cheats}", &modules);
    graded.write("student/mm/src/page/buddy.rs", &solution);
    assert_stopped(&cheats, &graded.grade());
}

#[test]
fn cheats_of_a_kernel_in_c_earn_nothing() {
    let example = Example::new();
    for cheat in Cheat::all("c") {
        let outcome = example.grade(&cheat.code);
        assert_eq!((outcome.code, outcome.earned()), (Some(1), 0.0), "{}: {}", cheat.name, outcome.said());
        let (reason, stopped) = (outcome.reason(cheat.due("check")), cheat.due("stopped"));
        assert!(reason.contains(stopped), "{} is not stopped by {stopped:?}: {reason}", cheat.name);
    }
}

#[test]
#[ignore = "long: ci/long"]
fn cheats_of_other_labs_earn_nothing() {
    for cheat in Cheat::all("labs") {
        let graded = Graded::new();
        graded.copy("reference-kernel", "student");
        graded.write(&format!("student/{}", cheat.due("file")), &cheat.solution());
        git2::Repository::init(graded.path("student")).expect("a repository");
        let checks: Vec<&str> = cheat.due("checks").split(", ").collect();
        let json = graded.path("grade.json");
        let mut run = grader(&graded.path("student"));
        run.arg("--course").arg(course()).args(["run", "--worktree", "--lab", cheat.due("lab")]);
        run.args(["--check", &format!("^({})$", checks.join("|")), "--json"]).arg(&json);
        let outcome = Outcome::of(&mut run, &json);
        assert_eq!((outcome.code, outcome.earned()), (Some(1), 0.0), "{}: {}", cheat.name, outcome.said());
        let (reason, stopped) = (outcome.reason(checks[0]), cheat.due("stopped"));
        assert!(reason.contains(stopped), "{} is not stopped by {stopped:?}: {reason}", cheat.name);
    }
}

#[test]
fn cheats_are_all_in_the_catalogue_with_what_they_try() {
    let catalogue = course_file("tests/cheats/README.md");
    for folder in ["kernel", "c", "labs"] {
        for cheat in Cheat::all(folder) {
            let line = catalogue.lines().find(|line| line.contains(&format!("]({folder}/{}.", cheat.name)));
            assert!(line.is_some(), "tests/cheats/README.md has no line for {folder}/{}", cheat.name);
            assert!(!cheat.due("Tries").is_empty());
        }
    }
}
