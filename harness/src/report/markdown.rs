//! The grade as Markdown, for the summary of a GitHub workflow and whatever else shows it.
//!
//! What a submission had a hand in stands in code blocks and code spans only, where nothing is markup, no address
//! becomes a link, and nobody is mentioned.

use super::{map, safe, table, terminal};
use crate::grade::{Build, Grade, GradedCheck, GradedSession, Outcome, Problem, SessionFinding, Verdict};

/// Lines that a block has at the most; the log and the run's folder have all.
const MOST_LINES: usize = 80;

/// The whole report.
pub fn to_string(grade: &Grade) -> String {
    sections(grade).concat()
}

/// The report in so many bytes: sections that do not fit are left out, the most telling come first.
pub fn within(grade: &Grade, bytes: usize) -> String {
    const LEFT_OUT: &str = "_There is more than fits here: the log has all of it._\n";
    let mut text = String::new();
    for section in sections(grade) {
        if text.len() + section.len() + LEFT_OUT.len() > bytes {
            if text.len() + LEFT_OUT.len() <= bytes {
                text.push_str(LEFT_OUT);
            }
            return text;
        }
        text.push_str(&section);
    }
    text
}

/// Each ends in an empty line, and none is empty.
fn sections(grade: &Grade) -> Vec<String> {
    let failing = |check: &&GradedCheck| !matches!(check.verdict, Verdict::Pass);
    let explained =
        |check: &&GradedCheck| matches!(&check.verdict, Verdict::Fail { findings, .. } if !findings.is_empty());
    let first = grade.checks.iter().find(explained);
    let mut sections = vec![head(grade)];
    sections.extend(build(grade));
    sections.push(checks(grade));
    sections.extend(grade.sessions.iter().find_map(stopped));
    sections.extend(first.and_then(first_operation));
    sections.extend(grade.sessions.iter().filter_map(throughput));
    sections.extend(tables(grade));
    if matches!(grade.build, Build::Built { .. }) {
        sections.extend(grade.checks.iter().filter(failing).map(|check| lost(grade, check)));
    }
    sections.extend(grade.sessions.iter().filter_map(early_end));
    sections.extend(terminal::same_twice(grade).iter().map(|line| format!("{}\n\n", plain(line))));
    sections.extend(ignored(grade));
    sections.push(foot(grade));
    sections
}

fn head(grade: &Grade) -> String {
    let sign = match grade.outcome() {
        Outcome::Passed => "✅",
        Outcome::Failed => "❌",
        Outcome::Error => "⚠️",
    };
    let mut text = format!("## {sign} {}\n\n", plain(&format!("{}: {}", grade.lab.id, grade.lab.title)));
    text.push_str(&format!("**{} of {} points**{}\n\n", grade.points.earned, grade.points.max, terminal::rest(grade)));
    text.push_str(&format!("Graded: {}\n\n", code(&grade.submission.what)));
    text
}

fn build(grade: &Grade) -> Option<String> {
    let (heading, reason, diagnostics) = match &grade.build {
        Build::Built { .. } => return None,
        Build::Refused { reason, diagnostics, .. } => ("It was not built", reason, diagnostics.as_str()),
        Build::Error { reason } => ("The grader could not build it; that is no fault of yours", reason, ""),
    };
    let mut text = format!("### {heading}\n\n{}\n\n", code(reason));
    // What is in the reason already needs no block of its own.
    if !diagnostics.is_empty() && !reason.contains(diagnostics.trim_end()) {
        text.push_str(&format!("{}\n", block(diagnostics.lines(), "text")));
    }
    Some(text)
}

fn checks(grade: &Grade) -> String {
    let mut text = "| | check | points | what must hold |\n| --- | --- | ---: | --- |\n".to_owned();
    for check in &grade.checks {
        let sign = match check.verdict {
            Verdict::Pass => "✅",
            Verdict::Fail { .. } => "❌",
            Verdict::Error { .. } => "⚠️",
            Verdict::Skipped { .. } => "➖",
        };
        let (earned, max) = (check.points.earned, check.points.max);
        let unstable = if check.unstable.is_some() { " **(unstable)**" } else { "" };
        let (id, title) = (cell(&check.id), plain(&check.title));
        text.push_str(&format!("| {sign} | {id} | {earned}/{max} | {title}{unstable} |\n"));
    }
    if grade.is_part() {
        text.push_str("\n_There are more checks, which are not shown, and neither is the sum of all points._\n");
    }
    text.push('\n');
    text
}

/// The line of the student's own at which a session ended.
fn stopped(session: &GradedSession) -> Option<String> {
    let Problem { place, message, .. } = session.problem.as_ref()?;
    let place = format!("{}:{}", place.file, place.line);
    Some(format!("### Where it stopped\n\nSession {}, {}: {}\n\n", code(&session.id), code(&place), code(message)))
}

