//! From transcripts to a grade: everything after the boots, so that a saved run is graded again by the same code.

use std::collections::{BTreeMap, BTreeSet};

use crate::blame;
use crate::evidence::Evidence;
use crate::excerpt::{self, Places};
use crate::grade::{Build, Grade, GradedCheck, GradedSession, GradedSubmission, Points, Score, Verdict};
use crate::judge::{self, Exhibits};
use crate::lab::{Check, Judge, Lab, SessionId};
use crate::plan::Planned;
use crate::serial::reading::Reading;
use crate::session::Transcript;

/// What came of a boot: a transcript with the names of its addresses, or why the harness has none.
#[derive(Debug, Clone)]
pub enum Booted {
    /// It ran.
    Ran {
        /// What it said.
        transcript: Box<Transcript>,
        /// That, read.
        reading: Box<Reading>,
        /// What is at the addresses that it named.
        places: Places,
    },
    /// The harness could not run it.
    Failed(String),
}

/// What came of every boot, by its name.
pub type Boots = BTreeMap<SessionId, Booted>;

/// Grades the checks that are wanted, and fills in what follows from them.
///
/// `grade` comes with what is known before: the lab, the submission, the seed, the tools and the build.
pub fn grade(
    mut grade: Grade,
    lab: &Lab,
    wanted: &BTreeSet<&str>,
    plan: &[Planned],
    boots: &Boots,
    reference: &Boots,
) -> Grade {
    let checks: Vec<&Check> = lab.checks.iter().filter(|check| wanted.contains(check.id.0.as_str())).collect();
    let own = weigh(plan, boots, &checks);
    let others = weigh(plan, reference, &checks);
    // What transcripts do not tell, a grade that is judged again knows from before.
    let again: BTreeMap<String, u32> = grade.sessions.drain(..).map(|session| (session.id, session.again)).collect();
    let submission = &grade.submission;
    grade.sessions = plan.iter().filter_map(|planned| session(planned, &own, &others, boots, submission)).collect();
    for session in &mut grade.sessions {
        session.again = again.get(&session.id).copied().unwrap_or(0);
    }
    grade.checks = Vec::with_capacity(checks.len());
    for check in checks {
        let judged = one(check, &grade.build, plan, &own, &others);
        let judged = if_needs_are_met(check, judged, &grade.checks);
        grade.checks.push(judged);
    }
    grade.points = Score {
        earned: grade.checks.iter().map(|check| check.points.earned).sum(),
        max: grade.checks.iter().map(|check| check.points.max).sum(),
    };
    grade
}

type Weighed<'a> = BTreeMap<SessionId, Result<Evidence<'a>, String>>;

fn weigh<'a>(plan: &[Planned], boots: &'a Boots, checks: &[&Check]) -> Weighed<'a> {
    plan.iter()
        .filter_map(|planned| {
            let booted = boots.get(&planned.id)?;
            let evidence = match booted {
                Booted::Failed(reason) => Err(reason.clone()),
                Booted::Ran { reading, .. } => {
                    let asked = checks.iter().filter(|check| check.sessions.contains(&planned.session));
                    let oracles: BTreeSet<&str> = asked.filter_map(|check| oracle_of(&check.judge)).collect();
                    let oracles: Vec<&str> = oracles.into_iter().collect();
                    let (id, script) = (planned.id.clone(), planned.script.clone());
                    let traced = !planned.options.untraced;
                    Ok(Evidence::weigh(id, script, &planned.typed, reading, &oracles, traced))
                }
            };
            Some((planned.id.clone(), evidence))
        })
        .collect()
}

fn oracle_of(judge: &Judge) -> Option<&str> {
    match judge {
        Judge::Oracle(rule) | Judge::Metric { given: Some(rule), .. } => Some(&rule.oracle),
        _ => None,
    }
}

fn one(check: &Check, build: &Build, plan: &[Planned], own: &Weighed<'_>, others: &Weighed<'_>) -> GradedCheck {
    let verdict = match build {
        Build::Built { .. } => None,
        Build::Refused { reason, .. } => {
            Some(Verdict::Fail { reason: reason.clone(), findings: Vec::new(), violations: 0 })
        }
        Build::Error { reason } => Some(Verdict::Error { reason: reason.clone() }),
    };
    let pick = |weighed| exhibits(check, plan, weighed);
    let judged = judge::judge(check, &Exhibits { boots: pick(own), reference: pick(others) });
    match verdict {
        None => judged,
        Some(verdict) => {
            GradedCheck { points: Score { earned: Points::ZERO, ..judged.points }, verdict, figure: None, ..judged }
        }
    }
}

