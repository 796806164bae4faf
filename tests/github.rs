//! What GitHub Actions does with a student's push: the steps of the branch's workflow and of the action, one after the
//! other, with the variables that a runner sets; and what it then finds in the log and in the step's files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::student::{LAB, SOLUTION, Student, course, grader, reference, with_statement};

/// A runner's machine, as far as steps see it.
struct Runner {
    folder: TempDir,
    /// What every step finds in its environment.
    environment: BTreeMap<String, String>,
    /// Actions of others that were asked for, which are not run here.
    others: Vec<String>,
}

/// What came of a step.
struct Step {
    code: Option<i32>,
    log: String,
    summary: String,
    outputs: BTreeMap<String, String>,
}

impl Runner {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        for name in ["workspace", "temp", "home", "bin"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let mut runner = Self { folder, environment: BTreeMap::new(), others: Vec::new() };
        // A runner has rustup, sudo and apt; none of them shall install anything here.
        for tool in ["rustup", "sudo"] {
            runner.program(tool, "#!/bin/sh\nexit 0\n");
        }
        // What is installed already stays where it is.
        let installed = |variable: &str, folder: &str| {
            std::env::var(variable)
                .unwrap_or_else(|_| format!("{}/{folder}", std::env::var("HOME").unwrap_or_default()))
        };
        let path = format!("{}:{}", runner.path("bin").display(), std::env::var("PATH").unwrap_or_default());
        for (name, value) in [
            ("CI", "true".to_owned()),
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_REF_NAME", LAB.to_owned()),
            ("GITHUB_WORKSPACE", runner.path("workspace").display().to_string()),
            ("RUNNER_TEMP", runner.path("temp").display().to_string()),
            ("HOME", runner.path("home").display().to_string()),
            ("CARGO_HOME", installed("CARGO_HOME", ".cargo")),
            ("RUSTUP_HOME", installed("RUSTUP_HOME", ".rustup")),
            ("PATH", path),
            ("LANG", "C.UTF-8".to_owned()),
            ("GRADER_CACHE", format!("{}/cache", env!("CARGO_TARGET_TMPDIR"))),
            // On Ubuntu, AppArmor keeps programs from making namespaces of their own.
            ("GRADER_WITHOUT", "namespaces".to_owned()),
        ] {
            runner.environment.insert(name.to_owned(), value);
        }
        runner
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a script that can be run");
    }

    /// Text with the expressions in it that our files use.
    fn evaluated(&self, text: &str, inputs: &BTreeMap<String, String>) -> String {
        let mut text = text.to_owned();
        while let Some((before, rest)) = text.split_once("${{") {
            let (expression, after) = rest.split_once("}}").expect("an expression ends");
            let value = match expression.trim() {
                "runner.temp" => self.path("temp").display().to_string(),
                // A variable of the organisation's, which this one has.
                expression if expression.starts_with("vars.GRADER_REPOSITORY") => {
                    self.path("course.git").display().to_string()
                }
                expression => {
                    let name = expression.strip_prefix("inputs.").unwrap_or_else(|| panic!("what is {expression}?"));
                    inputs.get(name).unwrap_or_else(|| panic!("there is no input {name}")).clone()
                }
            };
            text = format!("{before}{value}{after}");
        }
        text
    }

    /// Does the steps; answers what came of each that runs something.
    fn run(&mut self, steps: &Value, inputs: &BTreeMap<String, String>, action: Option<&Path>) -> Vec<Step> {
        let mut done = Vec::new();
        for step in steps.as_array().expect("steps") {
            let failed = done.last().is_some_and(|step: &Step| step.code != Some(0));
            let always = step["if"].as_str().is_some_and(|condition| condition.contains("always()"));
            if failed && !always {
                continue;
            }
            match (step["uses"].as_str(), step["run"].as_str()) {
                (Some(uses), None) if uses.starts_with("actions/checkout@") => {
                    let goal = self.path("workspace").join(step["with"]["path"].as_str().expect("a path"));
                    git(
                        self.folder.path(),
                        &["clone", "--quiet", "--branch", LAB, "student", goal.to_str().expect("UTF-8")],
                    );
                }
                (Some(uses), None) if uses.starts_with("./") => {
                    let folder = self.path("workspace").join(uses);
                    let own = yaml(&folder.join("action.yml"));
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    let mut given: BTreeMap<String, String> = own["inputs"]
                        .as_object()
                        .expect("inputs")
                        .iter()
                        .map(|(name, input)| (name.clone(), text(&input["default"])))
                        .collect();
                    for (name, value) in step["with"].as_object().into_iter().flatten() {
                        assert!(given.insert(name.clone(), text(value)).is_some(), "the action has no input {name}");
                    }
                    done.extend(self.run(&own["runs"]["steps"], &given, Some(&folder)));
                }
                (Some(uses), None) => self.others.push(uses.to_owned()),
                (None, Some(script)) => done.push(self.script(step, script, inputs, action)),
                both => panic!("a step runs or uses: {both:?}"),
            }
        }
        done
    }

