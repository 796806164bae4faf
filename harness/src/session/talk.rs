//! Holds a [`Dialogue`]: decides what to type from what was heard, and for how long nothing was.
//!
//! It knows neither clock nor process, so that a recorded console drives it in tests as a machine does.

use std::time::Duration;

use regex::bytes::Regex;

use super::dialogue::{Dialogue, Exchange};
use crate::serial::framer::Framer;

/// Silence after which a kernel that shows no prompt is asked whether it is there. Doubles with every question.
const NO_PROMPT: Duration = Duration::from_secs(1);
/// As above, while a command runs: programs are silent for long, and a question's echo should meet none of their lines.
/// A command with a short limit is asked sooner, so that a mangled answer does not use the limit up.
const NO_ANSWER: Duration = Duration::from_secs(30);
/// The part of a command's limit after which it is asked at the latest.
const PART_OF_LIMIT: u32 = 3;
/// As above, where a prompt was shown since the command was typed, and another hart wrote over it.
const PROMPT_OVERWRITTEN: Duration = Duration::from_secs(1);
/// As above, where a prompt shows that the command has ended, so that its answer must have been mangled.
const PROMPT_WITHOUT_ANSWER: Duration = Duration::from_millis(300);
/// Silence after which a shell that has answered gets its command though no prompt was seen.
const ANSWERED: Duration = Duration::from_millis(200);
/// Questions that are asked at the most before a command, and while it runs: what is typed ahead must find room in the
/// kernel's buffer, which in xv6 has 128 bytes.
const QUESTIONS: u32 = 4;
/// Bytes of an unfinished line that are searched for a prompt.
const TAIL: usize = 256;

/// Where a dialogue is.
#[derive(Debug)]
pub(super) struct Talk<'a> {
    about: &'a Dialogue,
    prompt: Regex,
    framer: Framer,
    /// Bytes of output so far.
    heard: u64,
    /// The command that runs or is due.
    command: usize,
    state: State,
    exchanges: Vec<Exchange>,
    /// Questions whose answers have not come.
    open: Vec<Question>,
    /// Marks that were given away.
    marks: u32,
    /// Questions since the state last changed.
    asked: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The command is due, and is typed when the kernel waits for one.
    Due {
        /// Whether an answer showed that somebody reads what is typed.
        answered: bool,
        /// Whether it was typed already, and was lost.
        again: bool,
    },
    /// The command was typed.
    Typed {
        /// Whether its echo came.
        echoed: bool,
        /// Whether a prompt came after that, its own or one that a program prints.
        prompted: bool,
        /// Whether it was typed for the second time.
        again: bool,
    },
}

#[derive(Debug)]
struct Question {
    mark: u32,
    asks: Vec<u8>,
    answer: Vec<u8>,
    about: About,
}

/// What an answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// That somebody reads.
    Before,
    /// That the command has ended.
    Command,
    /// That whatever was typed before has ended.
    Later,
}

impl<'a> Talk<'a> {
    pub fn new(about: &'a Dialogue) -> Self {
        Self {
            about,
            // It was compiled when its kernel kind was read.
            prompt: Regex::new(&about.prompt).unwrap_or_else(|_| Regex::new("[^\\s\\S]").expect("matches nothing")),
            framer: Framer::new(),
            heard: 0,
            command: 0,
            state: State::Due { answered: false, again: false },
            exchanges: Vec::new(),
            open: Vec::new(),
            marks: 0,
            asked: 0,
        }
    }

