//! From a lab and a seed to the boots that are due.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use abi::boot::{MAX_ARENA_REGIONS, Options};

use crate::kind::{self, Kind, Script};
use crate::lab::console::Command;
use crate::lab::{Bound, Check, Deadline, Judge, KindId, Lab, Session, SessionId};
use crate::seed::Seed;
use crate::session::{Boot, dialogue};
use crate::subject;
use crate::witness::memory;

/// A boot that is due.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its name.
    pub id: SessionId,
    /// The session that it is of.
    pub session: SessionId,
    /// The lines of its script, seeds included, or what is typed.
    pub script: Vec<String>,
    /// The commands that are typed.
    pub typed: Vec<Command>,
    /// Phrases on the disk, each with the one that is put in its place.
    pub phrases: Vec<dialogue::Phrase>,
    /// What marks are drawn from.
    key: String,
    /// The kernel's boot options.
    pub options: Options,
    /// Files that go into the initrd beside the programs.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What a machine is started with.
#[derive(Debug, Clone)]
pub struct BootFiles {
    /// The kernel's ELF file.
    pub kernel: PathBuf,
    /// The initrd, if there is one.
    pub initrd: Option<PathBuf>,
    /// The disk image, if there is one.
    pub disk: Option<PathBuf>,
}

/// The boots of a kernel kind's sessions that pass the filter, in the order of the lab.
pub fn boots(lab: &Lab, kind: &KindId, seed: Seed, wanted: impl Fn(&Session) -> bool) -> Vec<Planned> {
    let sessions = lab.sessions.iter().filter(|session| session.kernels.includes(kind) && wanted(session));
    sessions
        .flat_map(|session| {
            let typed = session.console.iter().map(|command| command.typed.clone());
            let script: Vec<String> = session.run.iter().map(|line| with_seed(line, seed)).chain(typed).collect();
            session.boots().map(move |(id, tick)| Planned {
                phrases: phrases(session, &format!("{seed} {id}")),
                key: format!("{seed} {id}"),
                id,
                typed: session.console.clone(),
                session: session.id.clone(),
                script: script.clone(),
                options: options(lab, session, tick),
                files: session.files.clone(),
            })
        })
        .collect()
}

/// Whether a check that is wanted compares a figure of this session with the reference's.
pub fn is_compared(lab: &Lab, wanted: &BTreeSet<&str>, session: &SessionId) -> bool {
    lab.checks.iter().any(|check| {
        matches!(check.judge, Judge::Metric { full: Bound::Ratio(_), .. })
            && wanted.contains(check.id.0.as_str())
            && check.sessions.contains(session)
    })
}

fn phrases(session: &Session, key: &str) -> Vec<dialogue::Phrase> {
    session.phrases.iter().map(|own| dialogue::Phrase::draw(own, key)).collect()
}

/// A script line, with the seed where its program draws from one.
fn with_seed(line: &str, seed: Seed) -> String {
    if subject::draws(line) { format!("{line} --seed {}", seed.0) } else { line.to_owned() }
}

fn options(lab: &Lab, session: &Session, tick: Option<u64>) -> Options {
    let mut arena = [None; MAX_ARENA_REGIONS];
    for (place, region) in arena.iter_mut().zip(&session.arena) {
        *place = Some(*region);
    }
    let deadline = match session.deadline {
        Deadline::Guest(nanoseconds) => Some(nanoseconds),
        Deadline::Wall(_) => None,
    };
    let readers = lab.checks.iter().filter(|check| check.sessions.contains(&session.id));
    let is_traced = |check: &Check| matches!(check.judge, Judge::Oracle(_) | Judge::Metric { .. });
    // What is held in the end is known from the trace.
    let untraced = !readers.into_iter().any(is_traced) && !memory::is_worth_reading(&session.run);
    let objects = session.run.iter().any(|line| subject::objects::are_driven_by(line));
    Options { pages: session.pages, heap: session.heap, arena, objects, untraced, tick, deadline }
}

impl Planned {
    /// The boot of this plan.
    pub fn boot(&self, lab: &Lab, kind: &Kind, files: &BootFiles) -> Option<Boot> {
        let session = lab.sessions.iter().find(|session| session.id == self.session)?;
        let mut qemu = vec![kind.qemu.program.clone()];
        let disk = files.disk.as_ref().map(|disk| disk.display().to_string());
        let value = |name: &str| (name == "disk").then(|| disk.clone()).flatten();
        qemu.extend(kind.qemu.arguments.iter().map(|argument| kind::fill(argument, value)));
        // Boot arguments are read by kernels that read scripts from an initrd.
        let arguments = if kind.script == Script::Initrd { self.options.to_string() } else { String::new() };
        Some(Boot {
            dialogue: self.dialogue(kind),
            session: self.id.clone(),
            qemu,
            kernel: files.kernel.clone(),
            initrd: files.initrd.clone().unwrap_or_default(),
            disk: files.disk.clone(),
            arguments,
            harts: session.harts,
            memory: session.memory,
            clock: session.clock,
            deadline: session.deadline,
            output_limit: session.output_limit,
            last_words: kind.last_words.clone(),
            witness: None,
            sampled: memory::is_worth_reading(&self.script),
        })
    }

    /// What is said over the console; nothing in sessions with a script.
    fn dialogue(&self, kind: &Kind) -> Option<dialogue::Dialogue> {
        let console = kind.console.as_ref().filter(|_| !self.typed.is_empty())?;
        let command = |command: &Command| dialogue::Command {
            name: command.typed.clone(),
            typed: console.instead.get(&command.typed).unwrap_or(&command.typed).clone(),
            limit: command.limit,
        };
        Some(dialogue::Dialogue {
            prompt: console.prompt.clone(),
            join: console.join.clone(),
            ask: console.ask.clone(),
            answer: console.answer.clone(),
            key: self.key.clone(),
            ready: console.ready,
            commands: self.typed.iter().map(command).collect(),
            phrases: self.phrases.clone(),
        })
    }
}
