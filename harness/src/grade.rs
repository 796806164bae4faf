//! The grade: verdicts, points and figures, what was graded, and with what; one JSON document.
//!
//! Everything but [`Grade::times`] is a function of the submission, the lab, the seed and the tools.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::confinement::policy::{Policy, Whose};
use crate::confinement::{Protection, State, Status};
use crate::image::Place;
use crate::lab::{Proof, Visibility};
use crate::oracle::finding::Finding;
use crate::oracle::metrics::Instructions;
use crate::subject::table::Table;

/// What [`Grade::schema`] says; the number goes up when a reader of the last one would misunderstand.
pub const SCHEMA: &str = "grader/grade/v1";

/// One submission's grade in one lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grade {
    /// [`SCHEMA`].
    pub schema: String,
    /// What was asked.
    pub lab: GradedLab,
    /// What was graded.
    pub submission: GradedSubmission,
    /// The seed of every workload, in hex; empty where students must not see it ([`crate::visible`]).
    pub seed: String,
    /// The command that grades the same submission with the same seed again.
    pub reproduce: String,
    /// With what it was graded.
    pub tools: Tools,
    /// What builders and QEMU were confined with; absent where none was started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub confinement: Option<Confined>,
    /// Whether boots were watched from outside; absent where none was started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub witness: Option<Watched>,
    /// Only a part of the lab was run (`--check`, `--session`); the points say nothing of the whole.
    pub partial: bool,
    /// The points of all checks that were run together.
    pub points: Score,
    /// What came of the build.
    pub build: Build,
    /// What came of each boot, in the order of the lab.
    pub sessions: Vec<GradedSession>,
    /// The verdicts, in the order of the lab.
    pub checks: Vec<GradedCheck>,
    /// Times of day and durations: all that differs between two runs of the same submission.
    pub times: Times,
}

impl Grade {
    /// What the whole grade comes to, for the exit code.
    pub fn outcome(&self) -> Outcome {
        let any = |wanted: fn(&Verdict) -> bool| self.checks.iter().any(|check| wanted(&check.verdict));
        if any(|verdict| matches!(verdict, Verdict::Error { .. })) {
            Outcome::Error
        } else if any(|verdict| matches!(verdict, Verdict::Fail { .. } | Verdict::Skipped { .. })) {
            Outcome::Failed
        } else {
            Outcome::Passed
        }
    }
}

/// The grade in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every check that was run passed.
    Passed,
    /// Some check failed.
    Failed,
    /// Some check could not be judged, through no fault of the submission.
    Error,
}

/// The lab of a grade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GradedLab {
    /// Its name.
    pub id: String,
    /// What students call it.
    pub title: String,
    /// SHA-256 of its `lab.yaml`, in hex.
    pub version: String,
    /// The kernel kind.
    pub kernel: String,
    /// Whether it has checks that students must not see; then they must not see the seed either.
    #[serde(skip_serializing_if = "is_false", default)]
    pub hides: bool,
}

/// The submission of a grade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GradedSubmission {
    /// In one phrase: `the working tree of lab6-2-buddy`, `commit 1234abc of branch …`, `the course's own reference`.
    pub what: String,
    /// The repository, as it was named or found; absent for the course's own solutions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branch, where it was found by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The commit, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When that commit was made (its committer's date), in seconds since 1970-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub committed: Option<i64>,
    /// The folder of the repository that is the kernel's root, where it is not the repository's own.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub root: String,
    /// SHA-256, in hex, of each file that was taken.
    pub files: BTreeMap<String, String>,
    /// Files that were changed in vain: they differ from the course's, and the lab does not take them.
    pub ignored: Vec<String>,
}

/// With what a submission was graded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tools {
    /// Version of the harness.
    pub grader: String,
    /// SHA-256 of the course's files that went into it.
    pub course: String,
    /// The compiler's version.
    pub compiler: String,
    /// QEMU's version.
    pub qemu: String,
    /// Where the files came from that are neither the submission's nor the course's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handout: Option<String>,
}

/// What the submission's code was confined with, while it was built and booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confined {
    /// Whether all of it had to be there, but for what was waived: the code was somebody else's.
    pub required: bool,
    /// Protections that were allowed to be missing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub waived: Vec<Protection>,
    /// Those in force, and by what.
    pub in_force: BTreeMap<Protection, String>,
    /// Those that were missing, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub missing: BTreeMap<Protection, String>,
}

impl Confined {
    /// What is said of these protections.
    pub fn of(policy: &Policy, protections: &[Status]) -> Self {
        let mut confined = Self {
            required: policy.whose == Whose::SomebodyElses,
            waived: policy.waived.clone(),
            in_force: BTreeMap::new(),
            missing: BTreeMap::new(),
        };
        for Status { protection, state } in protections {
            match state {
                State::InForce(how) => confined.in_force.insert(*protection, how.clone()),
                State::Missing { why, .. } => confined.missing.insert(*protection, why.clone()),
            };
        }
        confined
    }
}