/// The first violated rule, with the operation that shows it.
fn first_operation(check: &GradedCheck) -> Option<String> {
    let Verdict::Fail { findings, .. } = &check.verdict else { return None };
    let SessionFinding { session, finding } = findings.first()?;
    let mut text = format!(
        "### The first operation that went wrong\n\n{}\n\nIn check {}, session {}:\n\n",
        plain(&check.title),
        code(&check.id),
        code(session)
    );
    // In a table, long lines are wrapped; in a block they are not.
    let rows = [
        ("asked", &finding.asked),
        ("answered", &finding.answered),
        ("expected", &finding.expected),
        ("because", &finding.why),
    ];
    text.push_str(&format!("| operation {} | {} |\n| --- | --- |\n", finding.operation, cell(&finding.who)));
    rows.iter().for_each(|(name, said)| text.push_str(&format!("| {name} | {} |\n", cell(said))));
    text.push('\n');
    if let Some(map) = &finding.map {
        let drawn = map::draw(map);
        let lines = std::iter::once(map::LEGEND).chain(drawn.iter().map(String::as_str));
        text.push_str(&format!("{}\n", block(lines, "text")));
    }
    Some(text)
}

fn throughput(session: &GradedSession) -> Option<String> {
    let compared: Vec<_> =
        session.phases.iter().filter_map(|(phase, own)| Some((phase, own, session.reference.get(phase)?))).collect();
    if compared.is_empty() {
        return None;
    }
    let mut text = format!(
        "### Guest instructions per operation, session {}\n\n\
         | phase | mean | median | p99 | worst | reference's mean | ratio |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        code(&session.id)
    );
    for (phase, own, reference) in compared {
        text.push_str(&format!(
            "| {} | {:.1} | {} | {} | {} | {:.1} | {:.2}x |\n",
            cell(phase),
            own.mean,
            own.median,
            own.p99,
            own.worst,
            reference.mean,
            own.mean / reference.mean
        ));
    }
    text.push('\n');
    Some(text)
}

fn tables(grade: &Grade) -> Vec<String> {
    let of_session = |session: &GradedSession| {
        let reference = |title: &str| session.reference_tables.iter().find(|table| table.title == title).cloned();
        let drawn = session.tables.iter().map(|own| table::draw(own, reference(&own.title).as_ref()));
        let shown = drawn.map(|lines| folded("Figures", &session.id, &block(lines.iter().map(String::as_str), "text")));
        shown.collect::<Vec<_>>()
    };
    grade.sessions.iter().flat_map(of_session).collect()
}

/// A check that lost points, with all that is said of it.
fn lost(grade: &Grade, check: &GradedCheck) -> String {
    let lost = check.points.max.without(check.points.earned);
    let lines = terminal::details(grade, check);
    let heading = format!("{lost} of {} points lost:", check.points.max);
    folded(&heading, &check.id, &block(lines.iter().map(String::as_str), "text"))
}

fn early_end(session: &GradedSession) -> Option<String> {
    if session.excerpt.is_empty() && session.damage.is_empty() {
        return None;
    }
    let explanation = std::iter::once(session.explanation.as_str());
    let lines = explanation.chain(session.damage.iter().chain(&session.excerpt).map(String::as_str));
    Some(folded("How a session ended:", &session.id, &block(lines, "text")))
}

fn ignored(grade: &Grade) -> Option<String> {
    let ignored = &grade.submission.ignored;
    let lines = block(ignored.iter().map(String::as_str), "text");
    (!ignored.is_empty())
        .then(|| format!("### Changed in vain\n\nThe lab takes these files from the course:\n\n{lines}\n"))
}

fn foot(grade: &Grade) -> String {
    let again = block(std::iter::once(grade.reproduce.as_str()), "console");
    let confined = grade.confinement.as_ref().map(|confined| format!("Confined: {}\n\n", plain(&confined.to_string())));
    format!(
        "The same again, in a clone of the repository with this branch:\n\n{again}\n{}",
        confined.unwrap_or_default()
    )
}

/// A part that is shown when it is asked for. Both titles are ours.
fn folded(what: &str, name: &str, body: &str) -> String {
    // A name of the lab's own has letters, digits, `-`, `_`, `.` and `@` only.
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.@".contains(*c)).collect();
    format!("<details><summary>{what} <code>{name}</code></summary>\n\n{body}\n</details>\n\n")
}

/// Lines as a code block that none of them can end.
fn block<'l>(lines: impl Iterator<Item = &'l str>, language: &str) -> String {
    let mut lines: Vec<String> = lines.map(safe::line).collect();
    if lines.len() > MOST_LINES {
        let more = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push(format!("… {more} more lines"));
    }
    let fence = "`".repeat(3.max(1 + longest_run(&lines.join("\n"))));
    format!("{fence}{language}\n{}\n{fence}\n", lines.join("\n"))
}

/// Text as a code span.
pub fn code(text: &str) -> String {
    let text = safe::line(text);
    if text.trim().is_empty() {
        // An empty span is none.
        return String::new();
    }
    let ticks = "`".repeat(1 + longest_run(&text));
    format!("{ticks} {text} {ticks}")
}

/// Text as a code span in a table, where a bar begins another column even in code: it becomes a line that looks like
/// one.
fn cell(text: &str) -> String {
    code(text).replace('|', "\u{2502}")
}

/// Text in which nothing is markup: of the course's own, since a mention of somebody stays one.
fn plain(text: &str) -> String {
    let escape = |character: char| match character {
        '.' | ',' | '(' | ')' | '-' | ':' | ';' | '/' | '\'' | '"' | '%' | '?' | '=' => character.to_string(),
        mark if mark.is_ascii_punctuation() => format!("\\{mark}"),
        other => other.to_string(),
    };
    safe::line(text).chars().map(escape).collect()
}

/// The most backticks in a row.
fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
