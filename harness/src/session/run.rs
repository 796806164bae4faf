//! Runs one boot from start to end.

use std::future::Future;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt};
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::io::FdFlags;
use tokio::time::MissedTickBehavior;

use super::confine::confine;
use super::conversation::Conversation;
use super::last_words::LastWords;
use super::monitor::Monitor;
use super::process::{Exit, Streams, Supervised};
use super::serial_line::Tail;
use super::shared_memory::SharedMemory;
use super::watch::{self, Watch};
use super::{Boot, Stop, Transcript, command};
use crate::confinement::{self, Confinement};
use crate::lab::SessionId;
use crate::owner::Owner;
use crate::serial::reading::Reading;
use crate::symbols;
use crate::witness::{Station, memory};

/// How often new output is looked for, where nothing tells that there is some.
const POLL: Duration = Duration::from_millis(25);

/// Wall time between two looks beyond which somebody else had the processor.
const LATE: Duration = Duration::from_millis(40);

/// How many polls there are between two samples of QEMU's processor time.
const POLLS_PER_SAMPLE: u32 = 4;

/// The least that QEMU may write to a file, whatever the output limit: its messages go to files too.
const LEAST_FILE_SIZE: u64 = 1 << 20;

/// The most of QEMU's own messages that is kept, in bytes.
const MESSAGE_LIMIT: u64 = 16 << 10;

/// Where a boot is, as its caller is told while it runs.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// What came over the serial line since the last call; may be empty.
    pub new: &'a [u8],
    /// Bytes that came in all.
    pub bytes: u64,
    /// Wall time since the start.
    pub wall: Duration,
    /// Processor time that QEMU has used, as of the last sample.
    pub processor: Duration,
}

/// Why there is no transcript. None of this says anything of the submission; see [`crate::session::Stop`] for how a
/// kernel that does not come up ends.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The kernel kind names no program.
    #[error("boot session {session}: its kernel kind names no QEMU program")]
    NoProgram {
        /// The boot.
        session: SessionId,
    },
    /// QEMU is missing, is not executable, or the system has no room for another process.
    #[error("start {} for session {session}", program.display())]
    Spawn {
        /// The boot.
        session: SessionId,
        /// QEMU.
        program: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// QEMU ended with a message before the guest said anything.
    #[error("boot session {session}: {} ended with {status} and said: {message}", program.display())]
    Refused {
        /// The boot.
        session: SessionId,
        /// QEMU.
        program: PathBuf,
        /// Its exit status.
        status: ExitStatus,
        /// What it wrote to its standard error.
        message: String,
    },
    /// The buffer that the serial line goes to could not be made or read.
    #[error("read the serial line of session {session}")]
    Serial {
        /// The boot.
        session: SessionId,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// It was asked to end.
    #[error("boot session {session}: cancelled")]
    Cancelled {
        /// The boot.
        session: SessionId,
    },
}

impl BootError {
    /// Whose fault it is; never the submission's.
    pub const fn owner(&self) -> Owner {
        match self {
            Self::NoProgram { .. } | Self::Cancelled { .. } => Owner::Caller,
            Self::Spawn { .. } | Self::Refused { .. } | Self::Serial { .. } => Owner::Harness,
        }
    }

    /// What the person who reads the error can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Spawn { program, cause, .. } => Some(match cause.kind() {
                io::ErrorKind::NotFound => {
                    format!("{} is not installed, or not in PATH; `grader doctor` says what installs it", program.display())
                }
                io::ErrorKind::PermissionDenied => {
                    format!("{} is not executable for this user; `ls -l` shows its permissions", program.display())
                }
                _ => "the system has no memory or no process to spare; end other programs, or run fewer sessions at a time".into(),
            }),
            Self::Refused { message, .. } if message.to_lowercase().contains("cannot allocate memory") => {
                Some("the machine has too little memory for the session's `memory`; end other programs, or run fewer sessions at a time".into())
            }
            Self::Refused { .. } => {
                Some("compare the machine arguments in kernel.yaml with `qemu-system-riscv64 -help`; `grader doctor` says which versions are known to work".into())
            }
            Self::NoProgram { .. } => Some("give `qemu` in kernel.yaml a program".into()),
            Self::Serial { .. } | Self::Cancelled { .. } => None,
        }
    }
}

