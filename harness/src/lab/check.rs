//! The `checks` of a lab file.

use super::console;
use super::read::{Judges, Known};
use super::session::Sessions;
use super::values;
use super::{Bound, Check, CheckId, Clock, Judge, Kernels, Proof, Rule, Session, SessionId, Visibility};
use crate::similar;
use crate::yaml::{Fields, Node, Problem, Reader};

const JUDGES: &str = "exactly one of `oracle`, `metric`, `ktap`, `ends`, `console`";

/// A judge with what a check says to students where it has no title of its own.
type Judged = (Judge, String);

pub(super) fn read_checks(
    node: &Node,
    reader: &mut Reader<'_>,
    sessions: Option<&Sessions>,
    known: &Known<'_>,
) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    let mut seen: Vec<(String, usize)> = Vec::new();
    let mut used: Vec<String> = Vec::new();
    let Some(items) = reader.list(node, "a list of graded items") else { return checks };
    if items.is_empty() {
        reader.wrong_value::<()>(node, "a list of at least one graded item");
    }
    for item in items {
        let Some(check) = read_check(item, reader, sessions, known, &mut seen, &mut used) else { continue };
        let hidden = |id: &CheckId| checks.iter().any(|other| other.id == *id && !other.visibility.is_visible());
        if let Some(needed) = check.needs.iter().find(|id| check.visibility.is_visible() && hidden(id)) {
            let text = format!(
                "students see check `{}`, and would learn from it what became of the hidden one that it needs, `{needed}`",
                check.id
            );
            reader.note(item.at.clone(), Problem::Conflict(text));
        }
        checks.push(check);
    }
    for (name, at) in sessions.iter().flat_map(|sessions| &sessions.names) {
        if !items.is_empty() && !used.contains(name) {
            let text = format!("no check reads session `{name}`: it would be booted for nothing");
            reader.note(at.clone(), Problem::Conflict(text));
        }
    }
    checks
}

