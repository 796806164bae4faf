//! Runs a builder to its end, with bounds on time, on what it uses, and on what is kept of its output.

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{ChildStderr, ChildStdout};

use crate::confinement::watch::{Allowance, TooMuch};
use crate::supervised::{Started, Supervised};

/// The longest line that is kept; of a longer one, nothing is.
const LINE: usize = 4 << 20;
/// How much of a stream's end is kept as a log.
const LOG: usize = 256 << 10;
/// How long processes that were ended may take for it: the system has much to tidy up after a builder.
const ENDING: Duration = Duration::from_secs(10);

/// How a process ended, and the end of what it wrote.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    /// The end of its standard error, lossily decoded.
    pub errors: String,
}

/// Why a process has no end of its own.
#[derive(Debug)]
pub enum RunError {
    Spawn(io::Error),
    Io(io::Error),
    Overtime,
    TooMuch(TooMuch),
}

/// Runs a command that something [keeps](crate::confinement::keep); `on_line` gets every line of its standard output.
///
/// Nothing that it started is left when this answers; when it is dropped, it is ended at once and gone soon after.
pub async fn run(
    mut command: Command,
    limit: Duration,
    allowance: Option<&Allowance>,
    mut on_line: impl FnMut(&[u8]) + Send,
) -> Result<Finished, RunError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Started { mut process, stdout, stderr } = Supervised::start(command).await.map_err(RunError::Spawn)?;
    let stdout = ChildStdout::from_std(stdout.expect("it is piped")).map_err(RunError::Io)?;
    let stderr = ChildStderr::from_std(stderr.expect("it is piped")).map_err(RunError::Io)?;
    let watched = watch(process.pid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned()), allowance);
    let mut errors = Vec::new();
    let ended = {
        let all = async { tokio::try_join!(lines(stdout, &mut on_line), tail(stderr, &mut errors), process.exit()) };
        tokio::select! {
            biased;
            ended = all => ended.map(|(.., status)| status).map_err(RunError::Io),
            excess = watched => Err(RunError::TooMuch(excess)),
            () = tokio::time::sleep(limit) => Err(RunError::Overtime),
        }
    };
    match ended {
        // Not whether somebody looked at the right moment, but what there is in the end.
        Ok(_) if let Some(excess) = allowance.and_then(Allowance::left) => Err(RunError::TooMuch(excess)),
        Ok(status) => Ok(Finished { status, errors: String::from_utf8_lossy(&errors).into_owned() }),
        Err(error) => {
            process.kill();
            // Its folder is taken away next, and nobody must be there to fill it again.
            let _ = tokio::time::timeout(ENDING, process.exit()).await;
            Err(error)
        }
    }
}

async fn watch(process: Option<u32>, allowance: Option<&Allowance>) -> TooMuch {
    match (process, allowance) {
        (Some(process), Some(allowance)) => allowance.watch(process).await,
        _ => std::future::pending().await,
    }
}
async fn lines(mut stream: impl AsyncRead + Unpin, on_line: &mut (impl FnMut(&[u8]) + Send)) -> io::Result<()> {
    let mut chunk = vec![0; 64 << 10];
    let mut line: Vec<u8> = Vec::new();
    let mut too_long = false;
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            break;
        }
        for piece in chunk[..count].split_inclusive(|&byte| byte == b'\n') {
            too_long |= line.len() + piece.len() > LINE;
            if !too_long {
                line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                if !too_long {
                    on_line(line.trim_ascii_end());
                }
                line.clear();
                too_long = false;
            }
        }
    }
    if !line.is_empty() && !too_long {
        on_line(&line);
    }
    Ok(())
}

async fn tail(mut stream: impl AsyncRead + Unpin, kept: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = vec![0; 16 << 10];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        kept.extend_from_slice(&chunk[..count]);
        if kept.len() > 2 * LOG {
            kept.drain(..kept.len() - LOG);
        }
    }
}