/// Boots an image and reads its serial line until the machine is off or must be ended.
///
/// QEMU is kept in by what the machine has for that, `confined`.
/// `on` is called with new output and at least every second. The boot is ended early, with
/// [`BootError::Cancelled`], when `cancel` completes. Nothing that was started is left when the future has
/// completed; when it is dropped, QEMU is killed at once and reaped soon after.
///
/// # Errors
/// Whatever keeps QEMU from running at all; each is the harness's fault. See [`BootError::help`].
pub async fn run(
    boot: &Boot,
    confined: &Confinement,
    mut on: impl FnMut(Progress<'_>),
    cancel: impl Future<Output = ()>,
) -> Result<Transcript, BootError> {
    let session = || boot.session.clone();
    let broken = |cause| BootError::Serial { session: session(), cause };
    let line = command::line(boot, confined.qemu_sandbox);
    let (program, arguments) = line.ok_or_else(|| BootError::NoProgram { session: session() })?;

    let limit = boot.output_limit.saturating_add(1);
    let serial = if boot.dialogue.is_some() { Tail::pipe(limit) } else { Tail::file("serial line", limit) };
    let (mut serial, stdout) = serial.map_err(broken)?;
    let (mut messages, stderr) = Tail::file("standard error", MESSAGE_LIMIT).map_err(broken)?;
    let (stdin, mut conversation) = match &boot.dialogue {
        None => (None, None),
        Some(dialogue) => {
            let (keyboard, keys) = io::pipe().map_err(broken)?;
            (Some(keyboard.into()), Some(Conversation::new(dialogue, keys)))
        }
    };
    let disk = boot.disk.as_ref().and_then(|disk| disk.metadata().ok()).map_or(0, |data| data.len());
    let file_size = serial.limit.max(LEAST_FILE_SIZE).max(disk);
    let streams = Streams { stdin, stdout, stderr, file_size };
    let (monitor, theirs) = Monitor::pair().map_err(broken)?;
    let mut command = Command::new(program);
    command.args(arguments).args(theirs.options());
    // Without such files nobody looks, and nothing else is different.
    let shared = boot.sampled.then(|| SharedMemory::new(boot.memory).ok()).flatten();
    command.args(shared.iter().flat_map(SharedMemory::options));
    // Before it is confined, since rules can only be made for files that are there.
    boot.witness.as_ref().map_or(Ok(()), Station::reset).map_err(broken)?;
    let spawn = |cause| BootError::Spawn { session: session(), program: program.into(), cause };
    confine(&mut command, boot, confined).map_err(|error| spawn(error.into()))?;

    let inherited = [Some(theirs.number()), shared.as_ref().map(SharedMemory::number)];
    // SAFETY: the closure makes system calls only.
    unsafe {
        command.pre_exec(move || inherited.into_iter().flatten().try_for_each(leave_open));
    }
    let started = Instant::now();
    let mut qemu = Supervised::start(command, streams).await.map_err(|cause| spawn(confinement::explain(cause)))?;
    drop(theirs);

    let mut cancel = pin!(cancel);
    let mut watch = Watch::new(boot);
    let mut last_words = LastWords::new(&boot.last_words);
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clock = Awake::new(started);
    let mut processor = Duration::ZERO;
    let mut polls = 0_u32;
    let mut verdict = None;
    let mut monitor = Some(monitor);
    let mut glimpses = Vec::new();
    let exit = loop {
        let ticked = tokio::select! {
            biased;
            exit = qemu.exit() => break exit,
            () = &mut cancel => {
                qemu.kill();
                // It is gone either way; how it ended is of no interest.
                let _ = qemu.exit().await;
                return Err(BootError::Cancelled { session: session() });
            }
            _ = ticks.tick(), if verdict.is_none() => true,
            () = serial.readable(), if verdict.is_none() => false,
        };
        clock.tick();
        polls += u32::from(ticked);
        let sampled = ticked && polls.is_multiple_of(POLLS_PER_SAMPLE);
        // A conversation takes samples of its own.
        let watched = sampled && conversation.is_none();
        let sample = qemu.pid().filter(|_| watched).and_then(|pid| watch::sample(pid, processor).ok());
        processor = sample.map_or(processor, |sample| sample.processor);
        let before = serial.bytes.len();
        serial.read().map_err(broken)?;
        let new = &serial.bytes[before..];
        if !new.is_empty() || (ticked && polls.is_multiple_of(10 * POLLS_PER_SAMPLE)) {
            on(Progress { new, bytes: serial.len(), wall: clock.wall, processor });
        }
        if serial.len() > boot.output_limit {
            verdict = Some(Stop::Flooded);
        } else if let Some(line) = last_words.find(&serial.bytes) {
            verdict = Some(Stop::GaveUp { line });
        } else if let Some(conversation) = &mut conversation {
            verdict = conversation.hear(&serial.bytes[before..]);
            if let (true, None, Some(pid)) = (sampled, &verdict, qemu.pid()) {
                verdict = conversation.look(clock.awake, pid);
            }
        } else if sampled {
            verdict = watch.look(clock.wall, clock.awake, serial.len(), sample);
        }
        if let Some(stop) = &verdict {
            if let (Stop::OutOfTime | Stop::Stalled | Stop::Overdue { .. }, Some(monitor)) = (stop, monitor.take()) {
                let code = symbols::code(&boot.kernel).unwrap_or_default();
                let is_code = |address| code.iter().any(|range| range.contains(&address));
                glimpses = monitor.glimpses(boot.harts, is_code).await;
            }
            qemu.kill();
        }
    };

    let exit = exit.map_err(broken)?;
    clock.tick();
    let before = serial.bytes.len();
    serial.read().map_err(broken)?;
    messages.read().map_err(broken)?;
    let processor = exit.processor.unwrap_or(processor);
    on(Progress { new: &serial.bytes[before..], bytes: serial.len(), wall: clock.wall, processor });

    let flooded = serial.len() > boot.output_limit;
    let message = String::from_utf8_lossy(&messages.bytes);
    if serial.bytes.is_empty()
        && let Some(message) = refusal(&exit, &message)
    {
        return Err(BootError::Refused { session: session(), program: program.into(), status: exit.status, message });
    }
    let stop = if flooded { Stop::Flooded } else { stop(&exit, &message, verdict) };
    serial.bytes.truncate(usize::try_from(boot.output_limit).unwrap_or(usize::MAX));
    let exchanges = conversation.map(Conversation::into_exchanges).unwrap_or_default();
    let seen = boot.witness.as_ref().and_then(Station::seen);
    let mut transcript = Transcript {
        boot: boot.clone(),
        serial: serial.bytes,
        exchanges,
        stop,
        seen,
        found: Vec::new(),
        glimpses,
        wall: clock.wall,
        processor,
    };
    if let Some(shared) = shared {
        // Which pages are worth reading only the trace tells, and the memory is gone when this returns.
        let reading = Reading::of(&transcript);
        // What cannot be read tells nothing of the guest.
        let found = memory::sample(&reading, &transcript.stop, |address| shared.word(address));
        transcript.found = found.unwrap_or_default();
    }
    Ok(transcript)
}

/// Leaves a file of the harness's open in a program that is about to start; between fork and exec.
fn leave_open(number: RawFd) -> io::Result<()> {
    // SAFETY: it was open before the fork, and nothing has closed it since.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?)
}

/// How a process that ended came to end, where `verdict` is what it was killed for.
fn stop(exit: &Exit, message: &str, verdict: Option<Stop>) -> Stop {
    const KILLED: i32 = rustix::process::Signal::KILL.as_raw();
    match (exit.status.code(), exit.status.signal(), verdict) {
        // It may have powered off just before it was to be killed.
        (_, Some(KILLED), Some(verdict)) => verdict,
        (Some(status), ..) => match refusal(exit, message) {
            None => Stop::PoweredOff { status },
            Some(message) => Stop::Broken { reason: format!("QEMU ended with status {status} and said: {message}") },
        },
        (None, signal, _) => Stop::Broken {
            reason: format!(
                "QEMU was killed by signal {}{}{}",
                signal.unwrap_or_default(),
                if signal == Some(KILLED) { ", perhaps because the machine ran out of memory" } else { "" },
                if message.trim().is_empty() { String::new() } else { format!("; it had said: {}", message.trim()) },
            ),
        },
    }
}

/// What QEMU said when it ended of itself, rather than for the guest.
///
/// Both can give status 1. QEMU's own comes with a message, and a message that is no mere warning with nothing else.
/// Asked by a signal to end, it says so and ends with 0, as if the guest had powered off.
fn refusal(exit: &Exit, message: &str) -> Option<String> {
    let is_warning = |line: &&str| line.contains(": warning: ") || line.contains(": info: ");
    let errors: Vec<&str> = message.lines().filter(|line| !line.trim().is_empty() && !is_warning(line)).collect();
    let own = match exit.status.code() {
        Some(1) => !errors.is_empty(),
        Some(0) => errors.iter().any(|line| line.contains("terminating on signal")),
        _ => false,
    };
    own.then(|| errors.join("; "))
}

/// Wall time, and the part of it in which the harness was given the processor.
#[derive(Debug)]
struct Awake {
    started: Instant,
    wall: Duration,
    awake: Duration,
}

impl Awake {
    fn new(started: Instant) -> Self {
        Self { started, wall: Duration::ZERO, awake: Duration::ZERO }
    }

    fn tick(&mut self) {
        let wall = self.started.elapsed();
        self.awake += (wall - self.wall).min(LATE);
        self.wall = wall;
    }
}