    fn script(&mut self, step: &Value, script: &str, inputs: &BTreeMap<String, String>, action: Option<&Path>) -> Step {
        let temp = self.path("temp");
        let file = |name: &str| temp.join(name);
        let files = ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV"];
        for name in files {
            fs::write(file(name), "").expect("a file");
        }
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &self.evaluated(script, inputs)]);
        command.current_dir(self.path("workspace")).env_clear().envs(&self.environment);
        command.envs(files.map(|name| (name, file(name))));
        command.envs(action.map(|folder| ("GITHUB_ACTION_PATH", folder)));
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            command.env(name, self.evaluated(value.as_str().unwrap_or_default(), inputs));
        }
        let output = command.output().expect("bash starts");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = |name: &str| fs::read_to_string(file(name)).expect("a file");
        let pairs = |text: &str| -> BTreeMap<String, String> {
            let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            text.lines().map(|line| pair(line).expect("name=value")).collect()
        };
        // What `rustup` was asked for was not installed, and what other tests built need not be built again.
        let elsewhere = |name: &str| name.starts_with("RUSTUP") || name == "GRADER_CACHE";
        let set = pairs(&read("GITHUB_ENV")).into_iter().filter(|(name, _)| !elsewhere(name));
        self.environment.extend(set);
        Step {
            code: output.status.code(),
            log: said(&output.stdout) + &said(&output.stderr),
            summary: read("GITHUB_STEP_SUMMARY"),
            outputs: pairs(&read("GITHUB_OUTPUT")),
        }
    }
}

fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn git(folder: &Path, arguments: &[&str]) {
    let who = ["-c", "user.name=A Student", "-c", "user.email=student@example.org"];
    let status = Command::new("git").args(who).args(arguments).current_dir(folder).status().expect("git starts");
    assert!(status.success(), "git {arguments:?}");
}

/// The course as its repository has it, but with a grader that was built already.
fn course_repository(runner: &Runner) {
    let folder = runner.path("course");
    fs::create_dir_all(folder.join("ci/action")).expect("a folder");
    for file in ["Cargo.toml", "ci/action/action.yml", "ci/action/prepare", "ci/action/grade"] {
        fs::copy(course().join(file), folder.join(file)).expect("a copy");
    }
    let grader = env!("CARGO_BIN_EXE_grader");
    let script = format!("#!/bin/sh\nexec '{grader}' --course '{}' \"$@\"\n", course().display());
    fs::write(folder.join("ci/grader"), script).expect("a script");
    fs::set_permissions(folder.join("ci/grader"), fs::Permissions::from_mode(0o755)).expect("a script that can be run");
    git(&folder, &["init", "--quiet", "--initial-branch", "main"]);
    git(&folder, &["add", "--all"]);
    git(&folder, &["commit", "--quiet", "--message", "Course"]);
    git(runner.folder.path(), &["clone", "--quiet", "--bare", "course", "course.git"]);
}

#[test]
fn a_push_is_graded_by_the_branch_s_own_workflow() {
    let mut runner = Runner::new();
    course_repository(&runner);
    let student = runner.path("student");
    let mut handout = grader(runner.folder.path());
    let made = handout.arg("--course").arg(course()).args(["handout", "--lab", LAB, "--out", "student"]).output();
    assert!(made.expect("grader starts").status.success());
    git(&student, &["checkout", "--quiet", LAB]);
    let wrong = with_statement("let wrong: u32 = \"##[error]forged\\n::error::forged\";");
    fs::write(student.join(SOLUTION), wrong).expect("a solution");
    git(&student, &["commit", "--quiet", "--all", "--message", "Solve it"]);

    let workflow = yaml(&student.join(".github/workflows/grade.yml"));
    assert_eq!(workflow["on"]["push"]["branches"], serde_json::json!([LAB]));
    assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }));
    let steps = runner.run(&workflow["jobs"]["grade"]["steps"], &BTreeMap::new(), None);

    let last = steps.last().expect("a step that ran");
    assert_eq!(last.code, Some(1), "{}", steps.iter().map(|step| step.log.as_str()).collect::<String>());
    let line =
        reference().lines().position(|line| line.contains("fn allocate(&mut self, pages: usize)")).expect("it") + 2;
    let message = "mismatched types: expected `u32`, found `&str`";
    let annotation = format!("\n::error file={SOLUTION},line={line},col=18,title=compiler error E0308::{message}\n");
    assert!(last.log.contains(&annotation), "{annotation:?} is not in:\n{}", last.log);
    // What the student wrote is said only where the runner obeys nothing.
    let opening = last.log.lines().next().expect("a line");
    let token = opening.strip_prefix("::stop-commands::").unwrap_or_else(|| panic!("{}", last.log));
    let (fenced, open) = last.log.split_once(&format!("\n::{token}::\n")).expect("an end of the fence");
    assert!(fenced.contains("forged"), "{}", last.log);
    assert!(!open.contains("forged"), "{}", last.log);

    let outputs = last.outputs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(outputs, ["max-score=100", "passed=false", "score=0"]);
    assert!(last.summary.starts_with("## ❌ lab6-2-buddy"), "{}", last.summary);
    let reports = runner.path("temp/grade");
    assert!(reports.join("grade.md").is_file() && reports.join("grade.xml").is_file());
    assert!(!reports.join("grade.json").exists());
    let kept = ["actions/cache@", "actions/upload-artifact@"];
    assert!(runner.others.iter().zip(kept).all(|(used, kept)| used.starts_with(kept)), "{:?}", runner.others);
    assert_eq!(runner.others.len(), kept.len());
}

