//! What of the machine is there that grading needs, and the command that mends what is not.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::Cache;
use crate::confinement::{self, Confinement, Route, namespaces};
use crate::kind::{Kind, Version};
use crate::qemu;
use crate::witness::library::{self, Unavailable};

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked for.
    pub what: String,
    /// What was found.
    pub state: State,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is there; which one.
    There(String),
    /// It is not there, or not good enough, and nothing can be graded without it.
    Missing {
        /// What is wrong.
        why: String,
        /// What to type.
        remedy: String,
    },
    /// Grading works without it, with less protection or comfort.
    Wanting {
        /// What is wrong.
        why: String,
        /// What to type, or who can do something.
        remedy: String,
    },
}

impl Finding {
    /// Whether nothing can be graded as things are.
    pub fn is_fatal(&self) -> bool {
        matches!(self.state, State::Missing { .. })
    }
}

/// Free space that a kernel's build and a run's transcripts need with room to spare, in MiB.
const SPACE: u64 = 1024;

/// Looks for everything that grading labs of these kinds needs. Blocks for as long as a handful of programs take to
/// say their versions.
pub fn examine<'k>(kinds: impl IntoIterator<Item = &'k Kind>, cache: Result<&Cache, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |what: &str, state| {
        let finding = Finding { what: what.to_owned(), state };
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    };
    add("cargo", tool("cargo"));
    add("rustc", tool("rustc"));
    let mut sandbox = true;
    let mut programs = BTreeSet::new();
    for kind in kinds {
        programs.insert(kind.qemu.program.clone());
        sandbox &= qemu::has_sandbox(&kind.qemu.program);
        add(&kind.qemu.program, qemu(&kind.qemu.program, kind.qemu.minimum));
        if !kind.build.compilers.is_empty() {
            add("C compiler for RISC-V", c_compiler(&kind.build.compilers));
        }
        if let Some(target) = &kind.build.target {
            add(&format!("Rust target {target}"), rust_target(target));
        }
    }
    add("git", git());
    match cache {
        Ok(cache) => {
            add("cache folder", writable(cache.root()));
            add("free space", space(cache.root()));
            for program in programs {
                add(&format!("witness in {program}"), witness(&library::find_blocking(cache, &program)));
            }
        }
        Err(why) => {
            add(
                "cache folder",
                State::Missing { why, remedy: "export GRADER_CACHE=/a/folder/that/can/be/written".to_owned() },
            );
        }
    }
    let confinement = Confinement::of_machine(sandbox);
    add("user and network namespaces", namespaces(&confinement.namespaces));
    for (what, state) in protections(&confinement) {
        add(&what, state);
    }
    findings
}

/// How to get a Rust toolchain. Distributions' own are too old for the kernel; newer ones have rustup.
fn rust_command() -> &'static str {
    if apt_has("rustup") {
        "apt-get install -y rustup && rustup default stable"
    } else {
        "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    }
}

fn apt_has(package: &str) -> bool {
    let shown = Command::new("apt-cache").args(["show", package]).stderr(Stdio::null()).output();
    shown.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

/// A remedy as one types it: with `sudo` where it needs rights that one has not; apt's lines in words where there is
/// no apt.
fn remedy(command: &str) -> String {
    let Some(packages) = command.strip_prefix("apt-get install -y ") else { return command.to_owned() };
    if !Path::new("/usr/bin/apt-get").exists() {
        let (packages, then) = packages.split_once(" && ").unwrap_or((packages, ""));
        let then = if then.is_empty() { String::new() } else { format!(", then type: {then}") };
        return format!("install {packages} with your system's package manager{then}");
    }
    if rustix::process::geteuid().is_root() { command.to_owned() } else { format!("sudo {command}") }
}

fn missing(why: impl Into<String>, command: &str) -> State {
    State::Missing { why: why.into(), remedy: remedy(command) }
}

/// The first line that a program writes when it is asked for its version.
fn version_line(program: &str, argument: &str) -> Result<String, String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("`{program}` is not on the PATH"),
        _ => format!("`{program}` cannot be started: {error}"),
    })?;
    let first = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().trim().to_owned();
    if output.status.success() {
        Ok(first(&output.stdout))
    } else {
        Err(format!("`{program} {argument}` fails: {}", first(&output.stderr)))
    }
}

fn tool(program: &str) -> State {
    match version_line(program, "--version") {
        Ok(line) => State::There(line),
        // What is there and fails is rustup without a toolchain.
        Err(why) if why.contains("fails") => missing(why, "rustup default stable"),
        Err(why) => missing(why, rust_command()),
    }
}

fn git() -> State {
    match version_line("git", "--version") {
        Ok(line) => State::There(line),
        Err(why) => State::Wanting {
            why: format!("{why}; only submissions behind a URL need it"),
            remedy: remedy("apt-get install -y git"),
        },
    }
}

fn c_compiler(compilers: &[String]) -> State {
    let found = compilers.iter().find_map(|compiler| version_line(compiler, "--version").ok());
    found.map_or_else(
        || State::Wanting {
            why: format!("there is none of {}; only kernels in C need one", compilers.join(", ")),
            remedy: remedy("apt-get install -y gcc-riscv64-unknown-elf make"),
        },
        State::There,
    )
}

/// The package that has QEMU for RISC-V: newer Debian and Ubuntu split it off.
fn qemu_package() -> &'static str {
    if apt_has("qemu-system-riscv") {
        "apt-get install -y qemu-system-riscv"
    } else {
        "apt-get install -y qemu-system-misc"
    }
}

