//! The grade as a person reads it: what was graded, the checks, the throughput beside the reference, and for every
//! lost point the reason and the command that shows it again.

use console::Style;

use super::{map, safe, table};
use crate::grade::{
    Build, Came, Grade, GradedCheck, GradedSession, Outcome, Points, SessionFinding, Unstable, Verdict, Watched,
};
use crate::lab::Proof;

/// Lines of compiler output that are shown; the rest is in the run directory.
const MOST_DIAGNOSTIC_LINES: usize = 60;

/// How the parts of a report look.
#[derive(Debug, Clone)]
pub struct Theme {
    pass: Style,
    fail: Style,
    error: Style,
    dim: Style,
    bold: Style,
}

impl Theme {
    /// With colours, or as plain text.
    pub fn new(colours: bool) -> Self {
        let style = || Style::new().force_styling(colours);
        Self {
            pass: style().green().bold(),
            fail: style().red().bold(),
            error: style().yellow().bold(),
            dim: style().dim(),
            bold: style().bold(),
        }
    }

    fn of(&self, verdict: &Verdict) -> (&'static str, &Style) {
        match verdict {
            Verdict::Pass => ("PASS", &self.pass),
            Verdict::Fail { .. } => ("FAIL", &self.fail),
            Verdict::Error { .. } => ("ERROR", &self.error),
            Verdict::Skipped { .. } => ("SKIP", &self.dim),
        }
    }
}