/// In one line.
impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |protections: &BTreeMap<Protection, String>| {
            protections.keys().map(|protection| protection.name()).collect::<Vec<_>>().join(", ")
        };
        write!(f, "build and QEMU, by protection of {}", names(&self.in_force))?;
        match (self.missing.is_empty(), self.required) {
            (true, _) => Ok(()),
            (false, true) => write!(f, "; without {}, as allowed", names(&self.missing)),
            (false, false) => {
                write!(f, "; without {}, which your own code on your own machine needs not", names(&self.missing))
            }
        }
    }
}

/// Points earned out of points to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// Points earned.
    pub earned: Points,
    /// Points to be had.
    pub max: Points,
}

/// Points, exact to a tenth; a throughput check can earn a part of its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Points {
    tenths: u32,
}

impl Points {
    /// None.
    pub const ZERO: Self = Self { tenths: 0 };

    /// Whole points.
    pub const fn whole(points: u32) -> Self {
        Self { tenths: points * 10 }
    }

    /// A share of these, rounded down to a tenth so that only all of it is all of it.
    pub fn share(self, share: f64) -> Self {
        Self { tenths: (f64::from(self.tenths) * share.clamp(0.0, 1.0)).floor() as u32 }
    }

    /// What is left of these without `other`.
    pub const fn without(self, other: Self) -> Self {
        Self { tenths: self.tenths.saturating_sub(other.tenths) }
    }
}

impl From<f64> for Points {
    fn from(points: f64) -> Self {
        Self { tenths: (points * 10.0).round().clamp(0.0, f64::from(u32::MAX)) as u32 }
    }
}

impl From<Points> for f64 {
    fn from(points: Points) -> Self {
        Self::from(points.tenths) / 10.0
    }
}

impl std::iter::Sum for Points {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        Self { tenths: each.map(|points| points.tenths).sum() }
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.tenths / 10, self.tenths % 10) {
            (whole, 0) => f.pad(&whole.to_string()),
            (whole, tenth) => f.pad(&format!("{whole}.{tenth}")),
        }
    }
}

/// What came of building the submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Build {
    /// There is an image.
    Built {
        /// SHA-256 of the source tree, in hex.
        source: String,
    },
    /// The submission's files are missing, not taken, or do not compile.
    Refused {
        /// In one sentence.
        reason: String,
        /// What the compiler said, as it prints it.
        diagnostics: String,
        /// Where the errors are, as `file:line:column` with the student's own paths.
        places: Vec<String>,
        /// What is wrong there.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        problems: Vec<Problem>,
    },
    /// The harness could not build it.
    Error {
        /// Why not.
        reason: String,
    },
}

/// What is wrong at a line of the student's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// Of which kind, in a few words: `compiler error E0308`.
    pub kind: String,
    /// In a sentence.
    pub message: String,
}

/// What came of one boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GradedSession {
    /// The session, with the tick where there are several.
    pub id: String,
    /// The kernel's boot arguments.
    pub arguments: String,
    /// The script that its `init` ran.
    pub script: Vec<String>,
    /// In one word: how it ended.
    pub ending: String,
    /// In a sentence.
    pub explanation: String,
    /// The line of the submission's at which it ended, if it did at one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
    /// How many times it was booted again, since a boot failed by no fault of the submission.
    #[serde(skip_serializing_if = "is_none", default)]
    pub again: u32,
    /// Both boots, where it was booted a second time with the same seed since a check failed that read it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub twice: Vec<BootOfTwo>,
    /// The lines of the transcript that matter to somebody who looks for the cause, where it ended early.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub excerpt: Vec<String>,
    /// Damage to the serial line's records.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub damage: Vec<String>,
    /// Whether what it reports was seen to happen from outside; absent where nobody watched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub witnessed: Option<bool>,
    /// Operations in the trace.
    pub operations: u64,
    /// Guest instructions per operation, by phase.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub phases: BTreeMap<String, Instructions>,
    /// The reference's, where a check compares.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub reference: BTreeMap<String, Instructions>,
    /// Other figures, as tables.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tables: Vec<Table>,
    /// The reference's, where a check compares.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reference_tables: Vec<Table>,
}

/// One of two boots of a session with the same seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BootOfTwo {
    /// The transcript's file in the run's folder.
    pub transcript: String,
    /// How it ended, in a sentence.
    pub explanation: String,
    /// The end of the transcript.
    pub lines: Vec<String>,
}

/// One check with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GradedCheck {
    /// Its name.
    pub id: String,
    /// What must hold.
    pub title: String,
    /// What the verdict rests on.
    #[serde(default)]
    pub proof: Proof,
    /// Who may see it.
    #[serde(skip_serializing_if = "Visibility::is_visible", default)]
    pub visibility: Visibility,
    /// The sessions that it reads.
    pub sessions: Vec<String>,
    /// Points earned and to be had.
    pub points: Score,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The two verdicts of two boots with the same seed, where they differ; the worse is the check's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unstable: Option<Unstable>,
    /// The figure that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub figure: Option<Figure>,
}

