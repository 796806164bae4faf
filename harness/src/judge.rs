//! From evidence to verdicts: one check at a time, with nothing but what its sessions show.

use crate::evidence::{Doubt, Evidence};
use crate::grade::{Figure, GradedCheck, Points, Score, SessionFinding, Verdict, Witness};
use crate::lab::console::Said;
use crate::lab::{Bound, Check, Judge, Proof, Rule};
use crate::owner::Owner;
use crate::serial::ktap::Status;
use crate::serial::record::Outcome;
use crate::subject::Quantity;

/// The most findings that a check explains, over all its sessions.
const EXPLAINED: usize = 3;

/// What a check reads: the boots of its sessions, and the reference's where it compares.
#[derive(Debug, Clone, Default)]
pub struct Exhibits<'a> {
    /// The submission's boots, in order. A boot that the harness could not do is an error in its place.
    pub boots: Vec<Result<&'a Evidence<'a>, &'a str>>,
    /// The reference's.
    pub reference: Vec<Result<&'a Evidence<'a>, &'a str>>,
}

/// Judges one check.
pub fn judge(check: &Check, exhibits: &Exhibits<'_>) -> GradedCheck {
    let max = Points::whole(check.points);
    let (verdict, figure) = match &check.judge {
        Judge::Metric { metric, full, zero, given } => {
            by_metric(metric, (*full, *zero), given.as_ref(), exhibits).unwrap_or_else(|verdict| (verdict, None))
        }
        plain => (by_boots(plain, exhibits).err().unwrap_or(Verdict::Pass), None),
    };
    let proof = proof_of(check, exhibits, figure.as_ref());
    let (verdict, figure) = if_proven_enough(check, proof, verdict, figure);
    let earned = match (&verdict, &figure) {
        (Verdict::Pass, _) => max,
        (Verdict::Fail { .. }, Some(figure)) => max.share(figure.share()),
        _ => Points::ZERO,
    };
    GradedCheck {
        id: check.id.0.clone(),
        title: check.title.clone(),
        proof,
        visibility: check.visibility,
        sessions: check.sessions.iter().map(|session| session.0.clone()).collect(),
        points: Score { earned, max },
        verdict,
        unstable: None,
        figure,
    }
}

/// What the verdict rests on, with what was seen from outside.
fn proof_of(check: &Check, exhibits: &Exhibits<'_>, figure: Option<&Figure>) -> Proof {
    let witnessed = !exhibits.boots.is_empty()
        && exhibits.boots.iter().all(|boot| boot.is_ok_and(|boot| boot.is_witnessed()))
        && figure.is_none_or(|figure| matches!(figure.witness, Some(Witness::Agrees { .. })));
    match check.proof {
        Proof::Trace | Proof::Ending if witnessed => Proof::Witnessed,
        proof => proof,
    }
}

/// Where the lab asks for more than a pass rests on, it is none; nor a failure, since it is our witness that is
/// missing.
fn if_proven_enough(
    check: &Check,
    proof: Proof,
    verdict: Verdict,
    figure: Option<Figure>,
) -> (Verdict, Option<Figure>) {
    let least = check.least_proof.filter(|least| proof.strength() < least.strength());
    let (Some(least), true) = (least, earns(&verdict, figure.as_ref())) else { return (verdict, figure) };
    let missing = match figure.as_ref().and_then(|figure| figure.witness.as_ref()) {
        Some(Witness::Missing { why }) => format!(": {why}"),
        _ => String::new(),
    };
    let reason =
        format!("the lab demands that it is {}, and here it rests on {}{missing}", least.name(), proof.words());
    (Verdict::Error { reason }, None)
}

/// Whether points come of it.
fn earns(verdict: &Verdict, figure: Option<&Figure>) -> bool {
    match verdict {
        Verdict::Pass => true,
        Verdict::Fail { .. } => figure.is_some_and(|figure| figure.share() > 0.0),
        Verdict::Error { .. } | Verdict::Skipped { .. } => false,
    }
}