fn read_check(
    node: &Node,
    reader: &mut Reader<'_>,
    sessions: Option<&Sessions>,
    known: &Known<'_>,
    seen: &mut Vec<(String, usize)>,
    used: &mut Vec<String>,
) -> Option<Check> {
    let judges = &known.judges;
    let mut fields = reader.fields(node, "a check")?;
    let id_node = fields.required(reader, "id", "the name of the check");
    let id = id_node.and_then(|node| reader.name(node, "a check"));
    if let (Some(id), Some(node)) = (&id, id_node) {
        match seen.iter().find(|(other, _)| other == id) {
            Some((_, first)) => {
                let problem = Problem::Repeated { what: "the check", name: id.clone(), first: *first };
                reader.note(node.at.clone(), problem);
            }
            None => seen.push((id.clone(), reader.line(&node.at))),
        }
    }
    let title = fields.optional("title").map(|node| reader.text(node, "a sentence on what must hold"));
    let session_node = fields.required(reader, "session", "the name of a session, or a list of them");
    let names = session_node.map(|node| read_names(node, reader, sessions, used));
    let points = fields.required(reader, "points", "what the check is worth");
    let points = points.and_then(|node| reader.integer(node, 1..=1_000_000));
    let of_check = |session: &&Session| names.as_ref().is_some_and(|names| names.contains(&session.id));
    let read: Vec<&Session> = sessions.iter().flat_map(|sessions| &sessions.list).filter(of_check).collect();
    let visibility = fields
        .optional("visibility")
        .map_or(Some("visible"), |node| reader.known(node, "visibility", &["visible", "hidden"]));
    let visibility = if visibility == Some("hidden") { Visibility::Hidden } else { Visibility::Visible };
    let needs = fields.optional("needs").map_or_else(Vec::new, |node| {
        let items = reader.one_or_more(node, "the name of a check further up, or a list of them").unwrap_or_default();
        // Only what stands before it, so that no two need each other.
        let above: Vec<&str> =
            seen.iter().map(|(name, _)| name.as_str()).filter(|name| id.as_deref() != Some(name)).collect();
        items.iter().filter_map(|item| reader.known(item, "check further up", &above)).map(str::to_owned).collect()
    });
    let least_node = fields.optional("proof");
    let least_proof = least_node.map(|node| {
        let name = reader.known(node, "kind of proof", &Proof::ALL.map(Proof::name))?;
        Proof::ALL.into_iter().find(|proof| proof.name() == name)
    });
    let judged = read_judge(&mut fields, reader, judges, &read);
    reader.finish(fields);

    let (judge, default_title) = judged?;
    if let (Some(node), Some(names), Some(sessions)) = (session_node, &names, sessions) {
        for session in sessions.list.iter().filter(|session| names.contains(&session.id)) {
            suits(&judge, node, session, names.len(), reader, judges);
        }
    }
    let title = match title {
        None => default_title,
        Some(title) => title?.to_owned(),
    };
    // What it is judged by is what its sessions show, so it is for the kernels that they are for.
    let kernels = sessions
        .iter()
        .flat_map(|sessions| &sessions.list)
        .filter(|session| names.as_ref().is_some_and(|names| names.contains(&session.id)));
    let kernels = kernels.map(|session| session.kernels.clone()).reduce(Kernels::or).unwrap_or_default();
    let typed = sessions
        .iter()
        .flat_map(|sessions| &sessions.list)
        .any(|session| !session.console.is_empty() && names.as_ref().is_some_and(|names| names.contains(&session.id)));
    let proof = match &judge {
        Judge::Console(_) => Proof::ConsolePattern,
        Judge::Metric { .. } if typed => Proof::ConsolePattern,
        Judge::Oracle(_) | Judge::Metric { .. } => Proof::Trace,
        Judge::Ktap(_) => Proof::GuestChecks,
        Judge::Ends => Proof::Ending,
    };
    if let (Some(node), Some(Some(least))) = (least_node, least_proof) {
        // The witness can confirm what is reported; what is judged by something weaker stays that.
        let most = match proof {
            Proof::Trace | Proof::Ending => Proof::Witnessed,
            weaker => weaker,
        };
        if most.strength() < least.strength() {
            let text = format!("it can never be {}: it rests on {} at the most", least.name(), most.words());
            reader.note(node.at.clone(), Problem::Conflict(text));
        }
    }
    let points = u32::try_from(points?).ok()?;
    let needs: Vec<CheckId> = needs.into_iter().map(CheckId).collect();
    Some(Check {
        id: CheckId(id?),
        kernels,
        title,
        sessions: names?,
        judge,
        needs,
        proof,
        least_proof: least_proof.flatten(),
        visibility,
        points,
    })
}

fn read_names(
    node: &Node,
    reader: &mut Reader<'_>,
    sessions: Option<&Sessions>,
    used: &mut Vec<String>,
) -> Vec<SessionId> {
    const EXPECTED: &str = "the name of a session, or a list of them";
    let known: Vec<&str> =
        sessions.iter().flat_map(|sessions| &sessions.names).map(|(name, _)| name.as_str()).collect();
    let mut names: Vec<SessionId> = Vec::new();
    for item in reader.one_or_more(node, EXPECTED).unwrap_or_default() {
        // Without sessions every name would be reported, which helps nobody.
        let name = match sessions {
            Some(_) => reader.known(item, "session", &known).map(str::to_owned),
            None => reader.word(item, EXPECTED),
        };
        let Some(name) = name else { continue };
        if names.iter().any(|other| other.0 == name) {
            let first = reader.line(&node.at);
            reader.note(item.at.clone(), Problem::Repeated { what: "the session", name, first });
            continue;
        }
        used.push(name.clone());
        names.push(SessionId(name));
    }
    names
}

