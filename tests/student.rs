//! A student's repository, made on the spot, and `grader` run in it.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use git2::{IndexAddOption, Repository, Signature};
use serde_json::Value;
use tempfile::TempDir;

/// The lab that all of these are about.
pub const LAB: &str = "lab6-2-buddy";

/// The file that it takes.
pub const SOLUTION: &str = "mm/src/page/buddy.rs";

/// The first line of the method that most mistakes are put into.
const ALLOCATE: &str = "fn allocate(&mut self, pages: usize) -> Result<NonNull<u8>, PageError> {\n";

/// This repository, which is the course.
pub fn course() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the harness lies in the course")
}

/// A file of the course.
pub fn course_file(path: &str) -> String {
    fs::read_to_string(course().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Copies a folder, but for what a compiler left there.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() && !from.ends_with("target") {
            copy(&from, &to);
        } else if from.is_file() && from.extension().is_none_or(|kind| kind != "o") {
            fs::copy(&from, &to).expect("a file");
        }
    }
}

/// The reference's solution.
pub fn reference() -> String {
    course_file(&format!("reference-kernel/{SOLUTION}"))
}

/// The file that students start from.
pub fn starter() -> String {
    course_file(&format!("labs/{LAB}/handout/{SOLUTION}"))
}

/// The reference's solution with a statement at the start of `allocate`.
pub fn with_statement(statement: &str) -> String {
    let reference = reference();
    assert_eq!(reference.matches(ALLOCATE).count(), 1, "the reference has one `allocate`");
    reference.replace(ALLOCATE, &format!("{ALLOCATE}{statement}\n"))
}

/// A repository with the lab's branch checked out.
pub struct Student {
    folder: TempDir,
}

impl Student {
    /// With this text as the solution, committed.
    pub fn with(solution: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let student = Self { folder };
        for path in ["Cargo.toml", "mm/Cargo.toml", "mm/src/page/mod.rs"] {
            student.write(path, &course_file(&format!("reference-kernel/{path}")));
        }
        student.write(SOLUTION, solution);
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head(LAB);
        Repository::init_opts(student.path(), &options).expect("a repository");
        student.commit("Solve the lab");
        student
    }

    /// The repository's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the working tree.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// Commits all that is in the working tree.
    pub fn commit(&self, message: &str) {
        let repository = Repository::open(self.path()).expect("the repository");
        let mut index = repository.index().expect("an index");
        index.add_all(["*"], IndexAddOption::DEFAULT, None).expect("files to add");
        index.write().expect("an index that can be written");
        let tree = repository.find_tree(index.write_tree().expect("a tree")).expect("the tree");
        let who = Signature::now("A Student", "student@example.org").expect("a signature");
        let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<_> = parent.iter().collect();
        repository.commit(Some("HEAD"), &who, &who, message, &tree, &parents).expect("a commit");
    }

    /// `grader run` in the repository, with the course named and the arguments added.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let json = self.path().join(".git/grade.json");
        let mut command = grader(self.path());
        command.args(["--course".as_ref(), course().as_os_str()]);
        command.args(["run", "--lab", LAB, "--json"]).arg(&json).args(arguments);
        Outcome::of(&mut command, &json)
    }

    /// Likewise, with only the checks that match.
    pub fn check(&self, checks: &str) -> Outcome {
        self.run(&["--check", &format!("^({checks})$")])
    }
}

/// The command in a folder, with a cache that all tests share: what is built once stays built.
pub fn grader(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grader"));
    command.current_dir(folder).env("GRADER_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    for variable in ["GRADER_COURSE", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command.timeout(std::time::Duration::from_secs(600));
    command
}

/// What came of a command.
pub struct Outcome {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// The grade document, if it wrote one.
    pub grade: Value,
}

impl Outcome {
    /// Runs a command that writes its grade there.
    pub fn of(command: &mut Command, json: &Path) -> Self {
        let output = command.output().expect("grader starts");
        let grade = fs::read(json).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            grade: grade.unwrap_or_default(),
        }
    }

    /// All that was printed, for the message of a failed assertion.
    pub fn said(&self) -> String {
        format!("exit code {:?}\n{}\n{}", self.code, self.stderr, self.stdout)
    }

    /// A check of the grade.
    pub fn graded(&self, check: &str) -> &Value {
        let checks = self.grade["checks"].as_array().unwrap_or_else(|| panic!("no grade: {}", self.said()));
        checks
            .iter()
            .find(|graded| graded["id"] == check)
            .unwrap_or_else(|| panic!("no check {check}: {}", self.said()))
    }

    /// A check's verdict.
    pub fn verdict(&self, check: &str) -> &str {
        self.graded(check)["verdict"].as_str().unwrap_or_default()
    }

    /// Why a check failed.
    pub fn reason(&self, check: &str) -> &str {
        self.graded(check)["reason"].as_str().unwrap_or_default()
    }

    /// A session's ending in one word.
    pub fn ending(&self, session: &str) -> &str {
        let sessions = self.grade["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = sessions.iter().find(|graded| graded["id"] == session);
        found
            .and_then(|graded| graded["ending"].as_str())
            .unwrap_or_else(|| panic!("no session {session}: {}", self.said()))
    }

    /// The points earned.
    pub fn earned(&self) -> f64 {
        self.grade["points"]["earned"].as_f64().unwrap_or(f64::NAN)
    }
}