fn by_boots(judge: &Judge, exhibits: &Exhibits<'_>) -> Result<(), Verdict> {
    match judge {
        Judge::Oracle(rule) => by_oracle(rule, &available(&exhibits.boots)?),
        Judge::Ends => {
            let evidence = available(&exhibits.boots)?;
            evidence.iter().find_map(|evidence| evidence.doubt_of_programs()).map_or(Ok(()), |doubt| Err(doubt.into()))
        }
        Judge::Ktap(pattern) => available(&exhibits.boots)?.iter().try_for_each(|boot| by_ktap(pattern, boot)),
        Judge::Console(said) => available(&exhibits.boots)?.iter().try_for_each(|boot| by_console(said, boot)),
        Judge::Metric { .. } => Ok(()),
    }
}

/// All boots, or the verdict when the harness could not do one.
fn available<'a>(boots: &[Result<&'a Evidence<'a>, &str>]) -> Result<Vec<&'a Evidence<'a>>, Verdict> {
    boots
        .iter()
        .map(|boot| boot.map_err(|reason| Verdict::Error { reason: reason.to_owned() }))
        .collect::<Result<Vec<_>, _>>()
}

/// A failure, unless it is the harness's.
fn blame(owner: Option<Owner>, reason: String) -> Verdict {
    match owner {
        Some(Owner::Harness) => Verdict::Error { reason },
        _ => Verdict::Fail { reason, findings: Vec::new(), violations: 0 },
    }
}

impl From<Doubt> for Verdict {
    fn from(doubt: Doubt) -> Self {
        blame(Some(doubt.owner), doubt.reason)
    }
}

