//! What goes wrong on our side, at every stage: nobody gets a zero for it, no report is left half written, and the
//! cause is said with what to type next.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::student::{LAB, Outcome, Student, course, grader, reference};

/// A student with a folder for what a test breaks.
struct Scene {
    student: Student,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { student: Student::with(&reference()), folder: TempDir::new().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn json(&self) -> PathBuf {
        self.path("grade.json")
    }

    /// The command that grades one check, to be spoiled.
    fn command(&self) -> assert_cmd::Command {
        let mut command = grader(self.student.path());
        command.arg("--course").arg(course()).args(["run", "--lab", LAB, "--check", "^requests$", "--json"]);
        command.arg(self.json());
        command
    }

    /// The command, which must end as our fault, with the cause and what to do.
    #[track_caller]
    fn assert_ours(&self, command: &mut assert_cmd::Command, cause: &str) -> Outcome {
        let outcome = Outcome::of(command, &self.json());
        assert_eq!(outcome.code, Some(3), "{}", outcome.said());
        let said = format!("{}{}", outcome.stderr, outcome.stdout);
        assert!(said.contains(cause), "{cause:?} is not in:\n{}", outcome.said());
        assert!(said.contains("grader run --lab") || said.contains("grader replay"), "{}", outcome.said());
        for check in outcome.grade["checks"].as_array().into_iter().flatten() {
            assert_eq!(check["verdict"], "error", "{}", outcome.said());
        }
        // A report is there whole or not at all, and nothing else of it.
        assert!(!self.json().exists() || outcome.grade.is_object(), "{}", outcome.said());
        let left: Vec<_> =
            fs::read_dir(self.folder.path()).expect("the folder").flatten().map(|entry| entry.file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".grader-")), "{left:?}");
        outcome
    }

    /// A program in the way of another one.
    fn stand_in(&self, program: &str, script: &str) -> String {
        let folder = self.path("bin");
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
        format!("{}:{}", folder.display(), std::env::var("PATH").expect("a PATH"))
    }
}

/// A small or read-only file system; none where this user may not mount.
struct Mounted(PathBuf);

