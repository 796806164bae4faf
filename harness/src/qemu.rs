//! Which QEMU there is.

use std::io;

use tokio::process::Command;

use crate::kind::{Qemu, Version};

/// Why QEMU cannot be used. Never the submission's fault.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// It is not there, or cannot be started.
    #[error("start {program}: {cause}")]
    Start {
        /// The program.
        program: String,
        /// What the system says.
        cause: io::Error,
    },
    /// It does not say which version it is.
    #[error("learn the version of {program}, which answers {answer:?}")]
    Unknown {
        /// The program.
        program: String,
        /// What it said.
        answer: String,
    },
    /// It is too old for the kernels.
    #[error("use {program} {found}: the kernels need at least {minimum}")]
    TooOld {
        /// The program.
        program: String,
        /// Its version.
        found: Version,
        /// The least that will do.
        minimum: Version,
    },
}

/// The error with what helps.
pub fn with_help(error: &QemuError) -> String {
    format!("{error}; install it: apt-get install qemu-system-misc (`grader doctor` says more)")
}

/// What confines QEMU from within: it refuses itself to start programs and to change who it is or how it is scheduled.
pub const SANDBOX: [&str; 2] = ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"];

/// A QEMU that was asked about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its version as it prints it.
    pub version: String,
    /// Whether it knows [`SANDBOX`].
    pub sandbox: bool,
}

/// QEMU, when it is recent enough.
///
/// # Errors
/// When it is missing, does not answer, or is too old.
pub async fn find(qemu: &Qemu) -> Result<Found, QemuError> {
    let program = &qemu.program;
    let ask = async |arguments: &[&str]| {
        let output = Command::new(program).args(arguments).arg("--version").kill_on_drop(true).output().await;
        output.map_err(|cause| QemuError::Start { program: program.clone(), cause })
    };
    let mut sandbox = true;
    let mut output = ask(&SANDBOX).await?;
    if !output.status.success() {
        sandbox = false;
        output = ask(&[]).await?;
    }
    let answer = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    let Some((text, found)) = number(&answer).and_then(|text| Some((text, text.parse::<Version>().ok()?))) else {
        return Err(QemuError::Unknown { program: program.clone(), answer });
    };
    if found < qemu.minimum {
        return Err(QemuError::TooOld { program: program.clone(), found, minimum: qemu.minimum });
    }
    Ok(Found { version: text.to_owned(), sandbox })
}

/// Whether a QEMU knows [`SANDBOX`].
pub fn has_sandbox(program: &str) -> bool {
    let asked = std::process::Command::new(program).args(SANDBOX).arg("--version").output();
    asked.is_ok_and(|output| output.status.success())
}

/// The number in the line `QEMU emulator version 7.2.22 (Debian …)`.
pub fn number(line: &str) -> Option<&str> {
    line.split_once("version ")?.1.split_whitespace().next()
}
