//! Holds a dialogue with a machine that runs: types, listens, and gives up when a command takes too long.

use std::io::{PipeWriter, Write as _};
use std::time::Duration;

use rustix::process::Pid;

use super::Stop;
use super::dialogue::{Dialogue, Exchange};
use super::patience::Patience;
use super::talk::Talk;

/// How much longer than its limit a command may take on a machine that gives it no processor, before the machine is
/// given up.
const LAST_RESORT: u32 = 20;

#[derive(Debug)]
pub(super) struct Conversation<'a> {
    about: &'a Dialogue,
    talk: Talk<'a>,
    /// The guest's keyboard.
    keys: PipeWriter,
    patience: Patience,
    /// When the last output came, in the guest's time.
    heard: Duration,
    /// What is waited for, and since when: in the guest's time, and in ours.
    awaited: (Option<usize>, Duration, Duration),
}

impl<'a> Conversation<'a> {
    pub fn new(about: &'a Dialogue, keys: PipeWriter) -> Self {
        Self {
            about,
            talk: Talk::new(about),
            keys,
            patience: Patience::default(),
            heard: Duration::ZERO,
            awaited: (None, Duration::ZERO, Duration::ZERO),
        }
    }

    /// Takes new output; the answer ends the boot.
    pub fn hear(&mut self, new: &[u8]) -> Option<Stop> {
        if !new.is_empty() {
            self.heard = self.patience.given();
            let keys = self.talk.hear(new);
            self.press(&keys);
        }
        self.talk.is_over().then_some(Stop::AllSaid)
    }

    /// Takes a look at the machine, `awake` after its start; the answer ends the boot.
    pub fn look(&mut self, awake: Duration, pid: Pid) -> Option<Stop> {
        self.patience.look(awake, pid);
        let given = self.patience.given();
        let keys = self.talk.idle(given.saturating_sub(self.heard));
        self.press(&keys);
        let running = self.talk.running();
        if running != self.awaited.0 {
            self.awaited = (running, given, awake);
        }
        let (_, since, since_awake) = self.awaited;
        let limit = running.and_then(|command| self.about.commands.get(command));
        let limit = Duration::from_nanos(limit.map_or(self.about.ready, |command| command.limit));
        if given.saturating_sub(since) >= limit {
            return Some(Stop::Overdue { command: running });
        }
        (awake.saturating_sub(since_awake) >= limit * LAST_RESORT).then(|| Stop::Broken {
            reason: format!(
                "QEMU was given processors for {:.0} s in {:.0} s; the machine is too busy",
                given.as_secs_f64(),
                awake.as_secs_f64()
            ),
        })
    }

    pub fn into_exchanges(self) -> Vec<Exchange> {
        self.talk.into_exchanges()
    }

    fn press(&mut self, keys: &[u8]) {
        // A machine that has ended needs none.
        let _ = self.keys.write_all(keys);
    }
}