fn qemu(program: &str, minimum: Version) -> State {
    let line = match version_line(program, "--version") {
        Ok(line) => line,
        Err(why) => return missing(why, qemu_package()),
    };
    match qemu_version(&line) {
        Some(version) if version >= minimum => State::There(line),
        Some(version) => missing(format!("{program} is version {version}; {minimum} is needed"), qemu_package()),
        None => missing(format!("{program} says no version that can be read: {line}"), qemu_package()),
    }
}

/// The version in the line `QEMU emulator version 7.2.22 (Debian …)`.
pub fn qemu_version(line: &str) -> Option<Version> {
    qemu::number(line)?.parse().ok()
}

/// Whether boots can be watched from outside; without that, five cheats of the catalogue earn a point.
fn witness(found: &Result<PathBuf, Unavailable>) -> State {
    let error = match found {
        Ok(_) => return State::There("its plugin is compiled, and is loaded".to_owned()),
        Err(error) => error,
    };
    let remedy = match error {
        Unavailable::Compile(_) => remedy("apt-get install -y gcc libc6-dev"),
        Unavailable::Keep(_) => format!("export {}=/a/folder/that/can/be/written", crate::cache::VARIABLE),
        Unavailable::Load { .. } => {
            "install a QEMU that is built with plugins, as Debian's and Ubuntu's are".to_owned()
        }
        Unavailable::Unwanted => "unset GRADER_WITHOUT".to_owned(),
        Unavailable::Runtime(_) => "free some memory and files, and ask again".to_owned(),
    };
    State::Wanting { why: format!("{error}; nobody sees from outside what a guest reports of itself"), remedy }
}

fn rust_target(target: &str) -> State {
    let command = format!("rustup target add {target}");
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let folder = output.ok().filter(|output| output.status.success());
    let folder = folder.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    match folder {
        Some(folder) if folder.is_dir() => State::There("installed".to_owned()),
        Some(_) => missing("the toolchain lacks its standard library", &command),
        None => missing("`rustc` does not know it, or is not there", &command),
    }
}

fn writable(root: &Path) -> State {
    let tried = fs::create_dir_all(root).and_then(|()| tempfile::tempfile_in(root));
    match tried {
        Ok(_) => State::There(root.display().to_string()),
        Err(error) => State::Missing {
            why: format!("{} cannot be written: {error}", root.display()),
            remedy: format!("export {}=/a/folder/that/can/be/written", crate::cache::VARIABLE),
        },
    }
}

fn space(root: &Path) -> State {
    // Before the first run the folder itself is not there.
    let Some(folder) = root.ancestors().find(|folder| folder.exists()) else {
        return State::There("unknown".to_owned());
    };
    match rustix::fs::statvfs(folder) {
        Ok(data) => {
            let free = data.f_bavail.saturating_mul(data.f_frsize) >> 20;
            if free >= SPACE {
                State::There(format!("{free} MiB"))
            } else {
                State::Wanting {
                    why: format!("{free} MiB are free at {}; {SPACE} MiB are advisable", folder.display()),
                    remedy: format!("free some space, or set {} to a folder elsewhere", crate::cache::VARIABLE),
                }
            }
        }
        Err(error) => State::There(format!("unknown: {error}")),
    }
}

/// The protections that this machine has for builders and QEMU.
fn protections(confinement: &Confinement) -> impl Iterator<Item = (String, State)> {
    confinement.protections().into_iter().map(|status| {
        let what = format!("protection of {}", status.protection.name());
        let state = match status.state {
            confinement::State::InForce(how) => State::There(how),
            confinement::State::Missing { why, remedy } => State::Wanting { why, remedy },
        };
        (what, state)
    })
}

/// Namespaces are not needed where there are other means, and make those stronger.
fn namespaces(route: &Route) -> State {
    match route {
        Route::Privileged | Route::User => State::There("can be made".to_owned()),
        Route::None(why) => State::Wanting { why: why.clone(), remedy: namespaces::remedy().to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        let read = |line| qemu_version(line).unwrap();
        assert_eq!(read("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"), Version(7, 2));
        assert_eq!(read("QEMU emulator version 10.0.0"), Version(10, 0));
        assert_eq!(qemu_version("something else"), None);
    }

    #[test]
    fn a_missing_qemu_is_fatal_and_named_with_the_command_that_installs_it() {
        let State::Missing { why, remedy } = qemu("qemu-system-no-such-machine", Version(7, 2)) else {
            panic!("it is there");
        };
        assert!(why.contains("qemu-system-no-such-machine"), "{why}");
        assert!(remedy.contains("qemu-system-"), "{remedy}");
    }

    #[test]
    fn an_unknown_target_is_named_with_the_command_that_adds_it() {
        let State::Missing { remedy, .. } = rust_target("riscv99-unknown-none") else { panic!("it is there") };
        assert_eq!(remedy, "rustup target add riscv99-unknown-none");
    }

    #[test]
    fn a_witness_that_cannot_be_made_costs_no_grade_and_is_named_with_what_to_type() {
        let without = |error: Unavailable| match witness(&Err(error)) {
            State::Wanting { why, remedy } => (why, remedy),
            other => panic!("{other:?}"),
        };
        let (why, remedy) = without(Unavailable::Compile("start cc: No such file or directory".to_owned()));
        assert!(why.contains("start cc") && remedy.contains("gcc"), "{why} -> {remedy}");
        let load = Unavailable::Load { program: "qemu".to_owned(), why: "-plugin: invalid option".to_owned() };
        let (why, remedy) = without(load);
        assert!(why.contains("invalid option") && remedy.contains("plugins"), "{why} -> {remedy}");
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_fatal() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(writable(&folder.path().join("file/cache")), State::Missing { .. }));
        assert!(matches!(writable(&folder.path().join("cache")), State::There(_)));
    }
}
