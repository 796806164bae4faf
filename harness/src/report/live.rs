//! What a person sees while the runner works: a line a stage, and on a terminal a live one below.

use std::io::Write;
use std::time::Duration;

use console::Style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::safe;
use crate::event::{Event, Listener, Side};

/// Writes stages to standard error, so that standard output holds the report alone.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
    label: Style,
    note: Style,
    running: Vec<String>,
    booted: usize,
    planned: usize,
    boots: Duration,
    hides: bool,
}

impl Live {
    /// With a live line on a terminal, plain lines elsewhere.
    pub fn new(terminal: bool, colours: bool) -> Self {
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} {wide_msg}") {
            bar.set_style(style);
        }
        let style = || Style::new().force_styling(colours);
        Self {
            bar,
            label: style().cyan().bold(),
            note: style().yellow().bold(),
            running: Vec::new(),
            booted: 0,
            planned: 0,
            boots: Duration::ZERO,
            hides: false,
        }
    }

    /// Whether seed and sessions are kept back, since they would give hidden checks away.
    pub fn hides(&mut self, hides: bool) {
        self.hides = hides;
    }

    fn line(&self, style: &Style, label: &str, text: &str) {
        let line = format!("{} {}", style.apply_to(format!("{label:>12}")), safe::line(text));
        // A closed standard error must not end a grading run.
        self.bar.suspend(|| writeln!(std::io::stderr(), "{line}").ok());
    }

    fn show_running(&self) {
        self.bar.set_prefix("Booting");
        let running = if self.hides { String::new() } else { self.running.join(", ") };
        self.bar.set_message(format!("{}/{} {running}", self.booted, self.planned));
        self.bar.tick();
    }
}

impl Listener for Live {
    fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Started { lab, submission, kernel, seed } => {
                self.line(&self.label, "Lab", lab);
                self.line(&self.label, "Submission", submission);
                self.line(&self.label, "Kernel", kernel);
                if !self.hides {
                    self.line(&self.label, "Seed", seed);
                }
            }
            Event::Note(text) => self.line(&self.note, "Note", text),
            Event::BuildStarted(side) => {
                self.bar.set_prefix("Building");
                self.bar.set_message(subject(side));
                self.bar.tick();
            }
            Event::BuildFinished { side, cached, refused, took } => {
                let text = match (refused, cached) {
                    (true, _) => format!("{} in {:.1} s", subject(side), took.as_secs_f64()),
                    (_, true) => format!("{}: nothing changed since it was built", subject(side)),
                    _ => format!("{} in {:.1} s", subject(side), took.as_secs_f64()),
                };
                self.line(&self.label, if refused { "Not built" } else { "Built" }, &text);
            }
            Event::BootsPlanned(count) => self.planned += count,
            Event::BootStarted(session) => {
                self.running.push(session.0.clone());
                self.show_running();
            }
            Event::BootFinished { session, took } => {
                self.running.retain(|id| *id != session.0);
                self.booted += 1;
                self.boots += took;
                self.show_running();
                if self.booted == self.planned {
                    let text = format!("{} sessions in {:.1} s of QEMU", self.booted, self.boots.as_secs_f64());
                    self.line(&self.label, "Booted", &text);
                    self.bar.finish_and_clear();
                }
            }
            Event::CheckJudged(_) => {}
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn subject(side: Side) -> &'static str {
    match side {
        Side::Submission => "the kernel with the submission's files",
        Side::Reference => "the reference kernel, to compare with",
    }
}
