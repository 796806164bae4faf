//! What a person sees while a class is graded: progress with an estimate and who is being graded on a terminal, a line
//! for each submission elsewhere.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use console::Style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::batch::{Done, Event, Stage, View};
use crate::report::safe;

/// Submissions that must be graded before anything is said of how long the others will take.
const ENOUGH: usize = 3;

/// Writes to standard error, so that standard output holds the report alone.
pub struct Live {
    terminal: bool,
    bars: MultiProgress,
    progress: ProgressBar,
    running: ProgressBar,
    good: Style,
    bad: Style,
    note: Style,
    stages: BTreeMap<usize, String>,
    all: usize,
    done: usize,
    /// Graded in this process and not known before: what an estimate goes by.
    graded: usize,
    cached: usize,
    from: Instant,
}

impl Live {
    /// With live lines on a terminal, plain ones elsewhere.
    pub fn new(terminal: bool, colours: bool) -> Self {
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let progress = bars.add(ProgressBar::new(0));
        let running = bars.add(ProgressBar::new(0));
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {pos}/{len} {wide_msg}") {
            progress.set_style(style.progress_chars("=> "));
        }
        if let Ok(style) = ProgressStyle::with_template("{prefix:>12} {wide_msg}") {
            running.set_style(style);
        }
        let style = || Style::new().force_styling(colours);
        Self {
            terminal,
            bars,
            progress,
            running,
            good: style().cyan().bold(),
            bad: style().red().bold(),
            note: style().yellow().bold(),
            stages: BTreeMap::new(),
            all: 0,
            done: 0,
            graded: 0,
            cached: 0,
            from: Instant::now(),
        }
    }

    fn line(&self, style: &Style, label: &str, text: &str) {
        let line = format!("{} {}", style.apply_to(format!("{label:>12}")), safe::line(text));
        // A closed standard error must not end a batch.
        self.bars.suspend(|| writeln!(std::io::stderr(), "{line}").ok());
    }

    fn show(&self) {
        self.progress.set_position(self.done as u64);
        self.progress.set_message(self.estimate().unwrap_or_default());
        let stages: Vec<&str> = self.stages.values().map(String::as_str).collect();
        self.running.set_message(stages.join(", "));
    }

    /// How long the rest will take, at the pace of this process so far.
    fn estimate(&self) -> Option<String> {
        if self.graded < ENOUGH {
            return None;
        }
        let fresh = self.graded as f64 / (self.graded + self.cached) as f64;
        let left = self.all.saturating_sub(self.done) as f64 * fresh;
        Some(format!("about {} left", round(self.from.elapsed().mul_f64(left / self.graded as f64))))
    }
}

/// A length of time as exact as an estimate can be.
fn round(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{} s", seconds.div_ceil(10) * 10),
        seconds @ 60..5400 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

impl View for Live {
    fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Begun { run, all, done, expected, workers } => {
                (self.all, self.done, self.from) = (all, done, Instant::now());
                self.progress.set_length(all as u64);
                self.progress.set_prefix("Grading");
                let mut text = format!("run {run}, {all} submissions, {workers} side by side");
                if done > 0 {
                    text.push_str(&format!("; {done} of them are done already"));
                }
                if expected > 0 {
                    let seconds = expected as f64 / 1000.0 / workers.max(1) as f64;
                    let time = round(Duration::from_secs_f64(seconds));
                    text.push_str(&format!("; at most about {time}, by earlier runs"));
                }
                self.line(&self.good, "Class", &text);
            }
            Event::Stage { item, student, lab, stage } => {
                let text = match stage {
                    Stage::Looking => format!("{student} (reads)"),
                    Stage::Building => format!("{student} (builds)"),
                    Stage::Booting(session) => format!("{student} ({session})"),
                    Stage::Again(reason) => {
                        self.line(&self.note, "Again", &format!("{student} in {lab}: {reason}"));
                        format!("{student} (again)")
                    }
                };
                self.stages.insert(item, text);
                self.show();
            }
            Event::Done { item, student, lab, done, .. } => {
                self.stages.remove(&item);
                self.done += 1;
                let count = format!("{}/{} {student} in {lab}", self.done, self.all);
                match done {
                    Done::Graded { cached: true, .. } => self.cached += 1,
                    Done::Graded { points, outcome, seconds, .. } => {
                        self.graded += 1;
                        if !self.terminal || *outcome != "passed" {
                            let text = format!("{count}: {points} points in {seconds:.1} s");
                            self.line(&self.good, "Graded", &text);
                        }
                    }
                    Done::Missing(reason) => self.line(&self.note, "Missing", &format!("{count}: {reason}")),
                    Done::Failed(reason) => self.line(&self.bad, "Our fault", &format!("{count}: {reason}")),
                }
                self.show();
            }
        }
    }

    fn tick(&mut self) {
        self.show();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.running.finish_and_clear();
        self.progress.finish_and_clear();
        if self.cached > 0 {
            self.line(&self.good, "Known", &format!("{} were graded before, and are the same", self.cached));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_of_the_time_before_anything_is_known_of_it() {
        let mut live = Live::new(false, false);
        live.event(&Event::Begun { run: 1, all: 100, done: 0, expected: 0, workers: 2 });
        assert_eq!(live.estimate(), None);
        // Those that were known before take no time, and say nothing of those that were not.
        (live.graded, live.cached, live.done) = (10, 10, 20);
        live.from = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        assert_eq!(live.estimate().as_deref(), Some("about 4 min left"));
    }
}
