//! How the shell of a kernel is spoken to.

use std::collections::BTreeMap;

use crate::lab::values;
use crate::yaml::{Node, Problem, Reader};

/// How long a kernel may take to its first prompt unless its kind says, in nanoseconds.
const READY: u64 = 30_000_000_000;

/// What stands for the mark of a question.
pub const MARK: &str = "{mark}";

/// How the shell of a kernel is spoken to; what the parts are for is said in [`crate::session::dialogue`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// A regular expression that the end of the output matches when the shell waits for a command.
    pub prompt: String,
    /// What is typed between a command and a question.
    pub join: String,
    /// A question, with [`MARK`] in it.
    pub ask: String,
    /// What is printed for it.
    pub answer: String,
    /// How long the kernel may take to its first prompt, in nanoseconds.
    pub ready: u64,
    /// What is typed in place of other commands, in trees in which those are not known.
    pub instead: BTreeMap<String, String>,
}

pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Console> {
    let mut fields = reader.fields(node, "how a kernel's shell is spoken to")?;
    let prompt = fields.required(reader, "prompt", "a regular expression for the end of the output");
    let prompt = prompt.and_then(|node| Some(reader.pattern(node)?.as_str().to_owned()));
    let join =
        fields.optional("join").map_or(Some("\n".to_owned()), |node| reader.text(node, "a text").map(str::to_owned));
    let ask_node = fields.required(reader, "ask", "a command with `{mark}` in it");
    let ask =
        ask_node.and_then(|node| read_marked(node, reader, "a command with `{mark}` in it, as in `echo {mark}  end`"));
    let answer_node = fields.required(reader, "answer", "what `ask` prints, with `{mark}` in it");
    let answer = answer_node.and_then(|node| read_marked(node, reader, "what `ask` prints, as in `{mark} end`"));
    let ready = fields
        .optional("ready")
        .map_or(Some(READY), |node| reader.parsed(node, "a length of time, as in `30s`", values::nanoseconds));
    reader.finish(fields);
    let (ask, answer) = (ask?, answer?);
    if ask.contains(&answer) {
        let text = "`ask` contains `answer`: the echo of what is typed would be taken for the answer; `echo {mark}  end` has two blanks, of which one comes back";
        reader.note(answer_node?.at.clone(), Problem::Conflict(text.to_owned()));
        return None;
    }
    Some(Console { prompt: prompt?, join: join?, ask, answer, ready: ready?, instead: BTreeMap::new() })
}

fn read_marked(node: &Node, reader: &mut Reader<'_>, expected: &str) -> Option<String> {
    let text = reader.text(node, expected)?;
    let sound = text.matches(MARK).count() == 1 && !text.contains(['\n', '\r']);
    if sound { Some(text.to_owned()) } else { reader.wrong_value(node, expected) }
}