fn by_oracle(rule: &Rule, boots: &[&Evidence<'_>]) -> Result<(), Verdict> {
    let mut by_boot = Vec::new();
    let mut violations = 0;
    let mut in_boots = 0;
    for boot in boots {
        let Some(found) = boot.findings(rule) else { continue };
        violations += found.count as u64;
        in_boots += 1;
        let session = boot.boot.0.clone();
        let explained = found.explained.iter().cloned();
        by_boot.push(explained.map(|finding| SessionFinding { session: session.clone(), finding }).collect::<Vec<_>>());
    }
    let doubt = boots.iter().find_map(|boot| boot.doubt_of_trace());
    if let Some(Doubt { owner: Owner::Harness, .. }) = doubt {
        return doubt.map_or(Ok(()), |doubt| Err(doubt.into()));
    }
    if violations == 0 {
        let doubt = doubt.or_else(|| boots.iter().find_map(|boot| boot.doubt_of_substance(rule)));
        return doubt.map_or(Ok(()), |doubt| Err(doubt.into()));
    }
    // The first of each boot before the second of any: sessions differ in what they bring to light.
    let most = by_boot.iter().map(Vec::len).max().unwrap_or(0);
    let in_turns = (0..most).flat_map(|turn| by_boot.iter().filter_map(move |boot| boot.get(turn)));
    let findings: Vec<SessionFinding> = in_turns.take(EXPLAINED).cloned().collect();
    let times = if violations == 1 { "once".to_owned() } else { format!("{violations} times") };
    let mut reason = format!("the trace breaks this rule {times}");
    if boots.len() > 1 {
        reason.push_str(&format!(", in {in_boots} of {} boots", boots.len()));
    }
    if let Some(doubt) = doubt {
        reason.push_str(&format!("; besides, {}", doubt.reason));
    }
    Err(Verdict::Fail { reason, findings, violations })
}

fn by_ktap(pattern: &regex::Regex, boot: &Evidence<'_>) -> Result<(), Verdict> {
    let reading = &boot.reading;
    let ending = &reading.ending;
    let fail = |reason: String| Err(blame(ending.owner(), format!("session {}: {reason}", boot.boot)));
    if let Some(doubt) = boot.doubt_of_witness() {
        return Err(doubt.into());
    }
    let mut matched = 0;
    for document in &reading.ktap {
        if let Some(problem) = document.what.problems.first() {
            return fail(format!("the results are damaged at line {}: {}; {ending}", problem.line, problem.what));
        }
        for (path, test) in document.what.leaves() {
            let name = path.join(" / ");
            if !pattern.is_match(&name) {
                continue;
            }
            matched += 1;
            // Whoever can print a result can power the machine off behind it.
            let ended = document.program.and_then(|program| reading.programs[program].end.as_ref());
            if !ended.is_some_and(|end| matches!(end.outcome, Outcome::Exited(_))) {
                return fail(format!("\"{name}\" was reported, but its program did not end; {ending}"));
            }
            if test.status != Status::Passed {
                let why = if test.note.is_empty() { test.diagnostics.join("; ") } else { test.note.clone() };
                let separator = if why.is_empty() { "" } else { ": " };
                return fail(format!("\"{name}\" {}{separator}{why}", status(test.status)));
            }
        }
    }
    if matched == 0 {
        return fail(format!("no result matches {pattern}; {ending}"));
    }
    // It counts where the program did its work.
    let doubt = if boot.traced { boot.doubt_of_trace() } else { None };
    doubt.map_or(Ok(()), |doubt| Err(doubt.into()))
}

fn by_console(said: &Said, boot: &Evidence<'_>) -> Result<(), Verdict> {
    let reading = boot.reading;
    let ending = &reading.ending;
    let fail = |reason: String| Err(blame(ending.owner(), format!("session {}: {reason}", boot.boot)));
    if let Some(doubt) = boot.doubt_of_witness() {
        return Err(doubt.into());
    }
    let (text, place, ended) = match &said.after {
        None => {
            let lines: Vec<&str> = reading.console.iter().map(|line| line.what.as_str()).collect();
            (lines.join("\n"), "on the console".to_owned(), false)
        }
        Some(after) => match reading.section(after) {
            Some(section) => (section.text(), format!("after `{after}`"), section.ended),
            None => return fail(format!("`{after}` was not typed: {ending}")),
        },
    };
    let unless_ended = if ended { String::new() } else { format!("; {ending}") };
    if let Some(pattern) = said.expect.iter().find(|pattern| !pattern.is_match(&text)) {
        let forged = said.after.as_ref().and_then(|after| reading.section(after)?.forged.first());
        let forged = forged.map(|phrase| format!("; {phrase:?} was printed, but not by the test program"));
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        let last =
            last.map(|line| format!("; the last line there was {:?}", line.chars().take(200).collect::<String>()));
        let forged = forged.or(last.filter(|_| ended)).unwrap_or_default();
        return fail(format!("no line of the form `{}` was seen {place}{forged}{unless_ended}", pattern.as_str()));
    }
    if let Some(found) = said.not.iter().find_map(|pattern| pattern.find(&text)) {
        let line = found.as_str().lines().next().unwrap_or_default();
        return fail(format!("{place} there is {line:?}, which must not be"));
    }
    if let (Some(after), false, false) = (&said.after, said.not.is_empty(), ended) {
        return fail(format!("`{after}` did not end, and what it would have said is not known; {ending}"));
    }
    Ok(())
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::Skipped => "was skipped",
        Status::ExpectedFailure => "failed as it was expected to",
        Status::TimedOut => "timed out",
        Status::Errored => "could not be run",
        Status::Missing => "never reported",
    }
}

fn by_metric(
    metric: &str,
    bounds: (Bound, Bound),
    given: Option<&Rule>,
    exhibits: &Exhibits<'_>,
) -> Result<(Verdict, Option<Figure>), Verdict> {
    let boots = available(&exhibits.boots)?;
    if let Some(rule) = given {
        by_oracle(rule, &boots).map_err(|verdict| match verdict {
            Verdict::Fail { reason, .. } => {
                blame(None, format!("figures count only where the rules {}.{} hold: {reason}", rule.oracle, rule.group))
            }
            other => other,
        })?;
    } else if let Some(doubt) = boots.iter().find_map(|boot| boot.doubt_of_trace()) {
        return Err(doubt.into());
    }
    let Quantity { value, unit } = figure_of(metric, &boots).ok_or_else(|| missing(metric, &boots))?;
    let witness = witness_of(metric, value, unit, &boots);
    if let Some(Witness::Disputes { value: seen }) = witness {
        let reason = format!(
            "{metric} is {} {unit} by the guest's report, and {} as counted from outside; a figure that the witness disputes earns nothing",
            short(value),
            short(seen)
        );
        return Err(blame(None, reason));
    }
    let (full, zero) = bounds;
    let reference = match full {
        Bound::Ratio(_) => Some(reference_of(metric, exhibits)?),
        Bound::Absolute(_) => None,
    };
    let figure = Figure {
        metric: metric.to_owned(),
        unit: unit.to_owned(),
        value,
        reference,
        full: full.number(),
        zero: zero.number(),
        witness,
    };
    if figure.share() >= 1.0 {
        return Ok((Verdict::Pass, Some(figure)));
    }
    let beside = figure.reference.map_or(String::new(), |reference| {
        format!(", {:.2} times the reference's {}", figure.measured(), short(reference))
    });
    let reason = format!("{metric} is {} {unit}{beside}; {full} earns all points, {zero} or worse none", short(value));
    Ok((blame(None, reason), Some(figure)))
}

