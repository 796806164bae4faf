//! A thousand hostile submissions in a row, drawn from a seed: trees that are read as submissions, and transcripts that
//! are judged and reported. Nothing crashes, nothing outside of the scratch folder is read or changed, nothing is left
//! running. It takes minutes: `ci/hostile`.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use git2::{ObjectType, Oid, Repository};
use grader::digest;
use grader::submission::Pick;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::damaged::{Damage, damage, damaged};
use crate::hostile_trees::{commit_tree, tree};
use crate::submission::{SOLVED, find_with, solved};
use crate::{fake, git};

/// What lies outside, and must neither be found in anything that was taken nor be changed.
const SECRET: &str = "SECRET-OF-SOMEBODY-ELSE";

/// Trees, and transcripts.
const EACH: usize = 500;

/// The seed, unless `HOSTILE_SEED` names another.
const SEED: u64 = 2026;

fn runner() -> TestRunner {
    let seed = env::var("HOSTILE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn drawn<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    strategy.new_tree(runner).expect("a value").current()
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Program,
    Link,
    Folder,
    Submodule,
    Huge,
    Missing,
    Pipe,
    Repository,
}

/// An entry of a tree, in the root or in `src`.
#[derive(Debug, Clone)]
struct Entry {
    within: bool,
    name: Vec<u8>,
    kind: Kind,
    content: Vec<u8>,
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let names: Vec<&[u8]> = vec![
        b"answer.rs",
        b"answer.rs",
        b"answer.rs",
        b"src",
        b"src",
        b"ANSWER.RS",
        b"main.rs",
        b"Cargo.toml",
        b"build.rs",
        b".cargo",
        b".git",
        b".gitattributes",
        b".gitmodules",
        b"..",
        b".",
        b"a/b",
        b"../../up",
        b"/etc/passwd",
        b"-rf",
        b"new\nline",
        b"\x1b[2J",
        b"\xff\xfe",
        b"\xe2\x80\xae",
        b"con",
        b"git~1",
        b"target",
        b"%s%n",
        b"$(id)",
        b"`id`",
        b"::error::x",
        b"<b>",
        b"a\\b",
        b" ",
        b"very-long-name-very-long-name-very-long-name-very-long-name",
    ];
    let kinds = vec![
        Kind::File,
        Kind::File,
        Kind::File,
        Kind::Program,
        Kind::Link,
        Kind::Link,
        Kind::Folder,
        Kind::Submodule,
        Kind::Huge,
        Kind::Missing,
        Kind::Pipe,
        Kind::Repository,
    ];
    let contents = vec![
        SOLVED.as_bytes().to_vec(),
        Vec::new(),
        b"\0\xff\xfe".to_vec(),
        b"../outside/secret".to_vec(),
        b"../../outside/secret".to_vec(),
        b"/dev/zero".to_vec(),
        b"answer.rs".to_vec(),
        b"/proc/self/environ".to_vec(),
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".to_vec(),
        b"fn main() { include!(\"../outside/secret\") }".to_vec(),
    ];
    let entry =
        (any::<bool>(), prop::sample::select(names), prop::sample::select(kinds), prop::sample::select(contents));
    let entry = entry.prop_map(|(within, name, kind, content)| Entry { within, name: name.to_vec(), kind, content });
    prop::collection::vec(entry, 1..8)
}

/// The entries as a commit on the lab's branch, with names that no working tree could have.
fn as_commit(repository: &Repository, all: &[Entry]) {
    let nowhere = Oid::from_str("1234567890123456789012345678901234567890").unwrap();
    let object = |entry: &Entry| -> (&'static str, Oid) {
        let blob = |content: &[u8]| repository.blob(content).unwrap();
        match entry.kind {
            Kind::File | Kind::Pipe => ("100644", blob(&entry.content)),
            Kind::Program => ("100755", blob(&entry.content)),
            Kind::Link => ("120000", blob(&entry.content)),
            Kind::Submodule => ("160000", nowhere),
            Kind::Missing => ("100644", nowhere),
            Kind::Huge => ("100644", blob(&vec![b'x'; 3 << 20])),
            Kind::Folder | Kind::Repository => {
                ("40000", tree(repository, &[("100644", b"x.rs", blob(&entry.content))]))
            }
        }
    };
    let of = |within: bool| -> Vec<(&'static str, &[u8], Oid)> {
        let chosen = all.iter().filter(|entry| entry.within == within);
        chosen.map(|entry| (object(entry), entry)).map(|((mode, id), entry)| (mode, &entry.name[..], id)).collect()
    };
    let mut source = of(true);
    if source.iter().all(|(_, name, _)| *name != b"answer.rs") {
        source.push(("100644", b"answer.rs", repository.blob(SOLVED.as_bytes()).unwrap()));
    }
    let source = tree(repository, &source);
    let mut root = of(false);
    if root.iter().all(|(_, name, _)| *name != b"src") {
        root.push(("40000", b"src", source));
    }
    let root = tree(repository, &root);
    commit_tree(repository, root);
}

/// The entries as files of the working tree, as far as a file system can have them.
fn as_files(folder: &Path, all: &[Entry]) {
    for entry in all {
        let leads_out = entry.name.contains(&b'/') || [&b"."[..], b"..", b".git"].contains(&&entry.name[..]);
        if leads_out {
            continue;
        }
        let parent = if entry.within { folder.join("src") } else { folder.to_owned() };
        let path = parent.join(OsStr::from_bytes(&entry.name));
        // What is there already gives way, and what cannot be made is another tree.
        let _ = fs::remove_file(&path);
        let _ = match entry.kind {
            Kind::Link => symlink(OsStr::from_bytes(&entry.content), &path),
            Kind::Folder => fs::create_dir(&path),
            Kind::Huge => fs::File::create(&path).and_then(|file| file.set_len(1 << 32)),
            Kind::Pipe => {
                let mode = rustix::fs::Mode::from(0o644);
                let made = rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0);
                made.map_err(Into::into)
            }
            Kind::Repository | Kind::Submodule => fs::create_dir(&path).map(|()| drop(Repository::init(&path))),
            Kind::Missing => Ok(()),
            Kind::File | Kind::Program => fs::write(&path, &entry.content),
        };
    }
}

