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

/// QEMU's version as it prints it, when it is recent enough.
///
/// # Errors
/// When it is missing, does not answer, or is too old.
pub async fn version(qemu: &Qemu) -> Result<String, QemuError> {
    let program = &qemu.program;
    let output = Command::new(program).arg("--version").kill_on_drop(true).output().await;
    let output = output.map_err(|cause| QemuError::Start { program: program.clone(), cause })?;
    let answer = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    let Some((text, found)) = number(&answer).and_then(|text| Some((text, text.parse::<Version>().ok()?))) else {
        return Err(QemuError::Unknown { program: program.clone(), answer });
    };
    if found < qemu.minimum {
        return Err(QemuError::TooOld { program: program.clone(), found, minimum: qemu.minimum });
    }
    Ok(text.to_owned())
}

/// The number in the line `QEMU emulator version 7.2.22 (Debian …)`.
pub fn number(line: &str) -> Option<&str> {
    line.split_once("version ")?.1.split_whitespace().next()
}