/// Two verdicts for one seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unstable {
    /// What the first boots came to.
    pub first: Came,
    /// What it came to with the second boot of these sessions.
    pub second: Came,
    /// Those that were booted twice, and that the check reads.
    pub sessions: Vec<String>,
}

/// What a boot came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// What must hold held.
    Pass,
    /// It did not.
    Fail,
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// What must hold holds.
    Pass,
    /// It does not, and that is the submission's fault.
    Fail {
        /// In a sentence.
        reason: String,
        /// The first violations, explained.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        findings: Vec<SessionFinding>,
        /// How many violations there are in all.
        #[serde(skip_serializing_if = "is_zero", default)]
        violations: u64,
    },
    /// It could not be judged, and that is not the submission's fault; it costs no points in a class's books.
    Error {
        /// Why not.
        reason: String,
    },
    /// It was not run.
    Skipped {
        /// Why not.
        reason: String,
    },
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_none(number: &u32) -> bool {
    *number == 0
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A finding with the boot that showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionFinding {
    /// The boot.
    pub session: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A figure, and what it is measured against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// `<phase>.<statistic>`.
    pub metric: String,
    /// What it counts.
    pub unit: String,
    /// The submission's.
    pub value: f64,
    /// The reference's, if that is what it is measured against.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<f64>,
    /// What earns everything: the figure itself, or where there is a reference, its ratio to the reference's.
    pub full: f64,
    /// What earns nothing; less is better, unless this is below `full`.
    pub zero: f64,
    /// What the witness outside of the guest says of it, where it is of instructions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub witness: Option<Witness>,
}

/// What the witness outside of the guest says of a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "says")]
pub enum Witness {
    /// The same, but for one per cent at the most.
    Agrees {
        /// The figure, of the instructions that it counted.
        value: f64,
    },
    /// Something else: the figure earns nothing.
    Disputes {
        /// As above.
        value: f64,
    },
    /// Nothing.
    Missing {
        /// Why not.
        why: String,
    },
}

/// Whether boots were watched from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Watched {
    /// Those of kernels whose trusted code has marks.
    Available,
    /// None was.
    Missing {
        /// Why not.
        why: String,
    },
}

impl Figure {
    /// What `full` and `zero` are about: the ratio to the reference's figure, or the figure itself.
    pub fn measured(&self) -> f64 {
        self.reference.map_or(self.value, |reference| self.value / reference)
    }

    /// The share of the points: all at `full`, none at `zero`, the logarithm between.
    pub fn share(&self) -> f64 {
        let Self { full, zero, .. } = *self;
        let measured = self.measured();
        // How far it lies from `zero`, on a scale on which `full` is 1, whichever of them is the larger.
        let share = (zero / measured).ln() / (zero / full).ln();
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }
}

/// Times of day and durations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// When grading began, in seconds since 1970-01-01 UTC.
    pub started: u64,
    /// Seconds from start to end.
    pub total: f64,
    /// Seconds in which a compiler ran.
    pub build: f64,
    /// Seconds in which any QEMU ran.
    pub boots: f64,
    /// Seconds in which neither did.
    pub harness: f64,
    /// Seconds of each boot.
    pub sessions: BTreeMap<String, f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(ratio: f64) -> Figure {
        Figure {
            metric: "mixed.mean".into(),
            unit: "instructions".into(),
            value: ratio * 2.0,
            reference: Some(2.0),
            full: 1.25,
            zero: 6.0,
            witness: None,
        }
    }

    #[test]
    fn points_follow_the_logarithm_between_full_and_zero() {
        assert_eq!(figure(0.5).share(), 1.0);
        assert_eq!(figure(1.25).share(), 1.0);
        assert_eq!(figure(6.0).share(), 0.0);
        let middle = (1.25f64 * 6.0).sqrt();
        assert!((figure(middle).share() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn where_more_is_better_points_follow_the_logarithm_the_other_way() {
        let utilisation = |value| Figure { value, reference: None, full: 80.0, zero: 20.0, ..figure(1.0) };
        let shares = [90.0, 80.0, 40.0, 20.0, 5.0, 0.0].map(|value| utilisation(value).share());
        assert_eq!(shares, [1.0, 1.0, 0.5, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn nothing_at_all_is_the_best_where_less_is_better() {
        let locks = |value| Figure { value, reference: None, full: 0.02, zero: 1.0, ..figure(1.0) };
        assert_eq!([locks(0.0).share(), locks(0.02).share(), locks(1.0).share()], [1.0, 1.0, 0.0]);
    }

    #[test]
    fn a_share_never_rounds_up_to_everything() {
        assert_eq!(Points::whole(10).share(0.9999), Points::from(9.9));
        assert_eq!(Points::whole(10).share(1.0), Points::whole(10));
        assert_eq!(Points::from(9.9).to_string(), "9.9");
        assert_eq!(Points::whole(3).to_string(), "3");
    }
}
