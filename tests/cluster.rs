//! The template for Slurm, with the variables that Slurm sets and a grader that says how it was called.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::student::course;

/// Runs a task of an array; the stand-in ends with this code.
fn task(id: &str, least: Option<&str>, count: &str, code: i32) -> Output {
    let folder = TempDir::new().expect("a folder");
    let grader = folder.path().join("grader");
    fs::write(&grader, format!("#!/bin/sh\necho \"$@\"\necho \"cache $GRADER_CACHE\"\nexit {code}\n"))
        .expect("a script");
    fs::set_permissions(&grader, fs::Permissions::from_mode(0o755)).expect("a program");
    let mut command = Command::new(course().join("ci/cluster/slurm.sh"));
    command.args(["class.yaml", "autumn", "lab6-2-buddy"]).env_clear();
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display())).env("TMPDIR", "/node");
    command.env("SLURM_ARRAY_TASK_ID", id).env("SLURM_ARRAY_TASK_COUNT", count).env("SLURM_CPUS_PER_TASK", "4");
    command.env("SLURM_ARRAY_JOB_ID", "77");
    if let Some(least) = least {
        command.env("SLURM_ARRAY_TASK_MIN", least);
    }
    command.output().expect("bash")
}

#[test]
fn every_task_of_an_array_grades_its_own_part_wherever_the_array_begins() {
    for (id, least, shard) in
        [("1", Some("1"), "1/16"), ("16", Some("1"), "16/16"), ("0", Some("0"), "1/16"), ("3", None, "3/16")]
    {
        let said = String::from_utf8(task(id, least, "16", 0).stdout).expect("UTF-8");
        let part = shard.split('/').next().expect("a part");
        let due = format!(
            "batch --roster class.yaml --lab lab6-2-buddy --shard {shard} --out autumn/part-{part} --resume --jobs 4\n\
             cache /node/grader-77-{part}\n"
        );
        assert_eq!(said, due, "task {id}");
    }
}

#[test]
fn lost_points_do_not_fail_a_task_and_a_fault_of_ours_does() {
    let codes = [0, 1, 2, 3].map(|code| task("1", Some("1"), "1", code).status.code());
    assert_eq!(codes, [Some(0), Some(0), Some(2), Some(3)]);
}