/// How far a figure may be from what was counted outside, as a share of it: counters that are read at slightly other
/// moments, and instructions that trap.
const TOLERANCE: f64 = 0.01;

/// What the witness says of a figure of instructions; nothing of others.
fn witness_of(metric: &str, value: f64, unit: &str, boots: &[&Evidence<'_>]) -> Option<Witness> {
    let boot = boots.first()?;
    if !boot.weighed.figures.get(metric).is_some_and(|_| is_of_instructions(unit)) {
        return None;
    }
    if boot.reading.seen.is_none() {
        return Some(Witness::Missing { why: "nobody watched this boot from outside".to_owned() });
    }
    let Some(Quantity { value: seen, .. }) = boot.counted(metric) else {
        let why = "operations on several harts cannot be counted one by one from outside".to_owned();
        return Some(Witness::Missing { why });
    };
    let near = (value - seen).abs() <= TOLERANCE * value.abs().max(seen.abs());
    Some(if near { Witness::Agrees { value: seen } } else { Witness::Disputes { value: seen } })
}

/// Whether a figure is of instructions, or of a ratio of such.
fn is_of_instructions(unit: &str) -> bool {
    unit.contains("instructions") || unit.starts_with("times ")
}

/// The verdict on a figure that is not there.
fn missing(metric: &str, boots: &[&Evidence<'_>]) -> Verdict {
    match boots.first().and_then(|boot| Some((boot, boot.figures.why_missing(metric)?))) {
        Some((boot, why)) => {
            blame(boot.reading.ending.owner(), format!("session {}: {metric} is not known: {why}", boot.boot))
        }
        None => blame(None, format!("the trace yields no {metric}: the phase has no operations")),
    }
}

/// A number with a decimal, or with three digits that count where it is small.
fn short(value: f64) -> String {
    if value == 0.0 || value.abs() >= 1.0 {
        return format!("{value:.1}");
    }
    let decimals = (2.0 - value.abs().log10().floor()).clamp(3.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

fn reference_of(metric: &str, exhibits: &Exhibits<'_>) -> Result<f64, Verdict> {
    let ours = |reason: String| Verdict::Error { reason: format!("the reference cannot be compared with: {reason}") };
    let reference = available(&exhibits.reference).map_err(|verdict| match verdict {
        Verdict::Error { reason } => ours(reason),
        other => other,
    })?;
    if let Some(doubt) = reference.iter().find_map(|boot| boot.doubt_of_trace()) {
        return Err(ours(doubt.reason));
    }
    let figure = figure_of(metric, &reference).map(|quantity| quantity.value).filter(|value| *value > 0.0);
    figure.ok_or_else(|| ours(format!("its trace yields no {metric}")))
}

fn figure_of(metric: &str, boots: &[&Evidence<'_>]) -> Option<Quantity> {
    boots.first()?.weighed.figures.get(metric).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_figures_keep_the_digits_that_tell_them_apart() {
        let shown = [0.0, 0.0123456, 0.5, 52.66, 1234.0].map(short);
        assert_eq!(shown, ["0.0", "0.0123", "0.500", "52.7", "1234.0"]);
    }
}
