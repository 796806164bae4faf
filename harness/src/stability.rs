//! Whether a check that failed comes to the same when what it reads is booted a second time with the same seed.
//!
//! Under the virtual clock a boot is a function of what is booted, and says the same twice. Harts that are threads of
//! the host, and what is typed at a console, depend on the machine's load, too: there a failure is looked at again,
//! which changes no failure into a pass, and tells students that what they look for is a race.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::excerpt;
use crate::grade::{BootOfTwo, Build, Came, Grade, GradedCheck, Unstable, Verdict};
use crate::grading::{self, Booted, Boots};
use crate::lab::{Clock, Lab};
use crate::plan::Planned;

/// Processor time of a boot that is not done twice: the tests of a whole kernel take minutes, and would take them twice
/// for everybody who fails.
const MOST: Duration = Duration::from_secs(60);

/// Grades as [`grading::grade`] does, with the boots that were done a second time; where those and the first come to
/// two verdicts, the worse is the check's.
pub fn grade(
    grade: Grade,
    lab: &Lab,
    wanted: &BTreeSet<&str>,
    plan: &[Planned],
    boots: [&Boots; 2],
    reference: &Boots,
) -> Grade {
    let grade = grading::grade(grade, lab, wanted, plan, boots[0], reference);
    held(grade, lab, wanted, plan, boots, reference)
}

/// The grade of the first boots, held against that of the second ones.
pub fn held(
    mut grade: Grade,
    lab: &Lab,
    wanted: &BTreeSet<&str>,
    plan: &[Planned],
    [first, second]: [&Boots; 2],
    reference: &Boots,
) -> Grade {
    if second.is_empty() {
        return grade;
    }
    let mut others = first.clone();
    others.extend(second.iter().map(|(id, booted)| (id.clone(), booted.clone())));
    let other = grading::grade(grade.clone(), lab, wanted, plan, &others, reference);
    for session in &mut grade.sessions {
        let boots = |boots: &Boots| boots.iter().find(|(id, _)| id.0 == session.id).map(|(_, booted)| booted.clone());
        if let Some(again) = boots(second) {
            let pair = [("sessions", boots(first)), ("second", Some(again))];
            session.twice =
                pair.into_iter().filter_map(|(folder, booted)| shown(&session.id, folder, &booted?)).collect();
        }
    }
    held_against(grade, other.checks)
}

fn shown(id: &str, folder: &str, booted: &Booted) -> Option<BootOfTwo> {
    let Booted::Ran { reading, places, .. } = booted else { return None };
    Some(BootOfTwo {
        transcript: format!("{folder}/{id}.serial"),
        explanation: reading.ending.to_string(),
        lines: excerpt::end(reading, places),
    })
}

/// The checks of a grade, each with the worse of two verdicts.
fn held_against(mut grade: Grade, others: Vec<GradedCheck>) -> Grade {
    let twice: Vec<String> =
        grade.sessions.iter().filter(|session| !session.twice.is_empty()).map(|session| session.id.clone()).collect();
    for (check, other) in grade.checks.iter_mut().zip(others) {
        let (Some(first), Some(second)) = (came(&check.verdict), came(&other.verdict)) else { continue };
        if first == second {
            continue;
        }
        if second == Came::Fail {
            *check = other;
        }
        // Boots of a session with several ticks are called `session@tick`.
        let reads = |boot: &&String| check.sessions.iter().any(|name| boot.split('@').next() == Some(name.as_str()));
        let sessions: Vec<String> = twice.iter().filter(reads).cloned().collect();
        // What only needs another check that is unstable is not so itself.
        if !sessions.is_empty() {
            check.unstable = Some(Unstable { first, second, sessions });
        }
    }
    grade.points.earned = grade.checks.iter().map(|check| check.points.earned).sum();
    grade
}

