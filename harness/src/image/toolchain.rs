//! The toolchain that builds, since figures depend on it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::BuildError;
use super::process;
use crate::confinement;
use crate::kind;

/// What a compiler says of itself: `rustc -vV`, or `--version` of a C compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The compiler's program.
    pub compiler: String,
    /// All of what it says.
    pub verbose: String,
    /// As in `1.95.0`.
    pub release: String,
    /// The commit that it was built from; empty for compilers built by hand.
    pub commit: String,
}

/// How to get a toolchain.
pub const REMEDY: &str = "install rustup (https://rustup.rs), then type: rustup default stable";

/// The variables that a builder gets of ours: where its tools and caches are. Everything else could change what is
/// built.
const KEPT: [&str; 6] = ["PATH", "HOME", "TMPDIR", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// Those that say how a network is reached, for what fetches.
pub(super) const NETWORK: [&str; 12] = [
    "RUSTUP_DIST_SERVER",
    "RUSTUP_AUTO_INSTALL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// A command that sees only the environment of [`KEPT`] and [`NETWORK`].
pub(super) fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear();
    command.envs(KEPT.iter().chain(&NETWORK).filter_map(|name| Some((name, env::var_os(name)?))));
    command.env("LC_ALL", "C.UTF-8").env("CARGO_TERM_COLOR", "never").env("CARGO_TERM_PROGRESS_WHEN", "never");
    command
}

impl Toolchain {
    /// The toolchain of a kind: the first of its C compilers that is there, with the Rust toolchain where the kind has
    /// a target; or that alone. It builds in a folder that may name one in `rust-toolchain.toml`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn of(build: &kind::Build, folder: &Path) -> Result<Self, BuildError> {
        let mut missing = None;
        for compiler in &build.compilers {
            match say(compiler, &["--version"], folder).await {
                Ok(verbose) => {
                    let first = verbose.lines().next().unwrap_or_default();
                    let release = first.rsplit(' ').next().unwrap_or_default().to_owned();
                    let c = Self { compiler: compiler.clone(), release, commit: String::new(), verbose };
                    // A kind with a target builds with both.
                    let rust = if build.target.is_some() { Some(Self::of_rust(folder).await?) } else { None };
                    return Ok(match rust {
                        None => c,
                        Some(Self { commit, verbose, .. }) => Self { commit, verbose: c.verbose + &verbose, ..c },
                    });
                }
                Err(error) => missing = missing.or(Some(error)),
            }
        }
        match missing {
            Some(error) => Err(error),
            None => Self::of_rust(folder).await,
        }
    }

    async fn of_rust(folder: &Path) -> Result<Self, BuildError> {
        let verbose = rustc(folder, &["-vV"]).await?;
        let field = |name: &str| {
            let line = verbose.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.filter(|value| *value != "unknown").unwrap_or_default().to_owned()
        };
        Ok(Self { compiler: "rustc".to_owned(), release: field("release"), commit: field("commit-hash"), verbose })
    }
}

/// Where the toolchain lies.
pub(super) async fn sysroot(folder: &Path) -> Result<PathBuf, BuildError> {
    Ok(PathBuf::from(rustc(folder, &["--print", "sysroot"]).await?.trim()))
}

/// Whether the toolchain has a target's standard library.
pub(super) fn has_target(sysroot: &Path, target: &str) -> bool {
    sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
}

/// Where Cargo keeps the sources of dependencies.
pub(super) fn cargo_home() -> PathBuf {
    home_of("CARGO_HOME", ".cargo")
}

/// The user's settings of Cargo, whose flags go into every build; empty where there are none.
pub fn settings() -> String {
    ["config.toml", "config"].map(|name| std::fs::read_to_string(cargo_home().join(name)).unwrap_or_default()).concat()
}

/// Where rustup keeps toolchains.
pub(super) fn rustup_home() -> PathBuf {
    home_of("RUSTUP_HOME", ".rustup")
}

fn home_of(variable: &str, folder: &str) -> PathBuf {
    // Without HOME, the system knows it by the user, as Cargo and rustup do.
    let home = || env::home_dir().map(|home| home.join(folder));
    env::var_os(variable).map(PathBuf::from).or_else(home).unwrap_or_default()
}

async fn rustc(folder: &Path, arguments: &[&str]) -> Result<String, BuildError> {
    say("rustc", arguments, folder).await
}

/// What a program says of itself.
async fn say(program: &str, arguments: &[&str], folder: &Path) -> Result<String, BuildError> {
    const LIMIT: Duration = Duration::from_secs(60);
    let shown = || format!("{program} {}", arguments.join(" "));
    let mut command = command(program, folder);
    command.args(arguments);
    confinement::keep(&mut command);
    let mut text = String::new();
    let run = process::run(command, LIMIT, None, |line| {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    });
    let finished = run.await.map_err(|error| run_error(error, program, &shown(), LIMIT, folder))?;
    if finished.status.success() {
        return Ok(text);
    }
    Err(BuildError::Failed { command: shown(), status: finished.status.to_string(), log: finished.errors })
}

/// An error of a process as an error of a build.
pub(super) fn run_error(
    error: process::RunError,
    program: &str,
    command: &str,
    limit: Duration,
    folder: &Path,
) -> BuildError {
    match error {
        // Only what the system says itself is about the program; the rest is about confining it.
        process::RunError::Spawn(cause) if cause.raw_os_error().is_none() => {
            BuildError::Start { program: program.to_owned(), cause }
        }
        process::RunError::Spawn(cause) => {
            let remedy = match program {
                "cargo" | "rustc" => REMEDY.to_owned(),
                program if program.starts_with("riscv64-") => {
                    "install a C compiler for RISC-V: apt-get install gcc-riscv64-unknown-elf".to_owned()
                }
                program => format!("is it installed, and on the PATH? (`apt-get install {program}`)"),
            };
            BuildError::ToolMissing { program: program.to_owned(), remedy, cause }
        }
        process::RunError::Io(cause) => BuildError::io(folder, cause),
        process::RunError::Overtime => BuildError::Overtime { command: command.to_owned(), limit: limit.as_secs() },
        process::RunError::TooMuch(what) => BuildError::TooMuch { command: command.to_owned(), what },
    }
}