/// The whole report.
pub fn render(grade: &Grade, theme: &Theme) -> String {
    let mut lines = vec![String::new()];
    checks(grade, theme, &mut lines);
    throughput(grade, theme, &mut lines);
    tables(grade, theme, &mut lines);
    // Without a build all checks fail for one reason, which stands where people look: near the end, and once.
    let is_built = matches!(grade.build, Build::Built { .. });
    build(grade, theme, &mut lines);
    for check in grade.checks.iter().filter(|check| is_built && !matches!(check.verdict, Verdict::Pass)) {
        lines.push(String::new());
        let (word, style) = theme.of(&check.verdict);
        let lost = check.points.max.without(check.points.earned);
        let heading = format!("{}: {lost} of {} points lost", check.id, check.points.max);
        lines.push(format!("{} {}", style.apply_to(word), theme.bold.apply_to(heading)));
        lines.extend(details(grade, check).into_iter().map(|line| format!("  {line}")));
    }
    early_ends(grade, theme, &mut lines);
    again(grade, &mut lines);
    for line in same_twice(grade) {
        lines.extend([String::new(), line]);
    }
    ignored(grade, theme, &mut lines);
    lines.push(String::new());
    lines.extend(grade.confinement.iter().map(|confined| format!("{:>12} {confined}", "Confined")));
    if is_built {
        lines.extend(attested(grade).map(|attested| format!("{:>12} {attested}", "Attested")));
    }
    lines.push(total(grade, theme));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Everything but the details, without colours.
pub fn summary(grade: &Grade) -> String {
    let theme = Theme::new(false);
    let mut lines = Vec::new();
    checks(grade, &theme, &mut lines);
    throughput(grade, &theme, &mut lines);
    tables(grade, &theme, &mut lines);
    lines.push(total(grade, &theme));
    lines.join("\n")
}

fn build(grade: &Grade, theme: &Theme, lines: &mut Vec<String>) {
    let (reason, diagnostics, style) = match &grade.build {
        Build::Built { .. } => return,
        Build::Refused { reason, diagnostics, .. } => (reason, diagnostics.as_str(), &theme.fail),
        Build::Error { reason } => (reason, "", &theme.error),
    };
    lines.push(String::new());
    lines.push(style.apply_to(safe::line(reason)).to_string());
    let total = diagnostics.lines().count();
    lines.extend(diagnostics.lines().take(MOST_DIAGNOSTIC_LINES).map(|line| format!("  {}", safe::line(line))));
    if total > MOST_DIAGNOSTIC_LINES {
        lines.push(format!("  … {} more lines in build.log of the run directory", total - MOST_DIAGNOSTIC_LINES));
    }
}

fn checks(grade: &Grade, theme: &Theme, lines: &mut Vec<String>) {
    /// Characters of a check's name; a lab's own are shorter.
    const LONGEST_NAME: usize = 40;
    let shown = |check: &GradedCheck| safe::short(&check.id, LONGEST_NAME);
    let widest = grade.checks.iter().map(|check| shown(check).chars().count()).max().unwrap_or(0);
    for check in &grade.checks {
        let (word, style) = theme.of(&check.verdict);
        let points = format!("{:>5}/{:<3}", check.points.earned, check.points.max);
        let id = format!("{:widest$}", shown(check));
        let unstable = if check.unstable.is_some() { " (unstable)" } else { "" };
        lines.push(format!("{} {points} {id}  {}{unstable}", style.apply_to(format!("{word:>12}")), check.title));
    }
}

fn throughput(grade: &Grade, theme: &Theme, lines: &mut Vec<String>) {
    for session in grade.sessions.iter().filter(|session| !session.reference.is_empty()) {
        lines.push(String::new());
        let heading = format!(
            "{:<24} {:>8} {:>8} {:>8} {:>8}   {:>9} {:>7}",
            format!("instructions ({})", session.id),
            "mean",
            "median",
            "p99",
            "worst",
            "reference",
            "ratio"
        );
        lines.push(theme.dim.apply_to(heading).to_string());
        for (phase, own) in session.phases.iter().filter(|(phase, _)| session.reference.contains_key(*phase)) {
            let reference = session.reference[phase].mean;
            lines.push(format!(
                "{phase:<24} {:>8.1} {:>8} {:>8} {:>8}   {reference:>9.1} {:>6.2}x",
                own.mean,
                own.median,
                own.p99,
                own.worst,
                own.mean / reference
            ));
        }
    }
}

fn tables(grade: &Grade, theme: &Theme, lines: &mut Vec<String>) {
    for session in &grade.sessions {
        for own in &session.tables {
            let reference = session.reference_tables.iter().find(|reference| reference.title == own.title);
            let drawn = table::draw(own, reference);
            let mut drawn = drawn.iter().map(|line| safe::line(line));
            lines.push(String::new());
            let heading = drawn.next().unwrap_or_default();
            lines.push(theme.dim.apply_to(format!("{heading}   (session {})", session.id)).to_string());
            lines.extend(drawn);
        }
    }
}

/// Why a check lost points, and how to see it again.
pub fn details(grade: &Grade, check: &GradedCheck) -> Vec<String> {
    let mut lines = vec![check.title.clone()];
    match &check.verdict {
        Verdict::Pass => {}
        Verdict::Skipped { reason } | Verdict::Error { reason } => lines.push(safe::line(reason)),
        Verdict::Fail { reason, findings, violations } => {
            lines.push(safe::line(reason));
            for finding in findings {
                lines.push(String::new());
                lines.extend(explanation(finding));
            }
            let more = violations.saturating_sub(findings.len() as u64);
            if more > 0 {
                lines.push(String::new());
                lines.push(format!("and {more} more violations"));
            }
        }
    }
    lines.extend(check.unstable.iter().flat_map(|unstable| two_verdicts(grade, unstable)));
    if !matches!(check.verdict, Verdict::Skipped { .. }) && matches!(grade.build, Build::Built { .. }) {
        lines.push(format!("again: {} --check {}", safe::line(&grade.reproduce), check.id));
    }
    lines
}

/// That a check came to two verdicts with one seed, with the ends of both transcripts.
fn two_verdicts(grade: &Grade, unstable: &Unstable) -> Vec<String> {
    let word = |came: Came| if came == Came::Pass { "passed" } else { "failed" };
    let (first, second) = (word(unstable.first), word(unstable.second));
    let names = unstable.sessions.join(", ");
    let mut lines = vec![
        String::new(),
        format!(
            "unstable: booted twice with the same seed (session {names}), it {first} and then it {second}; the worse counts"
        ),
    ];
    for session in grade.sessions.iter().filter(|session| unstable.sessions.contains(&session.id)) {
        for (boot, word) in session.twice.iter().zip(["first", "second"]) {
            lines.push(format!(
                "  {word} boot: {}; all of it is in {} of the run's folder",
                safe::line(&boot.explanation),
                boot.transcript
            ));
            lines.extend(boot.lines.iter().map(|line| format!("  | {}", safe::line(line))));
        }
    }
    lines.push(String::new());
    lines
}

/// Sessions that were booted a second time and came to the same; those that did not are told of with their checks.
pub(super) fn same_twice(grade: &Grade) -> Vec<String> {
    let unstable = |id: &String| {
        grade.checks.iter().filter_map(|check| check.unstable.as_ref()).any(|unstable| unstable.sessions.contains(id))
    };
    let twice = grade.sessions.iter().filter(|session| !session.twice.is_empty() && !unstable(&session.id));
    let said = |session: &GradedSession| {
        format!(
            "session {}: booted a second time with the same seed, since a check failed that reads it, and no verdict changed",
            session.id
        )
    };
    twice.map(said).collect()
}

/// A finding in lines.
pub(super) fn explanation(found: &SessionFinding) -> Vec<String> {
    let finding = &found.finding;
    let mut lines = vec![
        format!("session {}, operation {}, {}", found.session, finding.operation, safe::line(&finding.who)),
        format!("  asked     {}", safe::line(&finding.asked)),
        format!("  answered  {}", safe::line(&finding.answered)),
        format!("  expected  {}", safe::line(&finding.expected)),
        format!("  because   {}", safe::line(&finding.why)),
    ];
    if let Some(map) = &finding.map {
        let mut drawn = map::draw(map).into_iter();
        lines.extend(drawn.next().map(|scale| format!("  memory    {scale} ({})", map::LEGEND)));
        lines.extend(drawn.map(|line| format!("            {line}")));
    }
    lines
}

fn early_ends(grade: &Grade, theme: &Theme, lines: &mut Vec<String>) {
    let early = |session: &&GradedSession| !session.excerpt.is_empty() || !session.damage.is_empty();
    for session in grade.sessions.iter().filter(early) {
        lines.push(String::new());
        let heading = format!("session {}: {}", session.id, safe::line(&session.explanation));
        lines.push(theme.bold.apply_to(heading).to_string());
        lines.extend(session.damage.iter().map(|damage| format!("  {}", safe::line(damage))));
        lines.extend(session.excerpt.iter().map(|line| format!("  | {}", safe::line(line))));
    }
}

/// Boots that were tried again. None of them was a failure of the submission's.
fn again(grade: &Grade, lines: &mut Vec<String>) {
    for session in grade.sessions.iter().filter(|session| session.again > 0) {
        lines.push(String::new());
        lines.push(format!(
            "session {}: booted again {} time(s), after a fault of the harness or the machine",
            session.id, session.again
        ));
    }
}

fn ignored(grade: &Grade, theme: &Theme, lines: &mut Vec<String>) {
    if grade.submission.ignored.is_empty() {
        return;
    }
    lines.push(String::new());
    let heading = "changed in vain, since the lab takes these from the course:";
    lines.push(theme.bold.apply_to(heading).to_string());
    lines.extend(grade.submission.ignored.iter().map(|path| format!("  {}", safe::line(path))));
}

/// What the verdicts rest on, strongest first, in one line.
fn attested(grade: &Grade) -> Option<String> {
    let by = |proof: Proof| {
        let checks = grade.checks.iter().filter(|check| check.proof == proof);
        let names: Vec<&str> = checks.map(|check| check.id.as_str()).collect();
        let all = names.len() == grade.checks.len();
        let names = if all { "all".to_owned() } else { names.join(", ") };
        (!names.is_empty()).then(|| format!("{names} by {}", proof.words()))
    };
    let parts: Vec<String> = Proof::ALL.into_iter().filter_map(by).collect();
    let missing = match &grade.witness {
        Some(Watched::Missing { why }) => format!("; nobody watched from outside, since {}", safe::line(why)),
        _ => String::new(),
    };
    (!parts.is_empty()).then(|| format!("{}{missing}", parts.join("; ")))
}

fn total(grade: &Grade, theme: &Theme) -> String {
    let style = match grade.outcome() {
        Outcome::Passed => &theme.pass,
        Outcome::Failed => &theme.fail,
        Outcome::Error => &theme.error,
    };
    let points = format!("{} of {} points", grade.points.earned, grade.points.max);
    let label = style.apply_to(format!("{:>12}", "Grade"));
    format!("{label} {}{}", style.apply_to(points), rest(grade))
}

/// What is said behind the points.
pub(super) fn rest(grade: &Grade) -> String {
    let count = |wanted: fn(&Verdict) -> bool| grade.checks.iter().filter(|check| wanted(&check.verdict)).count();
    let passed = count(|verdict| matches!(verdict, Verdict::Pass));
    let mut rest = String::new();
    if grade.partial {
        rest.push_str(" (partial: only the checks named on the command line)");
    }
    if grade.is_part() {
        rest.push_str(" of the visible checks (there are others, which are not shown)");
    }
    rest.push_str(&format!(", {passed} of {} checks passed", grade.checks.len()));
    let errors = count(|verdict| matches!(verdict, Verdict::Error { .. }));
    if errors > 0 {
        let withheld: Points = grade
            .checks
            .iter()
            .filter(|check| matches!(check.verdict, Verdict::Error { .. }))
            .map(|check| check.points.max)
            .sum();
        rest.push_str(&format!(
            "; {errors} could not be judged, {withheld} points undecided (the harness's fault, not the submission's)"
        ));
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_build_that_failed_is_told_once_below_the_checks() {
        let text = render(&samples::refused("expected `;`, found `}`", 1), &Theme::new(false));
        assert_eq!(text.matches("the submission does not compile").count(), 1, "{text}");
        let (checks, build) = (text.find("FAIL").expect("checks"), text.find("does not compile").expect("the reason"));
        assert!(checks < build, "{text}");
        assert!(!text.contains("points lost") && !text.contains("Attested"), "{text}");
    }
}
