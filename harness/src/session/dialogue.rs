//! What is said over the console in a boot: the commands that are typed, and how the end of each is known.
//!
//! A prompt is no proof that a command has ended: programs print dollar signs, and harts write into each other's lines.
//! So every command is followed, on the same line, by a question whose answer nobody can foresee: `kalloctest; echo
//! QXRB  end`. The terminal's echo has two blanks and the answer one, so that neither is taken for the other. What
//! comes between the echo and the answer is the command's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest;

/// What is said, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dialogue {
    /// A regular expression that the end of the output matches when the kernel waits for a command.
    pub prompt: String,
    /// What is typed between a command and a question.
    pub join: String,
    /// A question, with `{mark}` in it.
    pub ask: String,
    /// What is printed for it; no part of the question itself.
    pub answer: String,
    /// Where the marks of this boot are drawn from.
    pub key: String,
    /// How long the kernel may take to be ready for the first command, in nanoseconds.
    pub ready: u64,
    /// The commands.
    pub commands: Vec<Command>,
    /// Phrases that the programs on the disk have in the place of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phrases: Vec<Phrase>,
}

/// A phrase that a program prints in a boot, in the place of its own: who prints that does not run the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phrase {
    /// The program's own, as in `test1 OK`.
    pub own: String,
    /// The one that was drawn, of the same length.
    pub drawn: String,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// What the lab calls it.
    pub name: String,
    /// What is typed.
    pub typed: String,
    /// How long it may take, in nanoseconds.
    pub limit: u64,
}

/// A command that was typed, with where its output lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// The command, as an index of [`Dialogue::commands`].
    pub command: usize,
    /// The mark that was typed with it.
    pub mark: u32,
    /// Marks of questions that were asked besides, and whose echoes and answers may lie in the output.
    pub others: Vec<u32>,
    /// Bytes of output that had come when it was typed.
    pub from: u64,
    /// Bytes that had come when its end was known; none where it did not end.
    pub to: Option<u64>,
}

/// Letters that are rare in the output of kernels, one for each value of four bits.
const LETTERS: &[u8; 16] = b"BCDFGHJKLMNPQRST";
/// Letters of a mark.
const MARK: usize = 8;
/// Letters of phrases, none of which is a vowel, so that no phrase is by chance what somebody else would print.
const SPELLING: &[u8; 16] = b"bcdfghjklmnpqrst";

impl Phrase {
    /// Draws a phrase in the place of one, for the boot with this key.
    pub fn draw(own: &str, key: &str) -> Self {
        let mut digits = String::new();
        for part in 0..=(own.len() / 64) as u32 {
            let number = part.to_le_bytes();
            let parts = [(b"phrase".as_slice(), key.as_bytes()), (own.as_bytes(), number.as_slice())];
            digits.push_str(&digest::of_parts(parts));
        }
        let letter = |digit: char| char::from(SPELLING[digit.to_digit(16).unwrap_or(0) as usize]);
        // Words stay words: a program may have them printed as arguments of `echo`.
        let drawn = own.chars().zip(digits.chars()).map(|(own, digit)| if own == ' ' { ' ' } else { letter(digit) });
        Self { own: own.to_owned(), drawn: drawn.collect() }
    }

    /// What was printed, with the program's own phrase where the drawn one was, and one that nothing matches where
    /// somebody else printed the program's own.
    pub fn restore(&self, line: &str) -> String {
        let forged = self.own.chars().map(String::from).collect::<Vec<_>>().join("\u{b7}");
        line.replace(&self.own, &forged).replace(&self.drawn, &self.own)
    }

    /// Whether somebody else printed it.
    pub fn is_forged(&self, line: &str) -> bool {
        line.contains(&self.own)
    }
}

impl Dialogue {
    /// The question with that mark.
    pub fn question(&self, mark: u32) -> String {
        self.ask.replace("{mark}", &self.mark(mark))
    }

    /// Its answer.
    pub fn answer(&self, mark: u32) -> String {
        self.answer.replace("{mark}", &self.mark(mark))
    }

    fn mark(&self, number: u32) -> String {
        let digest = digest::of_parts([(b"mark".as_slice(), self.key.as_bytes()), (&number.to_le_bytes(), b"")]);
        let letter = |digit: char| char::from(LETTERS[digit.to_digit(16).unwrap_or(0) as usize]);
        digest.chars().take(MARK).map(letter).collect()
    }
}