impl Mounted {
    fn new(folder: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|done| done.success());
        if !mounted {
            eprintln!("skipped: mounting a file system takes rights that this user does not have");
        }
        mounted.then(|| Self(folder.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_at_any_stage_is_named() {
    let scene = Scene::new();
    let folder = scene.path("small");
    // Where sources are laid in, where the builder writes, where machines' files go, and where the run is kept.
    for (size, variable) in [("size=256k", "GRADER_CACHE"), ("size=12m", "GRADER_CACHE"), ("size=100k", "TMPDIR")] {
        let Some(_mounted) = Mounted::new(&folder, size) else { return };
        let outcome = scene.assert_ours(scene.command().env(variable, &folder), "");
        let said = format!("{}{}", outcome.stderr, outcome.stdout);
        assert!(said.contains("disk is full") || said.contains("No space left"), "{}", outcome.said());
        assert!(said.contains(folder.to_str().expect("UTF-8")), "{}", outcome.said());
    }
}

#[test]
fn a_file_system_that_is_read_only_is_named() {
    let scene = Scene::new();
    let folder = scene.path("fixed");
    let Some(_mounted) = Mounted::new(&folder, "ro") else { return };
    scene.assert_ours(scene.command().env("GRADER_CACHE", &folder), "set GRADER_CACHE to a folder that can be written");
    scene.assert_ours(scene.command().env("TMPDIR", &folder), "set TMPDIR to a folder that can be written");
    scene.assert_ours(scene.command().arg("--out").arg(folder.join("run")), "Read-only file system");
    // The grade is there all the same.
    let mut command = scene.command();
    let report = Outcome::of(command.arg("--junit").arg(folder.join("junit.xml")), &scene.json());
    assert_eq!((report.code, report.verdict("requests")), (Some(3), "pass"), "{}", report.said());
    assert!(report.stderr.contains("write the JUnit report"), "{}", report.said());
    assert!(report.stderr.contains("grader replay"), "{}", report.said());
}

#[test]
fn a_machine_without_tmp_or_home_is_no_reason_or_a_good_one() {
    let scene = Scene::new();
    let nowhere = scene.path("nowhere");
    scene.assert_ours(scene.command().env("TMPDIR", &nowhere), "set TMPDIR to a folder that can be written");
    let homeless = Outcome::of(scene.command().env_remove("HOME"), &scene.json());
    assert_eq!(homeless.code, Some(0), "{}", homeless.said());
}

#[test]
fn too_few_files_to_open_are_our_fault() {
    let scene = Scene::new();
    let grader = env!("CARGO_BIN_EXE_grader");
    let script = format!(
        "ulimit -n 40; exec '{grader}' --course '{}' run --lab {LAB} --check '^requests$' --json '{}'",
        course().display(),
        scene.json().display()
    );
    let mut shell = assert_cmd::Command::new("sh");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    shell.args(["-c", &script]).current_dir(scene.student.path()).env("GRADER_CACHE", cache);
    scene.assert_ours(&mut shell, "a process may have 40 files open here, and grading needs 64");
}

#[test]
fn a_qemu_that_is_killed_or_too_old_is_our_fault() {
    let scene = Scene::new();
    let ask = "case \"$*\" in *--version*) exec /usr/bin/env -i PATH=/usr/bin:/bin:/usr/local/bin qemu-system-riscv64 \"$@\";; esac";
    let path = scene.stand_in("qemu-system-riscv64", &format!("{ask}\nkill -9 $$"));
    scene.assert_ours(
        scene.command().env("PATH", path),
        "killed by signal 9, perhaps because the machine ran out of memory",
    );
    let path = scene.stand_in("qemu-system-riscv64", "echo 'QEMU emulator version 6.2.0'");
    let old = scene.assert_ours(scene.command().env("PATH", path), "the kernels need at least");
    assert!(old.stdout.contains("6.2"), "{}", old.said());
    let path =
        scene.stand_in("qemu-system-riscv64", &format!("{ask}\necho 'qemu: could not set up memory' >&2; exit 1"));
    scene.assert_ours(scene.command().env("PATH", path), "could not set up memory");
}

#[test]
fn a_qemu_that_breaks_down_once_is_started_again_and_the_report_says_so() {
    let scene = Scene::new();
    let once = scene.path("once");
    let qemu = which("qemu-system-riscv64");
    let script = format!(
        "case \"$*\" in *--version*) ;; *) if [ ! -e '{0}' ]; then : >'{0}'; kill -9 $$; fi;; esac; exec '{qemu}' \"$@\"",
        once.display()
    );
    let path = scene.stand_in("qemu-system-riscv64", &script);
    // Confined, it could leave no mark.
    let outcome =
        Outcome::of(scene.command().env("PATH", path).env("GRADER_WITHOUT", "landlock,witness"), &scene.json());
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
    let again: u64 = outcome.grade["sessions"]
        .as_array()
        .expect("sessions")
        .iter()
        .filter_map(|session| session["again"].as_u64())
        .sum();
    assert_eq!(again, 1, "{}", outcome.said());
    assert!(outcome.stdout.contains("booted again 1 time"), "{}", outcome.said());
}

#[test]
fn a_builder_that_is_killed_is_our_fault() {
    let scene = Scene::new();
    let ask = "case \"$*\" in build*) kill -9 $$;; esac";
    let cargo = which("cargo");
    let path = scene.stand_in("cargo", &format!("{ask}\nexec '{cargo}' \"$@\""));
    // Nothing is built yet there.
    scene.assert_ours(scene.command().env("PATH", path).env("GRADER_CACHE", scene.path("cache")), "cargo build");
}

fn which(program: &str) -> String {
    let path = std::env::var_os("PATH").expect("a PATH");
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.expect("it is installed").display().to_string()
}

#[test]
fn a_clone_that_fails_midway_is_our_fault_and_the_next_one_succeeds() {
    let scene = Scene::new();
    let url = format!("file://{}", scene.student.path().display());
    let objects = scene.student.path().join(".git/objects");
    let away = scene.path("objects");
    fs::rename(&objects, &away).expect("objects move");
    fs::create_dir(&objects).expect("a folder");
    let cache = scene.path("cache");
    let outcome = Outcome::of(scene.command().args(["--repo", &url]).env("GRADER_CACHE", &cache), &scene.json());
    assert_eq!(outcome.code, Some(3), "{}", outcome.said());
    assert!(outcome.stderr.contains("fetch file://"), "{}", outcome.said());
    assert!(!scene.json().exists(), "{}", outcome.said());
    fs::remove_dir_all(&objects).expect("an empty folder");
    fs::rename(&away, &objects).expect("objects move back");
    let outcome = Outcome::of(scene.command().args(["--repo", &url]), &scene.json());
    assert_eq!(outcome.code, Some(0), "{}", outcome.said());
}

#[test]
fn two_graders_on_one_repository_give_the_same_grade() {
    let scene = Scene::new();
    let other = scene.path("other.json");
    let grades: Vec<Outcome> = std::thread::scope(|scope| {
        let run = |json: PathBuf| {
            let mut command = grader(scene.student.path());
            command
                .arg("--course")
                .arg(course())
                .args(["run", "--lab", LAB, "--check", "^requests$", "--json"])
                .arg(&json);
            Outcome::of(&mut command, &json)
        };
        let threads = [scene.json(), other.clone()].map(|json| scope.spawn(move || run(json)));
        threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
    });
    assert_eq!([grades[0].code, grades[1].code], [Some(0); 2], "{}{}", grades[0].said(), grades[1].said());
    assert_eq!(grades[0].grade["checks"], grades[1].grade["checks"]);
}

#[test]
fn being_asked_to_end_while_a_kernel_is_built_ends_the_builder_and_says_so() {
    let scene = Scene::new();
    let cargo = which("cargo");
    let path =
        scene.stand_in("cargo", &format!("case \"$*\" in build*) exec sleep 1000;; esac\nexec '{cargo}' \"$@\""));
    let child = Command::new(env!("CARGO_BIN_EXE_grader"))
        .current_dir(scene.student.path())
        .arg("--course")
        .arg(course())
        .args(["run", "--lab", LAB, "--check", "^requests$", "--json"])
        .arg(scene.json())
        .env("PATH", path)
        .env("GRADER_CACHE", scene.path("cache"))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("grader starts");
    let sources = scene.path("cache/builds/reference-submission-0/tree/Cargo.toml");
    let from = std::time::Instant::now();
    while !sources.exists() {
        assert!(from.elapsed() < std::time::Duration::from_secs(120), "no build begins");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let output = child.wait_with_output().expect("grader ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("interrupted while the kernel was built"), "{said}");
    assert!(said.contains("type again: grader run --lab"), "{said}");
    assert!(!scene.json().exists());
}