/// Reads the one judge that a check of these sessions has.
fn read_judge(
    fields: &mut Fields<'_>,
    reader: &mut Reader<'_>,
    judges: &Judges<'_>,
    sessions: &[&Session],
) -> Option<Judged> {
    let oracle = fields.optional("oracle");
    let metric = fields.optional("metric");
    let ktap = fields.optional("ktap");
    let ends = fields.optional("ends");
    let console = fields.optional("console");
    let beside = ["full", "zero", "given"].map(|key| (key, fields.optional(key)));

    let given: Vec<&Node> = [oracle, metric, ktap, ends, console].into_iter().flatten().collect();
    if given.len() != 1 {
        let at = given.get(1).map_or(fields.at(), |second| second.at.clone());
        reader.note(at, Problem::Conflict(format!("a check is judged by {JUDGES}, and this one has {}", given.len())));
        return None;
    }
    if metric.is_none() {
        for (key, node) in beside {
            if let Some(node) = node {
                let text = format!("`{key}` is for checks with a `metric`, and this one has none");
                reader.note(node.at.clone(), Problem::Conflict(text));
            }
        }
    }
    if let Some(node) = oracle {
        let (rule, meaning) = read_rule(node, reader, judges.oracles)?;
        return Some((Judge::Oracle(rule), meaning));
    }
    if let Some(node) = metric {
        return read_metric(node, reader, fields, beside.map(|(_, node)| node), judges, sessions);
    }
    if let Some(node) = ktap {
        let pattern = reader.pattern(node)?;
        let title = format!("The kernel's own checks that match `{pattern}` hold");
        return Some((Judge::Ktap(pattern), title));
    }
    if let Some(node) = console {
        let (said, at) = console::read_said(node, reader)?;
        if let Some(after) = &said.after {
            let unknown = sessions.iter().find(|session| session.console.iter().all(|command| command.typed != *after));
            if let Some(session) = unknown {
                let known: Vec<&str> = session.console.iter().map(|command| command.typed.as_str()).collect();
                reader.unknown(at, "command typed in that session:", after, &known);
            }
        }
        let shown = |patterns: &[console::Pattern]| {
            patterns.iter().map(|pattern| format!("`{}`", pattern.as_str())).collect::<Vec<_>>().join(" and ")
        };
        let mut title = match &said.after {
            Some(after) => format!("After `{after}` the console says"),
            None => "The console says".to_owned(),
        };
        if !said.expect.is_empty() {
            title.push_str(&format!(" what matches {}", shown(&said.expect)));
        }
        if !said.not.is_empty() {
            title.push_str(if said.expect.is_empty() { "" } else { ", and" });
            title.push_str(&format!(" nothing that matches {}", shown(&said.not)));
        }
        return Some((Judge::Console(said), title));
    }
    match ends?.value {
        crate::yaml::Value::Bool(true) => {
            Some((Judge::Ends, "Every program ends well, and every page comes back".to_owned()))
        }
        _ => reader.wrong_type(ends?, "`true`"),
    }
}

/// Reads `ORACLE.RULE`, with what the rule means for a student.
fn read_rule(node: &Node, reader: &mut Reader<'_>, oracles: &[(&str, &[(&str, &str)])]) -> Option<(Rule, String)> {
    let full: Vec<String> = oracles
        .iter()
        .flat_map(|(oracle, rules)| rules.iter().map(move |(rule, _)| format!("{oracle}.{rule}")))
        .collect();
    let text = reader.text(node, "an oracle and one of its rules, as in `buddy.sound`")?;
    let found = text.split_once('.').and_then(|(oracle, rule)| {
        let (_, rules) = oracles.iter().find(|(name, _)| *name == oracle)?;
        let (_, meaning) = rules.iter().find(|(name, _)| *name == rule)?;
        Some((Rule { oracle: oracle.to_owned(), group: rule.to_owned() }, (*meaning).to_owned()))
    });
    if found.is_none() {
        let known: Vec<&str> = full.iter().map(String::as_str).collect();
        let meant = similar::meant(text, known.iter().copied()).map(str::to_owned);
        let problem =
            Problem::UnknownName { what: "oracle with the rule", name: text.to_owned(), expected: full, meant };
        reader.note(node.at.clone(), problem);
    }
    found
}

