//! Asks a running QEMU where its harts are, over its machine protocol (QMP) on a pair of sockets made before it
//! started.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as Pair;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// Looks at the harts, and the time of the host that the guest runs on between two of them.
const LOOKS: usize = 5;
const BETWEEN: Duration = Duration::from_millis(3);

/// Return addresses that are followed.
const DEPTH: usize = 12;

/// Time of the host that all of it may take: an explanation is no reason to keep a machine waiting.
const LIMIT: Duration = Duration::from_secs(3);

/// The harness's end of the pair.
#[derive(Debug)]
pub(super) struct Monitor {
    ours: Pair,
}

/// QEMU's end, which is to stay open in it.
#[derive(Debug)]
pub(super) struct Theirs(OwnedFd);

/// Where a hart was seen.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Glimpse {
    /// The hart.
    pub hart: u64,
    /// The next instruction.
    pub pc: u64,
    /// Return addresses, innermost first.
    pub callers: Vec<u64>,
}

impl Monitor {
    /// A pair.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn pair() -> io::Result<(Self, Theirs)> {
        let (ours, theirs) = Pair::pair()?;
        Ok((Self { ours }, Theirs(theirs.into())))
    }

    /// Stops the machine a few times and looks where its harts are. Nothing comes of it where QEMU does not answer.
    ///
    /// `is_code` says of an address whether it can be one that a function returns to.
    pub async fn glimpses(self, harts: u8, is_code: impl Fn(u64) -> bool) -> Vec<Vec<Glimpse>> {
        let mut looks = Vec::new();
        let looking = async {
            let mut speech = Speech::begin(self.ours).await?;
            for _ in 0..LOOKS {
                speech.command("stop").await?;
                let mut look = Vec::new();
                for hart in 0..harts {
                    look.extend(speech.glimpse(hart, &is_code).await?);
                }
                looks.push(look);
                speech.command("cont").await?;
                tokio::time::sleep(BETWEEN).await;
            }
            io::Result::Ok(())
        };
        // What was seen before it failed is as good.
        let _ = tokio::time::timeout(LIMIT, looking).await;
        looks
    }
}

impl Theirs {
    /// Its number, which QEMU is told.
    pub fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// The options that have QEMU listen there.
    pub fn options(&self) -> [String; 4] {
        let channel = format!("socket,id=monitor,fd={}", self.number());
        ["-chardev".into(), channel, "-mon".into(), "chardev=monitor,mode=control".into()]
    }
}

/// The conversation, line by line.
struct Speech {
    stream: BufReader<UnixStream>,
}

impl Speech {
    async fn begin(ours: Pair) -> io::Result<Self> {
        ours.set_nonblocking(true)?;
        let mut speech = Self { stream: BufReader::new(UnixStream::from_std(ours)?) };
        speech.line().await?; // its greeting
        speech.command("qmp_capabilities").await?;
        Ok(speech)
    }

    async fn line(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }

    async fn ask(&mut self, question: &Value) -> io::Result<Value> {
        self.stream.write_all(format!("{question}\n").as_bytes()).await?;
        loop {
            // Events come in between.
            let mut answer = self.line().await?;
            if let Some(said) = answer.get_mut("return") {
                return Ok(said.take());
            }
            if answer.get("error").is_some() {
                return Err(io::Error::other(answer.to_string()));
            }
        }
    }

    async fn command(&mut self, command: &str) -> io::Result<Value> {
        self.ask(&json!({ "execute": command })).await
    }

    async fn human(&mut self, line: &str, hart: u8) -> io::Result<String> {
        let arguments = json!({ "command-line": line, "cpu-index": hart });
        let said = self.ask(&json!({ "execute": "human-monitor-command", "arguments": arguments })).await?;
        Ok(said.as_str().unwrap_or_default().to_owned())
    }

    async fn glimpse(&mut self, hart: u8, is_code: &impl Fn(u64) -> bool) -> io::Result<Option<Glimpse>> {
        let registers = self.human("info registers", hart).await?;
        let register = |name: &str| register(&registers, name);
        let (Some(pc), Some(ra), Some(mut frame)) = (register("pc"), register("x1/ra"), register("x8/s0")) else {
            return Ok(None);
        };
        let mut callers = Vec::new();
        while callers.len() < DEPTH && frame >= 16 && frame.is_multiple_of(8) {
            let said = self.human(&format!("x/2gx {:#x}", frame - 16), hart).await?;
            let Some([lower, upper]) = words(&said) else { break };
            // A function that calls no other one need not keep its return address, and has the caller's frame there.
            let (caller, next) = match is_code(upper) {
                true => (upper, lower),
                false if callers.is_empty() && is_code(ra) => (ra, upper),
                false => break,
            };
            callers.push(caller);
            if next <= frame {
                break;
            }
            frame = next;
        }
        if callers.is_empty() && is_code(ra) {
            callers.push(ra);
        }
        Ok(Some(Glimpse { hart: hart.into(), pc, callers }))
    }
}

/// A register out of what QEMU prints of all: ` pc       0000000080000000`.
fn register(registers: &str, name: &str) -> Option<u64> {
    let mut words = registers.split_ascii_whitespace();
    words.find(|word| *word == name)?;
    u64::from_str_radix(words.next()?, 16).ok()
}

/// Two words of memory as QEMU prints them: `0000000080000000: 0x0000000000000001 0x0000000000000002`.
fn words(said: &str) -> Option<[u64; 2]> {
    let (_, values) = said.split_once(": ")?;
    let mut values = values.split_ascii_whitespace().map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    Some([values.next()??, values.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_and_words_are_read_as_qemu_prints_them() {
        let registers = " pc       0000000080001234\n mhartid  0000000000000000\n x0/zero  0000000000000000 x1/ra    00000000800001b6 x2/sp    0000000080020fa0\n x8/s0    0000000080020fe0 x9/s1    0000000000000001\n";
        assert_eq!(register(registers, "pc"), Some(0x8000_1234));
        assert_eq!(register(registers, "x1/ra"), Some(0x8000_01b6));
        assert_eq!(register(registers, "x8/s0"), Some(0x8002_0fe0));
        assert_eq!(register(registers, "x99"), None);
        assert_eq!(
            words("0000000080020fd0: 0x0000000080020ff0 0x00000000800001b6\r\n"),
            Some([0x8002_0ff0, 0x8000_01b6])
        );
        assert_eq!(words("Cannot access memory\n"), None);
    }
}
