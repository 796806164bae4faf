//! A small course: one kernel kind whose "kernel" is a program for the host, one lab, one file that the lab takes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use grader::base_tree::BaseTree;
use grader::cache::Cache;
use grader::course::Course;
use grader::kind::Kind;
use grader::lab::read::Judges;
use grader::lab::{KindId, Lab};
use grader::subject::SUBJECTS;
use tempfile::TempDir;

pub const JUDGES: Judges<'static> = Judges {
    oracles: &[("buddy", &[("sound", "Blocks never overlap"), ("all", "Every rule holds")])],
    subjects: &SUBJECTS,
};

pub const LAB: &str = r#"id: answer
title: The answer
points: 10
kernels:
  tiny:
    files: [src/answer.rs]
sessions:
  mixed: { run: "buddytest mixed --operations 60", arena: [4099+3], deadline: 2s guest }
  ticks: { run: ["hello", "buddytest exhaust"], pages: lab, harts: 4, tick: [7us, 10us] }
checks:
  - { id: sound, session: [mixed, ticks], oracle: buddy.sound, points: 4 }
  - { id: own,   session: ticks, ktap: "^own", points: 2 }
  - { id: ends,  session: ticks, ends: true, title: "All ends well", points: 1 }
  - { id: fast,  session: mixed, metric: mixed.mean, full: 1.25x, zero: 6x, points: 3 }
"#;

pub const KIND: &str = r#"id: tiny
title: A program for the host
source: tiny-kernel
recognise: [Cargo.toml, src/main.rs]
build:
  messages: cargo
  command:
    - cargo
    - build
    - --release
    - --locked
    - --offline
    - --features={features}
    - --config
    - "build.rustflags = ['--remap-path-prefix={tree}=.', '--remap-path-prefix={cargo-home}=cargo-home', '--remap-path-prefix={rust-source}=/rustc/{rust-commit}']"
  environment: { CARGO_TARGET_DIR: "{tree}/target", RUSTC_WRAPPER: "" }
  kernel: target/release/tiny
  programs: [target/release/hello]
qemu:
  program: qemu-system-riscv64
  arguments: [-machine, virt]
  minimum: "7.2"
"#;

const MANIFEST: &str = r#"[package]
name = "tiny"
version = "0.1.0"
edition = "2024"

[features]
loud = []

[workspace]

[profile.release]
debug = "line-tables-only"
"#;

const LOCK: &str = "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"0.1.0\"\n";

/// The course's files, by path.
pub fn files() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("labs/kernels/tiny/kernel.yaml", KIND),
        ("labs/answer/lab.yaml", LAB),
        ("labs/answer/handout/src/answer.rs", "pub fn answer() -> u32 {\n    todo!()\n}\n"),
        (
            "labs/answer/mutants/one-less.yaml",
            "title: One less\nfails: [sound]\nedits:\n  - { file: src/answer.rs, find: \"42\", replace: \"41\" }\n",
        ),
        ("tiny-kernel/Cargo.toml", MANIFEST),
        ("tiny-kernel/Cargo.lock", LOCK),
        (
            "tiny-kernel/src/main.rs",
            "mod answer;\nfn main() {\n    assert_eq!(answer::answer(), 42, \"the answer\");\n}\n",
        ),
        ("tiny-kernel/src/bin/hello.rs", "fn main() {\n    println!(\"hello\");\n}\n"),
        ("tiny-kernel/src/answer.rs", "pub fn answer() -> u32 {\n    42\n}\n"),
    ])
}

/// A course in a folder of its own, with a cache beside it.
pub struct Fake {
    pub folder: TempDir,
    pub course: Course,
    pub cache: Cache,
}

impl Fake {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("course");
        for (path, content) in files() {
            write(&root.join(path), content);
        }
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        let course = Course::find(Some(&root), folder.path(), &cache).unwrap();
        Self { folder, course, cache }
    }

    pub fn kind(&self) -> Kind {
        self.course.kinds().unwrap().remove(&KindId("tiny".to_owned())).unwrap()
    }

    pub fn lab(&self) -> Lab {
        self.course.lab("answer", JUDGES).unwrap()
    }

    pub fn base(&self) -> BaseTree {
        BaseTree::of_course(&self.course, &self.kind()).unwrap().unwrap()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

pub fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}