/// Every file of a folder, with what it is and what it says; what was made by a test is left out.
fn snapshot(folder: &Path, but: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path == but {
                continue;
            }
            let Ok(data) = fs::symlink_metadata(&path) else { continue };
            if data.is_dir() {
                folders.push(path.clone());
            }
            let content =
                if data.is_file() { digest::of_bytes(&fs::read(&path).unwrap_or_default()) } else { String::new() };
            let what = format!(
                "{:o} {} {} {content}",
                data.mode(),
                data.len(),
                if data.is_dir() { 0 } else { data.mtime_nsec() }
            );
            found.insert(path, what);
        }
    }
    found
}

/// Processes that have our mark in their environment, ourselves left out.
fn left_running(mark: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let own = std::process::id().to_string();
    let marked = processes.filter(|entry| {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        entry.file_name() != *own && String::from_utf8_lossy(&environment).contains(mark)
    });
    marked.map(|entry| fs::read_to_string(entry.path().join("comm")).unwrap_or_default()).collect()
}

#[test]
#[ignore = "takes minutes: ci/hostile"]
fn hostile_trees_are_read_or_refused_and_nothing_outside_is_touched() {
    let started = Instant::now();
    let mut runner = runner();
    let strategy = entries();
    let (fake, folder, repository) = solved();
    let outside = fake.path("outside");
    fake::write(&outside.join("secret"), SECRET);
    let before = snapshot(fake.folder.path(), &folder);
    let (mut taken, mut refused) = (0, 0);
    for number in 0..EACH {
        let entries = drawn(&mut runner, &strategy);
        let pick = if number % 2 == 0 {
            as_commit(&repository, &entries);
            Pick::Branch("answer".to_owned())
        } else {
            git::switch(&repository, "main");
            as_files(&folder, &entries);
            Pick::WorkTree
        };
        let found = find_with(&fake, &folder, None, pick);
        let said = match &found {
            Ok(submission) => {
                taken += usize::from(submission.files.is_ok());
                let content = submission.files.iter().flat_map(|files| files.values());
                let leaked = content.clone().any(|content| String::from_utf8_lossy(content).contains(SECRET));
                assert!(!leaked, "tree {number} took what lies outside: {entries:?}");
                format!("{:?} {:?}", submission.files, submission.in_vain)
            }
            Err(error) => {
                refused += 1;
                grader::runner::chain(error)
            }
        };
        assert!(!said.contains(SECRET), "tree {number} shows what lies outside: {entries:?}");
        if number % 2 == 1 {
            clear(&folder, &repository);
        }
    }
    let after = snapshot(fake.folder.path(), &folder);
    assert_eq!(before, after, "something outside of the repository was changed");
    assert!(taken > EACH / 10, "{taken} trees of {EACH} were taken");
    eprintln!("{EACH} trees in {:.1} s: {taken} taken, {refused} refused", started.elapsed().as_secs_f64());
}

/// Takes out of the working tree what a test put there.
fn clear(folder: &Path, repository: &Repository) {
    for entry in fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.file_name() != ".git") {
        let path = entry.path();
        let _ = if entry.file_type().unwrap().is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
    repository.checkout_head(Some(git2::build::CheckoutBuilder::new().force())).unwrap();
    assert!(
        repository.odb().unwrap().read(repository.head().unwrap().target().unwrap()).unwrap().kind()
            == ObjectType::Commit
    );
}

