//! A lab: what is asked, taken, built, booted, checked, and worth how much.
//!
//! `labs/<id>/lab.yaml` and the files beside it, read once ([`read::read`]) and never changed.

mod check;
pub mod console;
pub mod mutant;
pub mod read;
mod session;
pub mod solution;
pub mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use abi::boot::{ArenaRegion, PageSource};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source_policy;

/// Gives a string type a name of its own, since a session's id is no check's id.
macro_rules! id {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

id! {
    /// The name of a lab, of its folder, and of its branch in a student's repository.
    LabId
    /// The name of a kernel kind and of its folder under `labs/kernels/`.
    KindId
    /// The name of a session within its lab.
    SessionId
    /// The name of a check within its lab.
    CheckId
}

/// One lab, as its author wrote it and as the reader found it sound.
#[derive(Debug, Clone)]
pub struct Lab {
    /// Its name.
    pub id: LabId,
    /// What students call it.
    pub title: String,
    /// The points of all checks together, in the kernel kind in which they are worth most.
    pub points: u32,
    /// The points that the files students start from must stay below.
    pub starter_below: u32,
    /// The folder that `lab.yaml` lies in.
    pub folder: PathBuf,
    /// SHA-256, in hex, of `lab.yaml`: the version that the seed and the grade name.
    pub version: String,
    /// A file whose content is mixed into the seed, relative to the folder; students do not have it.
    pub seed_key: Option<PathBuf>,
    /// The kernel kinds that the lab can be solved in.
    pub kernels: BTreeMap<KindId, LabKernel>,
    /// The boots, in the order of the file.
    pub sessions: Vec<Session>,
    /// The graded items, in the order of the file.
    pub checks: Vec<Check>,
}

impl Lab {
    /// The points of all checks together that are for kernels of a kind.
    pub fn points_in(&self, kind: &KindId) -> u32 {
        points_in(&self.checks, kind).sum()
    }

    /// Whether points hang on how often locks are taken.
    pub fn counts_locks(&self) -> bool {
        let counted = |metric: &str| metric.split('.').any(|part| part == "locks");
        self.checks.iter().any(|check| matches!(&check.judge, Judge::Metric { metric, .. } if counted(metric)))
    }
}

/// What the checks that are for kernels of a kind are worth.
fn points_in(checks: &[Check], kind: &KindId) -> impl Iterator<Item = u32> {
    checks.iter().filter(|check| check.kernels.includes(kind)).map(|check| check.points)
}

/// The YAML files of a folder, in order of name; none where there is no folder.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    paths.sort();
    paths
}

/// What a lab takes and builds of one kernel kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabKernel {
    /// The files that are the submission's, relative to the kernel's root; all else is the course's.
    pub files: Vec<PathBuf>,
    /// Cargo features of the kernel that the lab needs.
    pub features: Vec<String>,
    /// Rules of the [source policy](crate::source_policy) that are not kept here.
    pub allowed: BTreeSet<source_policy::Rule>,
}

/// How time passes in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// One guest instruction a nanosecond; harts take turns; the same every time.
    Virtual,
    /// One host thread a hart; real races; nothing that is scored may depend on it.
    Parallel,
}

/// When a session is over at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "clock", content = "nanoseconds")]
pub enum Deadline {
    /// In the guest's own time, which a slow machine cannot use up.
    Guest(u64),
    /// In wall time.
    Wall(u64),
}

/// The kernel kinds that a session or check is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kernels(pub Option<Vec<KindId>>);

impl Kernels {
    /// Whether it is for that kind: all are, where none is named.
    pub fn includes(&self, kind: &KindId) -> bool {
        self.0.as_ref().is_none_or(|kinds| kinds.contains(kind))
    }

    /// For the kinds of either.
    fn or(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(one, other)| [one, other].concat()))
    }
}

/// A boot, or one boot a tick length where several are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// The kernel kinds that it is for.
    pub kernels: Kernels,
    /// The lines of the script; a `--seed` is added to each that draws from one. Empty where commands are typed.
    pub run: Vec<String>,
    /// The commands that are typed at the kernel's prompt. Empty where there is a script.
    pub console: Vec<console::Command>,
    /// Phrases on the disk that are drawn anew for each boot, so that only the programs there can print them.
    pub phrases: Vec<String>,
    /// Harts, 1 to 8.
    pub harts: u8,
    /// How time passes.
    pub clock: Clock,
    /// Lengths of the kernel's tick in nanoseconds of guest time, one boot each; the kernel's own where empty.
    pub ticks: Vec<u64>,
    /// When it is over at the latest.
    pub deadline: Deadline,
    /// Where the kernel's own pages come from.
    pub pages: PageSource,
    /// Where the kernel's own objects come from.
    pub heap: PageSource,
    /// The regions of the arena, if there is one.
    pub arena: Vec<ArenaRegion>,
    /// Memory of the machine in MiB.
    pub memory: u32,
    /// Bytes of serial output after which the session is ended.
    pub output_limit: u64,
    /// Files that go into the initrd beside the programs, by their paths there.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Session {
    /// The names of its boots: the session's own, or `name@7us` for each of several ticks.
    pub fn boots(&self) -> impl Iterator<Item = (SessionId, Option<u64>)> + '_ {
        let several = self.ticks.len() > 1;
        let none = self.ticks.is_empty().then_some((self.id.clone(), None));
        let some = self.ticks.iter().map(move |&tick| {
            let name = if several { format!("{}@{}", self.id, Nanoseconds(tick)) } else { self.id.0.clone() };
            (SessionId(name), Some(tick))
        });
        none.into_iter().chain(some)
    }
}

