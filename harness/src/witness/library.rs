//! The plugin that QEMU loads: compiled from our own source the first time, kept in the cache, and tried.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::cache::{Cache, CacheError};
use crate::digest;

const SOURCE: &str = include_str!("plugin.c");
const INTERFACE: &str = include_str!("interface.h");

/// Makes it, whatever C compiler this machine has.
const COMPILER: &str = "cc";
const OPTIONS: [&str; 6] = ["-O2", "-fPIC", "-shared", "-std=gnu11", "-Wall", "-o"];

/// Why there is no witness on this machine. Nobody loses a point by that; reports say it.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// It cannot be compiled.
    #[error("the plugin cannot be compiled: {0}")]
    Compile(String),
    /// It cannot be kept.
    #[error("the plugin cannot be kept: {0}")]
    Keep(#[from] CacheError),
    /// QEMU cannot load it.
    #[error("{program} does not load the plugin: {why}")]
    Load {
        /// QEMU.
        program: String,
        /// What it says.
        why: String,
    },
    /// Somebody asked for that.
    #[error("GRADER_WITHOUT names it")]
    Unwanted,
    /// Nothing can be started.
    #[error("it cannot be tried: {0}")]
    Runtime(#[source] io::Error),
}

/// The plugin's file, when this QEMU can load it.
///
/// # Errors
/// When there is no witness on this machine.
pub async fn find(cache: &Cache, qemu: &str) -> Result<PathBuf, Unavailable> {
    if crate::confinement::is_unwanted("witness") {
        return Err(Unavailable::Unwanted);
    }
    let library = compiled(cache).await?;
    let failed = |why: String| Unavailable::Load { program: qemu.to_owned(), why };
    let plugin = format!("{},probe=1", option(&library));
    let mut probe = Command::new(qemu);
    probe.args(["-machine", "none", "-display", "none", "-nodefaults", "-monitor", "none", "-plugin", &plugin]);
    let output = probe.stdin(std::process::Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|cause| failed(cause.to_string()))?;
    if output.stdout.starts_with(b"witness") && output.status.success() {
        return Ok(library);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(said.lines().next().unwrap_or("it says nothing").to_owned()))
}

/// As [`find`], for whoever has no runtime.
///
/// # Errors
/// As there.
pub fn find_blocking(cache: &Cache, qemu: &str) -> Result<PathBuf, Unavailable> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Unavailable::Runtime)?.block_on(find(cache, qemu))
}

/// A path as a part of an option of QEMU's.
pub fn option(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

async fn compiled(cache: &Cache) -> Result<PathBuf, Unavailable> {
    let folder = cache.folder("witness")?;
    let name = digest::of_bytes(format!("{INTERFACE}\n{SOURCE}\n{COMPILER} {}", OPTIONS.join(" ")).as_bytes());
    let library = folder.join(format!("{}.so", &name[..16]));
    if library.exists() {
        return Ok(library);
    }
    let failed = |cause: io::Error| Unavailable::Compile(cause.to_string());
    // In a folder of its own, so that nobody sees it half written.
    let scratch = tempfile::tempdir_in(&folder).map_err(failed)?;
    let (source, made) = (scratch.path().join("plugin.c"), scratch.path().join("plugin.so"));
    fs::write(scratch.path().join("interface.h"), INTERFACE).map_err(failed)?;
    fs::write(&source, SOURCE).map_err(failed)?;
    let output = Command::new(COMPILER).args(OPTIONS).arg(&made).arg(&source).kill_on_drop(true).output().await;
    let output = output.map_err(|cause| Unavailable::Compile(format!("start {COMPILER}: {cause}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = said.lines().find(|line| line.contains("error")).unwrap_or("it gives no reason").to_owned();
        return Err(Unavailable::Compile(error));
    }
    fs::rename(&made, &library).map_err(failed)?;
    Ok(library)
}
