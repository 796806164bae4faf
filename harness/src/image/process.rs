//! Runs a builder to its end, in a process group of its own, with bounds on time and on what is kept of its output.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// The longest line that is kept; of a longer one, nothing is.
const LINE: usize = 4 << 20;
/// How much of a stream's end is kept as a log.
const LOG: usize = 256 << 10;

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
}

/// Everything that a builder started, ended when this is dropped: after an error, at a deadline, on cancellation.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It fails where nothing is left, which is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a command; `on_line` gets every line of its standard output.
pub async fn run(
    mut command: Command,
    limit: Duration,
    mut on_line: impl FnMut(&[u8]) + Send,
) -> Result<Finished, RunError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(RunError::Spawn)?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let all = async {
        let mut errors = Vec::new();
        let read = async { tokio::try_join!(lines(stdout, &mut on_line), tail(stderr, &mut errors)) };
        // A process that outlives the builder may hold the pipes open: the builder's end is the end.
        let status = tokio::select! {
            biased;
            read = read => { read?; child.wait().await? }
            status = async { let status = child.wait().await; tokio::time::sleep(Duration::from_millis(500)).await; status } => status?,
        };
        io::Result::Ok(Finished { status, errors: String::from_utf8_lossy(&errors).into_owned() })
    };
    let finished = tokio::time::timeout(limit, all).await;
    drop(group);
    finished.map_err(|_| RunError::Overtime)?.map_err(RunError::Io)
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
