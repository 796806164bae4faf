//! The output of a console session, cut into what belongs to each command.

use super::Transcript;
use super::dialogue::{Dialogue, Exchange};
use crate::serial::framer::{self, Kind};

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The command, as the lab calls it.
    pub command: String,
    /// What was typed.
    pub typed: String,
    /// Its lines, without the echo of what was typed, and without records.
    pub lines: Vec<String>,
    /// Phrases in them that only the command could have printed, and that somebody else did.
    pub forged: Vec<String>,
    /// Whether it ended.
    pub ended: bool,
}

impl Section {
    /// Its lines as one text.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// The sections of a transcript, in order; none where nothing was typed.
pub fn of(transcript: &Transcript) -> Vec<Section> {
    let Some(dialogue) = &transcript.boot.dialogue else { return Vec::new() };
    let cut = |exchange: &Exchange| cut(&transcript.serial, dialogue, exchange);
    transcript.exchanges.iter().filter_map(cut).collect()
}

fn cut(serial: &[u8], dialogue: &Dialogue, exchange: &Exchange) -> Option<Section> {
    let command = dialogue.commands.get(exchange.command)?;
    let offset = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(serial.len());
    let end = exchange.to.map_or(serial.len(), offset);
    let mut lines: Vec<String> = framer::lines(&serial[offset(exchange.from).min(end)..end])
        .into_iter()
        .filter(|line| line.kind == Kind::Text)
        .map(|line| line.text)
        .collect();
    let echo = dialogue.question(exchange.mark);
    if let Some(at) = lines.iter().position(|line| line.contains(&echo)) {
        lines.drain(..=at);
    }
    // Questions may have been asked in the middle of a line, which goes on behind the line end that was typed.
    let mut text = lines.join("\n");
    for &mark in &exchange.others {
        for said in [dialogue.question(mark), dialogue.answer(mark)] {
            text = text.replace(&format!("{said}\n"), "").replace(&said, "");
        }
    }
    text = text.replace(&dialogue.answer(exchange.mark), "");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // The prompt at which a question was asked is none of the command's lines.
    let prompt = regex::Regex::new(&dialogue.prompt).ok();
    let is_prompt =
        |line: &String| prompt.as_ref().is_some_and(|prompt| prompt.find(line).is_some_and(|at| at.start() == 0));
    if !exchange.others.is_empty() && lines.last().is_some_and(is_prompt) {
        lines.pop();
    }
    let forged = dialogue.phrases.iter().filter(|phrase| lines.iter().any(|line| phrase.is_forged(line)));
    let restore = |line: &String| dialogue.phrases.iter().fold(line.clone(), |line, phrase| phrase.restore(&line));
    Some(Section {
        forged: forged.map(|phrase| phrase.own.clone()).collect(),
        command: command.name.clone(),
        typed: command.typed.clone(),
        lines: lines.iter().map(restore).collect(),
        ended: exchange.to.is_some(),
    })
}
