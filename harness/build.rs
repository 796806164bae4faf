//! Lists the course's files (labs, kernel kinds, the reference kernel) for embedding, so that an installed `grader`
//! works on a machine that has nothing else of the course.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders of the repository that make a course.
const PARTS: [&str; 2] = ["labs", "reference-kernel"];

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    let root = manifest.parent().expect("the crate lies in a folder of the repository").to_owned();

    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=GRADER_SOURCES={}", sources(&manifest));
    let mut walked = BTreeSet::new();
    for part in PARTS {
        let path = root.join(part);
        if path.is_dir() {
            watch(&path);
            walk(&path, &mut walked);
        }
    }
    let files = match tracked(&root) {
        Some(tracked) => walked.intersection(&tracked).cloned().collect(),
        None => walked,
    };

    let mut code = String::from("&[\n");
    for path in files {
        let name = path.strip_prefix(&root).expect("walked below the root");
        let name = name.to_str().expect("the course's files have names in UTF-8");
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", path.to_str().expect("a root in UTF-8"))
            .expect("writing to a string cannot fail");
    }
    code.push(']');
    fs::write(out.join("course.rs"), code).expect("write to OUT_DIR");
}

/// A digest of the harness's own sources, so that a grade says with which harness it was made, and grades of another
/// one are not taken for this one's. FNV-1a with 64 bits (Fowler, Noll, Vo, 1991): nobody has a reason to forge it.
fn sources(manifest: &Path) -> String {
    let mut files = BTreeSet::new();
    walk(&manifest.join("src"), &mut files);
    files.extend(["Cargo.toml", "build.rs", "../Cargo.lock"].map(|name| manifest.join(name)));
    println!("cargo::rerun-if-changed={}", manifest.join("src").display());
    println!("cargo::rerun-if-changed={}", manifest.join("../Cargo.lock").display());
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for path in files {
        let name = path.strip_prefix(manifest).expect("walked below the crate").to_string_lossy().into_owned();
        let content = fs::read(&path).unwrap_or_default();
        for byte in name.bytes().chain([0]).chain(content).chain([0]) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    format!("{digest:016x}")
}

/// What Git tracks, so that an author's scratch files do not travel; `None` outside of the course's repository, as in
/// a source archive, where every file belongs.
fn tracked(root: &Path) -> Option<BTreeSet<PathBuf>> {
    let output = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z", "--"]).args(PARTS).output().ok()?;
    let list = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let files: BTreeSet<PathBuf> = list.split_terminator('\0').map(|name| root.join(name)).collect();
    files.iter().any(|file| file.ends_with("kernel.yaml")).then_some(files)
}

fn ignored(name: &str) -> bool {
    name == "target" || name == ".git" || name.ends_with('~') || name.ends_with(".swp")
}

fn walk(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).expect("read a folder of the course").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a file has a type"));
        if ignored(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if kind.is_dir() {
            walk(&path, files);
        } else if kind.is_file() {
            files.insert(path);
        }
    }
}

/// Asks Cargo to look at a folder: whole where it holds nothing that is ignored, else piece by piece, since Cargo
/// would take every build of the kernel for a change of the course.
fn watch(folder: &Path) -> bool {
    let entries: Vec<_> = fs::read_dir(folder).expect("read a folder of the course").flatten().collect();
    let clean = entries.iter().all(|entry| {
        !ignored(&entry.file_name().to_string_lossy())
            && (!entry.file_type().is_ok_and(|kind| kind.is_dir()) || is_clean(&entry.path()))
    });
    if clean {
        println!("cargo::rerun-if-changed={}", folder.display());
        return true;
    }
    for entry in entries {
        if ignored(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            watch(&entry.path());
        } else {
            println!("cargo::rerun-if-changed={}", entry.path().display());
        }
    }
    false
}

fn is_clean(folder: &Path) -> bool {
    fs::read_dir(folder).expect("read a folder of the course").flatten().all(|entry| {
        !ignored(&entry.file_name().to_string_lossy())
            && (!entry.file_type().is_ok_and(|kind| kind.is_dir()) || is_clean(&entry.path()))
    })
}