/// A length of time as lab files write it: `7us`, `10ms`, `5s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nanoseconds(pub u64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
        let (size, unit) = units.into_iter().find(|(size, _)| self.0.is_multiple_of(*size)).unwrap_or((1, "ns"));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// One graded item.
#[derive(Debug, Clone)]
pub struct Check {
    /// Its name.
    pub id: CheckId,
    /// The kernel kinds that it is for: those of its sessions.
    pub kernels: Kernels,
    /// One sentence on what must hold, for the student.
    pub title: String,
    /// The sessions whose transcripts it reads; all of their boots must hold.
    pub sessions: Vec<SessionId>,
    /// How it is judged.
    pub judge: Judge,
    /// Checks that must pass for this one to count: for what proves little on its own.
    pub needs: Vec<CheckId>,
    /// What it rests on at the least.
    pub proof: Proof,
    /// Who may see what came of it.
    pub visibility: Visibility,
    /// What a pass must rest on, where the lab demands that.
    pub least_proof: Option<Proof>,
    /// What it is worth.
    pub points: u32,
}

/// Who may see that there is a check, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// Students, too.
    #[default]
    Visible,
    /// Staff alone.
    Hidden,
}

impl Visibility {
    /// Whether students may see it.
    pub fn is_visible(&self) -> bool {
        *self == Self::Visible
    }
}

/// What the verdict of a check rests on, from what is hardest to fake to what anybody can print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// As the next two, and whoever watched the machine from outside saw what was reported.
    Witnessed,
    /// A trace of operations drawn from a seed, judged on the host, or a figure of it.
    #[default]
    Trace,
    /// How programs and machine ended.
    Ending,
    /// Results that the guest's own checks reported.
    GuestChecks,
    /// Lines of the console that match a pattern, and nothing stronger.
    ConsolePattern,
}

impl Proof {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Witnessed, Self::Trace, Self::Ending, Self::GuestChecks, Self::ConsolePattern];

    /// Its name, as lab.yaml and the grade have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Witnessed => "witnessed",
            Self::Trace => "trace",
            Self::Ending => "ending",
            Self::GuestChecks => "guest-checks",
            Self::ConsolePattern => "console-pattern",
        }
    }

    /// What that is, in words that follow "rests on".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Witnessed => "what was seen from outside",
            Self::Trace => "a trace",
            Self::Ending => "how programs and machine ended",
            Self::GuestChecks => "the guest's own checks",
            Self::ConsolePattern => "a pattern on the console",
        }
    }

    /// How hard it is to fake; more is harder.
    pub const fn strength(self) -> u8 {
        match self {
            Self::ConsolePattern => 0,
            Self::GuestChecks | Self::Ending => 1,
            Self::Trace => 2,
            Self::Witnessed => 3,
        }
    }
}

/// How a check is judged.
#[derive(Debug, Clone)]
pub enum Judge {
    /// By the rules of an oracle, over the whole trace; the workload must be complete.
    Oracle(Rule),
    /// By a figure: `full` or better earns all points, `zero` or worse none, and between them the points follow the
    /// logarithm. Less is better, unless `full` is above `zero`.
    Metric {
        /// `<phase>.<statistic>`.
        metric: String,
        /// What earns everything.
        full: Bound,
        /// What earns nothing, of the same kind as `full`.
        zero: Bound,
        /// Rules that must hold in the same session for the figure to count: being wrong is often quick.
        given: Option<Rule>,
    },
    /// By the guest's own KTAP results whose names match; at least one must be there, and all must be `ok`.
    Ktap(Regex),
    /// By the end of the session's programs: all of them ran, none was killed, every status was zero, every page
    /// came back, and the machine was powered off in order.
    Ends,
    /// By patterns in the console text, which anybody can print.
    Console(console::Said),
}

/// What a figure is measured against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// That many times the reference's figure.
    Ratio(f64),
    /// The figure itself.
    Absolute(f64),
}

impl Bound {
    /// The number, whatever it is measured against.
    pub const fn number(self) -> f64 {
        let (Self::Ratio(number) | Self::Absolute(number)) = self;
        number
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(ratio) => write!(f, "{ratio}x"),
            Self::Absolute(number) => number.fmt(f),
        }
    }
}

/// What an oracle is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The oracle, as listed in [`crate::oracle::ORACLES`].
    pub oracle: String,
    /// One of its groups of rules.
    pub group: String,
}