fn read_metric(
    node: &Node,
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    [full_node, zero_node, given_node]: [Option<&Node>; 3],
    judges: &Judges<'_>,
    sessions: &[&Session],
) -> Option<Judged> {
    let statistics: Vec<&str> = judges.subjects.iter().flat_map(|subject| subject.statistics).copied().collect();
    let expected = format!("a metric, `PHASE.STATISTIC` with one of {} as the statistic", statistics.join(", "));
    let printed: Vec<String> = sessions.iter().flat_map(|session| &session.console).flat_map(|c| c.metrics()).collect();
    let metric = if sessions.iter().any(|session| !session.console.is_empty()) {
        let printed: Vec<&str> = printed.iter().map(String::as_str).collect();
        reader.known(node, "figure that the session reads", &printed).map(str::to_owned)
    } else {
        reader.parsed(node, &expected, |word| {
            let (phase, statistic) = word.rsplit_once('.')?;
            (!phase.is_empty() && statistics.contains(&statistic)).then(|| word.to_owned())
        })
    };
    let mut bound = |key: &'static str, node: Option<&Node>| {
        const EXPECTED: &str = "a ratio to the reference, as in `1.25x`, or a number above zero";
        let Some(node) = node else {
            let problem = Problem::MissingKey { key, of: "a check with a metric", expected: EXPECTED.to_owned() };
            reader.note(fields.at(), problem);
            return None;
        };
        reader.parsed(node, EXPECTED, values::bound)
    };
    let (full, zero) = (bound("full", full_node), bound("zero", zero_node));
    let given = given_node.map(|node| read_rule(node, reader, judges.oracles));
    let given = match given {
        None => None,
        Some(given) => Some(given?.0),
    };
    let (metric, full, zero) = (metric?, full?, zero?);
    let conflict = match (full, zero) {
        (Bound::Ratio(full), Bound::Ratio(zero)) | (Bound::Absolute(full), Bound::Absolute(zero)) => {
            (full == zero).then(|| "`full` and `zero` are the same: points must have somewhere to fall off".to_owned())
        }
        _ => Some(format!("`full` and `zero` must both be ratios, or both be numbers, and are {full} and {zero}")),
    };
    if let Some(text) = conflict {
        reader.note(full_node?.at.clone(), Problem::Conflict(text));
        return None;
    }
    let title = match full {
        Bound::Ratio(_) => format!("`{metric}` is near the reference's"),
        Bound::Absolute(_) => format!("`{metric}` is near {full}"),
    };
    Some((Judge::Metric { metric, full, zero, given }, title))
}

/// Notes where a session cannot give what a judge needs.
fn suits(judge: &Judge, node: &Node, session: &Session, sessions: usize, reader: &mut Reader<'_>, judges: &Judges<'_>) {
    let programs: Vec<&str> = judges.subjects.iter().flat_map(|subject| subject.programs).copied().collect();
    let runs_workload = || {
        let program = |line: &String| line.split_ascii_whitespace().next().map(str::to_owned).unwrap_or_default();
        session.run.iter().map(program).any(|program| programs.contains(&program.as_str()))
    };
    let id = &session.id;
    let text = match judge {
        Judge::Oracle(_) if !runs_workload() => format!(
            "session `{id}` runs no program with a workload ({}), so an oracle has nothing to judge",
            programs.join(", ")
        ),
        Judge::Metric { .. } if sessions > 1 || session.ticks.len() > 1 => {
            "a metric is read from one boot: one session with at most one tick".to_owned()
        }
        Judge::Metric { full: Bound::Ratio(_), .. } if !session.console.is_empty() => {
            "a figure that is read from the console has no reference: `full` and `zero` must be numbers".to_owned()
        }
        Judge::Console(said) if said.after.is_none() && !session.console.is_empty() => {
            format!("session `{id}` types commands: `after` must name the one whose output is read")
        }
        Judge::Ktap(_) | Judge::Ends if !session.console.is_empty() => {
            format!("session `{id}` types commands, and is judged by what the console says: `console`, or `metric`")
        }
        Judge::Metric { .. } if session.clock == Clock::Parallel && session.console.is_empty() => {
            format!(
                "session `{id}` runs under the parallel clock, whose counters differ from run to run: score only under the virtual one"
            )
        }
        _ => return,
    };
    reader.note(node.at.clone(), Problem::Conflict(text));
}