/// The course with a lab in which students must not see the check `requests`.
fn course_that_hides(folder: &Path) -> PathBuf {
    let goal = folder.join("hiding-course");
    let listed =
        Command::new("git").args(["ls-files", "-z", "labs", "reference-kernel"]).current_dir(course()).output();
    let listed = String::from_utf8(listed.expect("git starts").stdout).expect("UTF-8");
    for file in listed.split_terminator('\0').filter(|file| course().join(file).is_file()) {
        let path = goal.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::copy(course().join(file), path).expect("a copy");
    }
    let path = goal.join(format!("labs/{LAB}/lab.yaml"));
    let lab = fs::read_to_string(&path).expect("the lab");
    assert_eq!(lab.matches("id: requests\n").count(), 1, "{lab}");
    fs::write(path, lab.replace("id: requests\n", "id: requests\n    visibility: hidden\n")).expect("a lab");
    goal
}

#[test]
fn nothing_that_a_student_reads_tells_of_a_hidden_check() {
    let student = Student::with(&with_statement("let pages = pages.max(1);"));
    let folder = TempDir::new().expect("a folder");
    let course = course_that_hides(folder.path());
    let path = |name: &str| folder.path().join(name);
    let run = |more: &[&str]| {
        let mut command = grader(student.path());
        command.arg("--course").arg(&course).args(["run", "--lab", LAB, "--check", "^(split|requests)$"]).args(more);
        for format in ["json", "junit", "markdown", "classroom50", "gradescope"] {
            command.arg("--format").arg(format!("{format}={}", path(format).display()));
        }
        for (name, value) in
            [("CLASSROOM", "c"), ("ASSIGNMENT", "a"), ("SUBMISSION_TAG", "submit/1"), ("USERNAME", "u")]
        {
            command.env(name, value);
        }
        command.env("GITHUB_REPOSITORY", "o/r").env("GITHUB_STEP_SUMMARY", path("summary"));
        let output = command.args(["--format", "github"]).output().expect("grader starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, log) = run(&[]);
    assert_eq!(code, Some(0), "{log}");
    let read = |name: &str| fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let grade: Value = serde_json::from_str(&read("json")).expect("JSON");
    assert_eq!((&grade["points"]["earned"], &grade["points"]["max"]), (&Value::from(12.0), &Value::from(17.0)));
    let seed = grade["seed"].as_str().expect("a seed");
    let seen = ["junit", "markdown", "classroom50", "summary"].map(read).concat() + &log;
    for secret in [" requests ", "\"requests\"", "requests: ", seed, "of 17", "\"max-score\": 17"] {
        let lines: Vec<&str> = seen.lines().filter(|line| line.contains(secret)).collect();
        assert!(lines.is_empty(), "{secret} is shown: {lines:#?}");
    }
    let results: Value = serde_json::from_str(&read("gradescope")).expect("JSON");
    let hidden = results["tests"].as_array().expect("tests").iter().filter(|test| test["visibility"] == "hidden");
    assert_eq!(hidden.count(), 1, "{results}");

    let (code, log) = run(&["--show-hidden"]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("12 of 17 points") && log.contains(" requests ") && log.contains(seed), "{log}");
}

#[test]
fn a_fault_of_ours_is_said_as_one_and_leaves_no_grade_behind() {
    let student = Student::with(&reference());
    let folder = TempDir::new().expect("a folder");
    let results = folder.path().join("results.json");
    let output = folder.path().join("output");
    let mut command = grader(student.path());
    command.arg("--course").arg(course()).args(["run", "--lab", LAB, "--rev", "no::error::such", "--format", "github"]);
    command.arg("--format").arg(format!("gradescope={}", results.display())).env("GITHUB_OUTPUT", &output);
    let done = command.output().expect("grader starts");
    let log = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(2), "{log}");
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    let (fenced, open) = log.split_once("::\n::error ").unwrap_or_else(|| panic!("{log}"));
    assert!(fenced.contains("error: failed to find commit `no::error::such`"), "{log}");
    assert!(open.starts_with("title=The grader could not do its work::find commit"), "{log}");
    let results: Value = serde_json::from_slice(&fs::read(&results).expect("a file")).expect("JSON");
    assert_eq!(results.get("score"), None);
    assert!(results["output"].as_str().is_some_and(|text| text.contains("no fault of yours")), "{results}");
    assert!(!output.exists());
}
