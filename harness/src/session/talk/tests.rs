//! Recorded consoles, and those that students' branches could produce: each file of `consoles/` is a machine's part of
//! a conversation, with what must be typed when, and what belongs to each command in the end.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::super::dialogue::{Command, Dialogue};
use super::super::sections::{self, Section};
use super::super::{Boot, Stop, Transcript};
use super::Talk;
use crate::lab::{Clock, Deadline, SessionId};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Console {
    /// What the file is about.
    #[serde(rename = "about")]
    _about: String,
    commands: Vec<String>,
    talk: Vec<Step>,
    sections: Vec<Expected>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Step {
    /// The machine prints this.
    Out(String),
    /// This must have been typed by now.
    Types(String),
    /// Nothing more must have been typed by now.
    Waits(()),
    /// Nothing is heard for so many milliseconds.
    Quiet(u64),
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    command: String,
    ended: bool,
    lines: Vec<String>,
}

/// Nanoseconds that a command may take: 90 s.
const LIMIT: u64 = 90_000_000_000;

fn dialogue(commands: &[String]) -> Dialogue {
    let command = |typed: &String| Command { name: typed.clone(), typed: typed.clone(), limit: LIMIT };
    Dialogue {
        prompt: r"\$ $".to_owned(),
        join: "; ".to_owned(),
        ask: "echo {mark}  end".to_owned(),
        answer: "{mark} end".to_owned(),
        key: "k".to_owned(),
        ready: 1,
        commands: commands.iter().map(command).collect(),
        phrases: Vec::new(),
    }
}

/// The text with questions and answers in place of `<ask N>` and `<answer N>`.
fn fill(text: &str, dialogue: &Dialogue) -> String {
    (0..9).fold(text.to_owned(), |text, mark| {
        let text = text.replace(&format!("<ask {mark}>"), &dialogue.question(mark));
        text.replace(&format!("<answer {mark}>"), &dialogue.answer(mark))
    })
}

/// Plays the machine's part, in pieces of so many bytes, and answers what belongs to each command.
fn play(console: &Console, piece: usize, name: &str) -> Vec<Section> {
    let dialogue = dialogue(&console.commands);
    let mut talk = Talk::new(&dialogue);
    let mut serial = Vec::new();
    let mut typed = String::new();
    for step in &console.talk {
        let mut keys = Vec::new();
        match step {
            Step::Out(text) => {
                let text = fill(text, &dialogue);
                text.as_bytes().chunks(piece).for_each(|piece| keys.extend(talk.hear(piece)));
                serial.extend(text.into_bytes());
            }
            Step::Quiet(milliseconds) => keys = talk.idle(Duration::from_millis(*milliseconds)),
            Step::Types(text) => {
                assert_eq!(typed, format!("{}\n", fill(text, &dialogue)), "{name}, {piece} bytes at a time");
                typed.clear();
            }
            Step::Waits(()) => assert_eq!(typed, "", "{name}, {piece} bytes at a time"),
        }
        typed.push_str(&String::from_utf8(keys).expect("plain characters"));
    }
    assert_eq!(typed, "", "{name}, {piece} bytes at a time");
    let ended = console.sections.iter().filter(|section| section.ended).count();
    assert_eq!(talk.is_over(), ended == console.commands.len(), "{name}, {piece} bytes at a time");
    let boot = Boot {
        session: SessionId("s".into()),
        qemu: Vec::new(),
        kernel: PathBuf::new(),
        initrd: PathBuf::new(),
        disk: None,
        arguments: String::new(),
        harts: 1,
        memory: 128,
        clock: Clock::Parallel,
        deadline: Deadline::Wall(1),
        output_limit: 1 << 20,
        last_words: Vec::new(),
        dialogue: Some(dialogue.clone()),
        witness: None,
        sampled: false,
    };
    let exchanges = talk.into_exchanges();
    let (wall, processor) = (Duration::ZERO, Duration::ZERO);
    sections::of(&Transcript {
        boot,
        serial,
        exchanges,
        stop: Stop::AllSaid,
        seen: None,
        found: Vec::new(),
        glimpses: Vec::new(),
        wall,
        processor,
    })
}

#[test]
fn every_recorded_console_is_understood_however_it_is_cut_into_pieces() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/session/talk/consoles");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).expect("the folder").flatten().map(|f| f.path()).collect();
    files.sort();
    assert!(files.len() > 15, "{}", files.len());
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a file");
        let console: Console = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for piece in [usize::MAX, 7, 1] {
            let found = play(&console, piece, &name).into_iter().map(|section| Expected {
                command: section.command,
                ended: section.ended,
                lines: section.lines,
            });
            let dialogue = dialogue(&console.commands);
            let expected = console.sections.iter().map(|section| Expected {
                command: section.command.clone(),
                ended: section.ended,
                lines: section.lines.iter().map(|line| fill(line, &dialogue)).collect(),
            });
            let (found, expected): (Vec<_>, Vec<_>) = (found.collect(), expected.collect());
            assert_eq!(found, expected, "{name}, {piece} bytes at a time");
        }
    }
}

#[test]
fn marks_differ_from_boot_to_boot_and_from_question_to_question() {
    let one = dialogue(&[]);
    let other = Dialogue { key: "another".to_owned(), ..one.clone() };
    assert_ne!(one.answer(0), one.answer(1));
    assert_ne!(one.answer(0), other.answer(0));
    assert!(!one.question(0).contains(&one.answer(0)));
}

#[test]
fn a_command_is_asked_about_before_its_limit_is_over_however_short() {
    let mut about = dialogue(&["kalloctest".to_owned()]);
    about.commands[0].limit = Duration::from_secs(6).as_nanos() as u64;
    let mut talk = Talk::new(&about);
    assert!(!talk.hear(b"$ ").is_empty());
    // Neither answer nor prompt can be read.
    let said = format!("kalloctest; {}\ntest1 OK\nhaPHrt 1GB end>\nhart 1\n", about.question(0));
    assert!(talk.hear(said.as_bytes()).is_empty());
    assert!(talk.idle(Duration::from_millis(1900)).is_empty());
    assert_eq!(talk.idle(Duration::from_secs(2)), format!("{}\n", about.question(1)).into_bytes());
    assert!(talk.hear(about.answer(1).as_bytes()).is_empty());
    assert!(talk.is_over());
}