/// The serial lines of a run, damaged: what a kernel may have said that is out for harm.
#[test]
#[ignore = "takes minutes: ci/hostile"]
fn hostile_transcripts_are_judged_and_reported_and_nothing_outside_is_touched() {
    let started = Instant::now();
    let mut runner = runner();
    let grader = PathBuf::from(env!("CARGO_BIN_EXE_grader"));
    let run = PathBuf::from(env::var_os("HOSTILE_RUN").expect("HOSTILE_RUN names a run's folder; type ci/hostile"));
    let world = tempfile::tempdir().unwrap();
    let path = |name: &str| world.path().join(name);
    for folder in ["home", "scratch", "outside"] {
        fs::create_dir(path(folder)).unwrap();
    }
    fake::write(&path("outside/secret"), SECRET);
    let course = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let mark = format!("HOSTILE_MARK=of-{}", std::process::id());
    let before = [snapshot(world.path(), &path("scratch")), snapshot(&course.join("labs"), Path::new(""))];
    let injections = injections();
    let strategy = prop::collection::vec(damage(), 1..6);
    let mut codes: BTreeMap<i32, usize> = BTreeMap::new();
    for number in 0..EACH {
        let folder = path("scratch").join(number.to_string());
        copy(&run, &folder);
        let sessions = serials(&folder);
        for serial in &sessions {
            // Most of a run's sessions are as they were: a kernel does its harm somewhere.
            if drawn(&mut runner, &(0..3_usize)) > 0 && sessions.len() > 1 {
                continue;
            }
            let whole = fs::read(serial).unwrap();
            let damage = drawn(&mut runner, &strategy);
            let bytes = hostile(&mut runner, whole, &damage, &injections);
            rewrite(serial, &bytes);
        }
        let mut command = Command::new(&grader);
        command.arg("--course").arg(&course).arg("replay").arg(&folder);
        for format in ["json", "junit", "markdown", "gradescope"] {
            command.arg("--format").arg(format!("{format}={}", folder.join(format).display()));
        }
        command.arg("--format").arg("github").current_dir(path("scratch"));
        let (name, value) = mark.split_once('=').unwrap();
        command.env(name, value).env("HOME", path("home")).env("GRADER_CACHE", folder.join("cache"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let code = output.status.code().unwrap_or_else(|| panic!("run {number} crashed: {:?}\n{said}", output.status));
        assert!((0..=3).contains(&code), "run {number} ended with {code}:\n{said}");
        *codes.entry(code).or_default() += 1;
        assert!(!said.contains(SECRET), "run {number} shows what lies outside");
        if code < 2 {
            let grade = fs::read(folder.join("json")).unwrap();
            let grade = grader::report::json::parse(&grade, Path::new("grade")).unwrap();
            assert!(grade.points.earned <= grade.points.max, "run {number}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
    let after = [snapshot(world.path(), &path("scratch")), snapshot(&course.join("labs"), Path::new(""))];
    assert_eq!(before, after, "something outside of the scratch folder was changed");
    assert_eq!(left_running(&mark), [""; 0]);
    eprintln!("{EACH} transcripts in {:.1} s: by exit code {codes:?}", started.elapsed().as_secs_f64());
}

/// What submissions say to reports, and what fuzzers found.
fn injections() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = [
        "tests/injection",
        "harness/fuzz/corpus/reading",
        "harness/fuzz/corpus/record",
        "harness/fuzz/corpus/ktap",
        "harness/fuzz/corpus/framer",
    ];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).unwrap().flatten());
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Bytes of a serial line with something else in them, and damaged where that leaves anything of them.
fn hostile(runner: &mut TestRunner, whole: Vec<u8>, damage: &[Damage], injections: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = whole;
    let pieces = drawn(runner, &(0..3_usize));
    for _ in 0..pieces {
        let piece = &injections[drawn(runner, &(0..injections.len()))];
        let at = drawn(runner, &(0..=bytes.len()));
        bytes.splice(at..at, piece.iter().copied());
    }
    // Damage has a largest size that few transcripts keep within: it is done to a window of them.
    let from = drawn(runner, &(0..=bytes.len()));
    let until = bytes.len().min(from + 4096);
    let window = damaged(bytes[from..until].to_vec(), damage);
    bytes.splice(from..until, window);
    bytes
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let goal = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &goal);
        } else {
            fs::copy(entry.path(), goal).unwrap();
        }
    }
}

fn serials(run: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(run.join("sessions")).unwrap().flatten().map(|entry| entry.path());
    let mut serials: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|name| name == "serial")).collect();
    serials.sort();
    serials
}

/// A serial line in the place of another, vouched for as if it had come from a machine.
fn rewrite(serial: &Path, bytes: &[u8]) {
    fs::write(serial, bytes).unwrap();
    let path = serial.with_extension("json");
    let mut saved: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    saved["serial"]["bytes"] = bytes.len().into();
    saved["serial"]["sha256"] = digest::of_bytes(bytes).into();
    fs::write(&path, serde_json::to_vec(&saved).unwrap()).unwrap();
}
