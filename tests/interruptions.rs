//! What is left when grading is interrupted: nothing that runs, and no half-written report.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::student::{LAB, Student, course, reference, with_statement};

/// A run that hangs in QEMU until its deadline, a long one, started and not waited for.
fn hanging(student: &Student, out: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_grader"))
        .current_dir(student.path())
        .env("GRADER_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
        .arg("--course")
        .arg(course())
        .args(["run", "--lab", LAB, "--check", "^split$", "--out"])
        .arg(out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("grader starts")
}

/// The QEMUs that boot something on behalf of this process, by what their command lines name.
fn qemus_below(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let status = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let above = status.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if name.starts_with("qemu-system") && above.is_some_and(|above| above == parent || ancestor(above, parent)) {
            found.push(pid);
        }
    }
    found
}

fn ancestor(mut pid: u32, wanted: u32) -> bool {
    while pid > 1 {
        if pid == wanted {
            return true;
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        pid = status.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0);
    }
    false
}

/// Waits for something to become true, for as long as a loaded machine may need.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let from = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(from.elapsed() < Duration::from_secs(240), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_running(pid: u32) -> bool {
    // A process that is over and not yet waited for has no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Starts a run, waits for its QEMU, sends the signal, and answers with the exit code and what was said.
fn interrupted_by(signal: &str, out: &Path) -> (Option<i32>, String) {
    let student = Student::with(&with_statement("while pages == 64 { core::hint::spin_loop() }"));
    let child = hanging(&student, out);
    let qemus = eventually("QEMU started", || Some(qemus_below(child.id())).filter(|found| !found.is_empty()));
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    let output = child.wait_with_output().expect("grader ends");
    for pid in qemus {
        eventually("QEMU ended", || (!is_running(pid)).then_some(()));
    }
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn ctrl_c_ends_qemu_leaves_no_grade_and_exits_with_three() {
    let folder = TempDir::new().expect("a folder");
    let (code, said) = interrupted_by("-INT", folder.path());
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    assert!(!folder.path().join("grade.json").exists(), "half a run must not look whole");
}

#[test]
fn qemu_does_not_outlive_a_grader_that_is_killed() {
    let folder = TempDir::new().expect("a folder");
    let (code, _) = interrupted_by("-KILL", folder.path());
    assert_eq!(code, None);
    assert!(!folder.path().join("grade.json").exists(), "half a run must not look whole");
}

#[test]
fn a_full_disk_is_our_fault_and_is_named() {
    let folder = TempDir::new().expect("a folder");
    let mount = |arguments: &[&str]| {
        Command::new("mount")
            .args(arguments)
            .arg(folder.path())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|done| done.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]) {
        eprintln!("skipped: mounting a small file system takes rights that this user does not have");
        return;
    }
    let student = Student::with(&reference());
    let outcome = student.run(&["--check", "^split$", "--out", folder.path().to_str().expect("UTF-8")]);
    let unmounted = Command::new("umount").arg(folder.path()).status();
    assert_eq!(outcome.code, Some(3), "{}", outcome.said());
    assert!(outcome.stderr.contains("No space left on device"), "{}", outcome.said());
    assert!(outcome.stderr.contains(folder.path().to_str().expect("UTF-8")), "{}", outcome.said());
    assert!(unmounted.is_ok_and(|done| done.success()));
}