    /// Takes new output, and answers what is to be typed; often nothing.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        for byte in bytes {
            self.heard += 1;
            self.framer.push(&[*byte], |_| {});
            self.notice();
        }
        match self.state {
            State::Due { .. } if !bytes.is_empty() && self.shows_prompt() => self.type_command(),
            _ => Vec::new(),
        }
    }

    /// Nothing was heard for so long; answers what is to be typed.
    pub fn idle(&mut self, silence: Duration) -> Vec<u8> {
        // A kernel that has not printed anything has not opened its console either.
        if self.heard == 0 || self.is_over() {
            return Vec::new();
        }
        let patience = match self.state {
            State::Due { answered: true, .. } if silence >= ANSWERED => return self.type_command(),
            State::Due { .. } => NO_PROMPT,
            State::Typed { .. } if self.shows_prompt() => PROMPT_WITHOUT_ANSWER,
            State::Typed { prompted: true, .. } => PROMPT_OVERWRITTEN,
            State::Typed { .. } => {
                let limit = self.about.commands.get(self.command).map_or(u64::MAX, |command| command.limit);
                NO_ANSWER.min(Duration::from_nanos(limit) / PART_OF_LIMIT)
            }
        };
        if self.asked >= QUESTIONS || silence < patience * (1 << self.asked) {
            return Vec::new();
        }
        self.asked += 1;
        let about = if matches!(self.state, State::Due { .. }) { About::Before } else { About::Later };
        let mark = self.open_question(about);
        if let (About::Later, Some(exchange)) = (about, self.exchanges.last_mut()) {
            exchange.others.push(mark);
        }
        format!("{}\n", self.about.question(mark)).into_bytes()
    }

    /// Whether every command has ended.
    pub fn is_over(&self) -> bool {
        self.command == self.about.commands.len()
    }

    /// The command that runs; none while the kernel is not ready for the one that is due.
    pub fn running(&self) -> Option<usize> {
        matches!(self.state, State::Typed { .. }).then_some(self.command)
    }

    /// What was typed, and where its output lies.
    pub fn into_exchanges(self) -> Vec<Exchange> {
        self.exchanges
    }

    fn shows_prompt(&self) -> bool {
        let tail = self.framer.pending();
        self.prompt.is_match(&tail[tail.len().saturating_sub(TAIL)..])
    }

    fn type_command(&mut self) -> Vec<u8> {
        let State::Due { again, .. } = self.state else { return Vec::new() };
        let Some(command) = self.about.commands.get(self.command) else { return Vec::new() };
        let others = self.open.iter().map(|question| question.mark).collect();
        let mark = self.open_question(About::Command);
        if again {
            self.exchanges.pop();
        }
        self.exchanges.push(Exchange { command: self.command, mark, others, from: self.heard, to: None });
        self.state = State::Typed { echoed: false, prompted: false, again };
        self.asked = 0;
        format!("{}{}{}\n", command.typed, self.about.join, self.about.question(mark)).into_bytes()
    }

    fn open_question(&mut self, about: About) -> u32 {
        let mark = self.marks;
        self.marks += 1;
        let (asks, answer) = (self.about.question(mark).into_bytes(), self.about.answer(mark).into_bytes());
        self.open.push(Question { mark, asks, answer, about });
        mark
    }

    /// Answers that come late tell nothing of the next command.
    fn outdate(&mut self) {
        self.open.iter_mut().for_each(|question| question.about = About::Before);
        self.asked = 0;
    }

    /// Looks whether the byte that came last completes an echo or an answer.
    fn notice(&mut self) {
        let shows_prompt =
            matches!(self.state, State::Typed { echoed: true, prompted: false, .. }) && self.shows_prompt();
        let line = self.framer.pending();
        if let State::Typed { echoed, prompted, .. } = &mut self.state {
            *prompted |= shows_prompt;
            *echoed |=
                self.open.iter().any(|question| question.about == About::Command && line.ends_with(&question.asks));
        }
        let Some(at) = self.open.iter().position(|question| line.ends_with(&question.answer)) else { return };
        let about = self.open.swap_remove(at).about;
        match (self.state, about) {
            (State::Due { again, .. }, _) => self.state = State::Due { answered: true, again },
            (State::Typed { .. }, About::Before) => {}
            // Neither the command's echo nor its answer came, and yet somebody reads: it was never read.
            (State::Typed { echoed: false, again: false, .. }, About::Later) => {
                self.outdate();
                self.state = State::Due { answered: true, again: true };
            }
            (State::Typed { .. }, About::Command | About::Later) => {
                if let Some(exchange) = self.exchanges.last_mut() {
                    exchange.to = Some(self.heard);
                }
                self.outdate();
                self.command += 1;
                self.state = State::Due { answered: true, again: false };
            }
        }
    }
}

#[cfg(test)]
mod tests;