fn came(verdict: &Verdict) -> Option<Came> {
    match verdict {
        Verdict::Pass => Some(Came::Pass),
        Verdict::Fail { .. } => Some(Came::Fail),
        // Whose boot broke down by our fault came to nothing.
        Verdict::Error { .. } | Verdict::Skipped { .. } => None,
    }
}

/// The boots that are to be done a second time: those that a failed check read, and that do not repeat themselves.
pub fn due(lab: &Lab, plan: &[Planned], grade: &Grade, boots: &Boots) -> Vec<Planned> {
    if !matches!(grade.build, Build::Built { .. }) {
        return Vec::new();
    }
    let passed = |id: &str| grade.checks.iter().any(|check| check.id == id && check.verdict == Verdict::Pass);
    let failed = |check: &GradedCheck| {
        // Nothing hangs on a check that does not count.
        let mut needs = lab.checks.iter().filter(|asked| asked.id.0 == check.id).flat_map(|asked| &asked.needs);
        matches!(check.verdict, Verdict::Fail { .. }) && needs.all(|id| passed(&id.0))
    };
    let is_read = |planned: &&Planned| {
        grade.checks.iter().any(|check| check.sessions.contains(&planned.session.0) && failed(check))
    };
    let repeats_itself = |planned: &Planned| {
        let virtually = |clock: Clock| matches!(clock, Clock::Virtual);
        let session = lab.sessions.iter().find(|session| session.id == planned.session);
        planned.typed.is_empty() && session.is_none_or(|session| virtually(session.clock))
    };
    let is_short = |planned: &Planned| match boots.get(&planned.id) {
        Some(Booted::Ran { transcript, .. }) => transcript.processor <= MOST,
        _ => false,
    };
    plan.iter().filter(is_read).filter(|planned| !repeats_itself(planned) && is_short(planned)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grade::{Points, Score};
    use crate::report::samples;

    fn failing(reason: &str) -> Verdict {
        Verdict::Fail { reason: reason.to_owned(), findings: Vec::new(), violations: 0 }
    }

    /// A check of four points with this verdict, in a grade whose session was booted twice.
    fn graded(verdict: Verdict) -> Grade {
        let mut grade = samples::failed();
        let earned = if verdict == Verdict::Pass { 4.0 } else { 0.0 };
        grade.checks = vec![samples::check("races", (earned, 4), verdict)];
        grade.points = Score { earned: Points::from(earned), max: Points::whole(4) };
        grade
    }

    #[test]
    fn of_two_verdicts_for_one_seed_the_worse_counts_and_both_are_told() {
        for (first, second) in
            [(failing("a page has two owners"), Verdict::Pass), (Verdict::Pass, failing("a page has two owners"))]
        {
            let came = [came(&first).unwrap(), came(&second).unwrap()];
            let grade = held_against(graded(first), graded(second).checks);
            assert_eq!(grade.checks[0].verdict, failing("a page has two owners"));
            assert_eq!((grade.checks[0].points.earned, grade.points.earned), (Points::ZERO, Points::ZERO));
            let unstable = grade.checks[0].unstable.as_ref().unwrap();
            assert_eq!(([unstable.first, unstable.second], &unstable.sessions[..]), (came, &["mixed".to_owned()][..]));
        }
    }

    #[test]
    fn the_same_verdict_twice_is_stable_whatever_the_reasons() {
        let grade = held_against(graded(failing("lost a page")), graded(failing("lost two")).checks);
        assert_eq!((&grade.checks[0].verdict, &grade.checks[0].unstable), (&failing("lost a page"), &None));
    }

    #[test]
    fn a_second_boot_that_breaks_down_by_our_fault_says_nothing_of_the_first() {
        let broken = Verdict::Error { reason: "QEMU was killed".to_owned() };
        let grade = held_against(graded(failing("lost a page")), graded(broken).checks);
        assert_eq!((&grade.checks[0].verdict, &grade.checks[0].unstable), (&failing("lost a page"), &None));
    }
}