/// What stands of a verdict beside those of the checks that this one needs, which stand before it.
fn if_needs_are_met(check: &Check, judged: GradedCheck, before: &[GradedCheck]) -> GradedCheck {
    let needed = before.iter().filter(|other| check.needs.iter().any(|id| id.0 == other.id));
    let unmet = needed.filter(|other| other.verdict != Verdict::Pass).min_by_key(|other| match other.verdict {
        Verdict::Error { .. } => 0,
        _ => 1,
    });
    // A figure that lost some of its points earns the others only if it counts.
    let earns = judged.verdict == Verdict::Pass || judged.points.earned > Points::ZERO;
    let Some(unmet) = unmet.filter(|_| earns) else { return judged };
    let reason = format!("it counts only where `{}` passes, and that did not", unmet.id);
    let verdict = match unmet.verdict {
        Verdict::Error { .. } => Verdict::Error { reason },
        _ => Verdict::Fail { reason, findings: Vec::new(), violations: 0 },
    };
    let points = Score { earned: Points::ZERO, ..judged.points };
    GradedCheck { points, verdict, ..judged }
}

fn exhibits<'a>(check: &Check, plan: &[Planned], weighed: &'a Weighed<'a>) -> Vec<Result<&'a Evidence<'a>, &'a str>> {
    let planned = plan.iter().filter(|planned| check.sessions.contains(&planned.session));
    planned
        .map(|planned| match weighed.get(&planned.id) {
            Some(Ok(evidence)) => Ok(evidence),
            Some(Err(reason)) => Err(reason.as_str()),
            None => Err("the session was not booted"),
        })
        .collect()
}

fn session(
    planned: &Planned,
    own: &Weighed<'_>,
    others: &Weighed<'_>,
    boots: &Boots,
    submission: &GradedSubmission,
) -> Option<GradedSession> {
    let shown = |weighed: &Weighed<'_>| match weighed.get(&planned.id) {
        Some(Ok(evidence)) => (evidence.weighed.phases.clone(), evidence.weighed.tables.clone()),
        _ => (BTreeMap::new(), Vec::new()),
    };
    let (phases, tables) = shown(own);
    let (reference, reference_tables) = shown(others);
    let mut graded = GradedSession {
        id: planned.id.0.clone(),
        arguments: planned.options.to_string(),
        script: planned.script.clone(),
        ending: String::new(),
        explanation: String::new(),
        problem: None,
        again: 0,
        twice: Vec::new(),
        excerpt: Vec::new(),
        damage: Vec::new(),
        witnessed: None,
        operations: 0,
        phases,
        reference,
        tables,
        reference_tables,
    };
    match own.get(&planned.id)? {
        Err(reason) => {
            graded.ending = "error".to_owned();
            graded.explanation.clone_from(reason);
        }
        Ok(evidence) => {
            let reading = &evidence.reading;
            graded.ending = ending_word(reading);
            graded.explanation = reading.ending.to_string();
            graded.damage = reading.damage.iter().map(ToString::to_string).collect();
            graded.witnessed = reading.seen.as_ref().map(|_| evidence.is_witnessed());
            graded.operations = evidence.weighed.operations;
            if let Some(Booted::Ran { places, .. }) = boots.get(&planned.id) {
                graded.excerpt = excerpt::of(reading, places);
                graded.problem = blame::of(&reading.ending, places, submission);
            }
        }
    }
    Some(graded)
}

/// The ending in one word, as its own serial form names it.
fn ending_word(reading: &Reading) -> String {
    serde_json::to_value(&reading.ending)
        .ok()
        .and_then(|value| value.get("how")?.as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{CheckId, Kernels, Proof, Visibility};
    use crate::report::samples;

    fn failing(reason: &str) -> Verdict {
        Verdict::Fail { reason: reason.to_owned(), findings: Vec::new(), violations: 0 }
    }

    #[test]
    fn a_figure_that_earns_a_part_of_its_points_earns_none_where_what_it_needs_does_not_hold() {
        let speed = Check {
            id: CheckId("speed".to_owned()),
            kernels: Kernels::default(),
            title: "It is quick".to_owned(),
            sessions: Vec::new(),
            judge: Judge::Ends,
            needs: vec![CheckId("reuse".to_owned())],
            proof: Proof::Trace,
            visibility: Visibility::Visible,
            least_proof: None,
            points: 8,
        };
        let judged = || samples::check("speed", (7.4, 8), failing("it takes 1.4 times as many instructions"));
        let beside = |verdict| if_needs_are_met(&speed, judged(), &[samples::check("reuse", (0.0, 9), verdict)]);
        assert_eq!(beside(Verdict::Pass), judged());

        let lost = beside(failing("nothing is used again"));
        assert_eq!(lost.points, Score { earned: Points::ZERO, max: Points::whole(8) });
        assert!(matches!(lost.verdict, Verdict::Fail { reason, .. } if reason.contains("only where `reuse` passes")));
        let unknown = beside(Verdict::Error { reason: "QEMU was killed".to_owned() });
        assert!(matches!(unknown.verdict, Verdict::Error { .. }), "{:?}", unknown.verdict);
    }
}
