//! The `sessions` of a lab file.

use std::collections::BTreeMap;

use abi::boot::{ArenaRegion, MAX_ARENA_REGIONS, PageSource};
use abi::page::{MAX_ORDER, PAGE_SIZE};

use super::console;
use super::read::Known;
use super::values;
use super::{Clock, Deadline, Nanoseconds, Session, SessionId};
use crate::subject::Subject;
use crate::yaml::{Node, Problem, Reader, is_name};

/// Where a session's deadline lies unless the lab says: guest time that no correct run comes near.
const GUEST_DEADLINE: Deadline = Deadline::Guest(300_000_000);
/// As above, where only wall time is to be had.
const WALL_DEADLINE: Deadline = Deadline::Wall(20_000_000_000);
const MEMORY: u32 = 128;
const OUTPUT_LIMIT: u64 = 1 << 20;
/// Memory in MiB that the kernel, its programs and their pages need beside an arena.
const MEMORY_BESIDE_ARENA: u64 = 24;
/// Ticks that leave a process time to do anything, and interrupt it before a session is over.
const TICKS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000;

/// The sessions that could be read, and the names of all that the file has: a check that names a defective
/// session is not wrong itself.
pub(super) struct Sessions {
    pub(super) list: Vec<Session>,
    /// Each name with the place that defines it.
    pub(super) names: Vec<(String, std::ops::Range<usize>)>,
}

pub(super) fn read_sessions(node: &Node, reader: &mut Reader<'_>, known: &Known<'_>) -> Sessions {
    let mut sessions = Sessions { list: Vec::new(), names: Vec::new() };
    for (name, key, value) in reader.names(node, "session") {
        sessions.names.push((name.clone(), key.at.clone()));
        if !is_name(&name) {
            reader.wrong_value::<()>(key, "the name of a session: letters, digits, `-`, `_` and `.`");
            continue;
        }
        sessions.list.extend(read_session(SessionId(name), value, reader, known));
    }
    sessions
}

fn read_session(id: SessionId, node: &Node, reader: &mut Reader<'_>, known: &Known<'_>) -> Option<Session> {
    let mut fields = reader.fields(node, "a session")?;
    let kernels = super::read::read_kinds(&mut fields, reader, known);
    let run_node = fields.optional("run");
    let run = run_node.map(|node| read_run(node, reader, known.judges.subjects));
    let console_node = fields.optional("console");
    let commands = console_node.map(|node| console::read_commands(node, reader));
    let typed = console_node.is_some();
    let phrases_node = fields.optional("phrases");
    let phrases = phrases_node.map_or(Some(Vec::new()), |node| console::read_phrases(node, reader));
    let harts = fields.optional("harts").map_or(Some(1), |node| reader.integer(node, 1..=8));
    let clock_node = fields.optional("clock");
    let clock = clock_node.map_or(Some(if typed { "parallel" } else { "virtual" }), |node| {
        reader.known(node, "clock", &["virtual", "parallel"])
    });
    let clock = clock.map(|word| if word == "virtual" { Clock::Virtual } else { Clock::Parallel });
    let ticks = fields.optional("tick").map_or(Some(Vec::new()), |node| read_ticks(node, reader));
    let deadline_node = fields.optional("deadline");
    let deadline = deadline_node.map(|node| {
        reader.parsed(node, "a deadline: a length of time and whose, as in `2s guest` or `20s wall`", values::deadline)
    });
    let pages =
        fields.optional("pages").map_or(Some("trusted"), |node| reader.known(node, "page source", &["trusted", "lab"]));
    let pages = pages.map(|word| if word == "lab" { PageSource::Lab } else { PageSource::Trusted });
    let heap = fields.optional("heap").map_or(Some("trusted"), |node| reader.known(node, "heap", &["trusted", "lab"]));
    let heap = heap.map(|word| if word == "lab" { PageSource::Lab } else { PageSource::Trusted });
    let arena_node = fields.optional("arena");
    let arena = arena_node.map_or(Some(Vec::new()), |node| read_arena(node, reader));
    let memory = fields.optional("memory").map_or(Some(MEMORY), |node| {
        let size = |word: &str| values::mebibytes(word).filter(|size| (16..=4096).contains(size));
        reader.parsed(node, "a size of memory from 16M to 4G, as in `128M`", size)
    });
    let output_limit = fields.optional("output-limit").map_or(Some(OUTPUT_LIMIT), |node| {
        let size = |word: &str| values::mebibytes(word).filter(|size| (1..=1024).contains(size));
        Some(u64::from(reader.parsed(node, "a size of output from 1M to 1G, as in `2M`", size)?) << 20)
    });
    reader.finish(fields);

    let clock = clock?;
    if run_node.is_some() == typed {
        let text = "a session has either a script (`run`), or commands that are typed (`console`)";
        reader.note(node.at.clone(), Problem::Conflict(text.to_owned()));
        return None;
    }
    if let (Some(node), false) = (phrases_node, typed) {
        let text = "`phrases` are those of programs whose output is read off the console, and this session types none";
        reader.note(node.at.clone(), Problem::Conflict(text.to_owned()));
    }
    if let (Some(node), true, Clock::Virtual) = (clock_node, typed, clock) {
        let text = "what is typed arrives when the host gets to it, so such a session is under the parallel clock";
        reader.note(node.at.clone(), Problem::Conflict(text.to_owned()));
    }
    if let (Some(node), true) = (deadline_node, typed) {
        let text = "each command that is typed has a `limit` of its own, and the session no deadline";
        reader.note(node.at.clone(), Problem::Conflict(text.to_owned()));
    }
    let deadline = match (deadline, clock) {
        (Some(None), _) => None,
        (Some(Some(deadline)), _) => Some(deadline),
        (None, _) if typed => commands.iter().flatten().map(|commands| console::time(commands)).next(),
        (None, Clock::Virtual) => Some(GUEST_DEADLINE),
        (None, Clock::Parallel) => Some(WALL_DEADLINE),
    };
    if let (Some(node), Some(deadline)) = (deadline_node, deadline) {
        let conflict = match (clock, deadline) {
            (Clock::Virtual, Deadline::Wall(_)) => {
                "under the virtual clock a deadline is in guest time (`2s guest`), so that a slow machine fails nobody"
            }
            (Clock::Parallel, Deadline::Guest(_)) => {
                "under the parallel clock a deadline is in wall time (`20s wall`): there is no other"
            }
            _ => "",
        };
        if !conflict.is_empty() && !typed {
            reader.note(node.at.clone(), Problem::Conflict(conflict.to_owned()));
        }
    }
    if let (Some(node), Some(arena), Some(memory)) = (arena_node, &arena, memory) {
        fits_memory(node, reader, arena, memory);
    }
    Some(Session {
        id,
        kernels,
        run: run.unwrap_or(Some(Vec::new()))?,
        phrases: phrases?,
        console: commands.unwrap_or(Some(Vec::new()))?,
        harts: u8::try_from(harts?).ok()?,
        clock,
        ticks: ticks?,
        deadline: deadline?,
        pages: pages?,
        heap: heap?,
        arena: arena?,
        memory: memory?,
        output_limit: output_limit?,
        files: std::collections::BTreeMap::new(),
    })
}

fn read_run(node: &Node, reader: &mut Reader<'_>, subjects: &[Subject]) -> Option<Vec<String>> {
    const EXPECTED: &str = "a script line (a program and its arguments), or a list of them";
    let mut lines = Vec::new();
    for item in reader.one_or_more(node, EXPECTED)? {
        let Some(line) = reader.text(item, EXPECTED) else { continue };
        if line.contains(['\n', '\r', '\0']) {
            reader.wrong_value::<()>(item, "one line");
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let program = words.next().unwrap_or_default();
        if !is_name(program) {
            reader.wrong_value::<()>(item, "a script line: it must begin with the name of a program");
            continue;
        }
        if let Some(subject) = subjects.iter().find(|subject| subject.programs.contains(&program)) {
            let arguments = line.trim_start().strip_prefix(program).unwrap_or_default();
            if words.any(|word| word == "--seed") {
                let text = "a script line has no `--seed`: the harness adds the one that the grade names";
                reader.note(item.at.clone(), Problem::Conflict(text.to_owned()));
            } else if let Err(bad) = (subject.check_arguments)(arguments) {
                reader.note(item.at.clone(), Problem::Conflict(format!("in `{line}`, {bad}")));
            }
        }
        lines.push(line.to_owned());
    }
    Some(lines)
}

fn read_ticks(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<u64>> {
    let expected = format!(
        "the length of a tick from {} to {}, as in `10us`",
        Nanoseconds(*TICKS.start()),
        Nanoseconds(*TICKS.end())
    );
    let mut ticks: BTreeMap<u64, &Node> = BTreeMap::new();
    let mut list = Vec::new();
    for item in reader.one_or_more(node, &format!("{expected}, or a list of them"))? {
        let tick = |word: &str| values::nanoseconds(word).filter(|tick| TICKS.contains(tick));
        let Some(tick) = reader.parsed(item, &expected, tick) else { continue };
        if let Some(first) = ticks.insert(tick, item) {
            // Under the virtual clock equal ticks replay the same interleaving.
            let first = reader.line(&first.at);
            reader.note(
                item.at.clone(),
                Problem::Repeated { what: "the tick", name: Nanoseconds(tick).to_string(), first },
            );
        }
        list.push(tick);
    }
    Some(list)
}

fn read_arena(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<ArenaRegion>> {
    let expected =
        format!("a region of the arena: pages, or pages+skew with a skew below {}, as in `4099+3`", 1u64 << MAX_ORDER);
    let items = reader.one_or_more(node, &format!("{expected}, or a list of them"))?;
    if items.len() > MAX_ARENA_REGIONS {
        reader.wrong_value::<()>(node, format!("a list of at most {MAX_ARENA_REGIONS} regions"));
    }
    Some(items.iter().filter_map(|item| reader.parsed(item, &expected, values::arena_region)).collect())
}

fn fits_memory(node: &Node, reader: &mut Reader<'_>, arena: &[ArenaRegion], memory: u32) {
    // Each region begins at its skew past a boundary of the largest block, so up to one such block is lost before it.
    let pages = arena.iter().fold(0u64, |sum, region| {
        sum.saturating_add(region.pages).saturating_add(region.skew).saturating_add(1 << MAX_ORDER)
    });
    let room = u64::from(memory).saturating_sub(MEMORY_BESIDE_ARENA) * ((1 << 20) / PAGE_SIZE);
    if pages > room {
        let text =
            format!("the arena needs {pages} pages with its alignment, and {memory}M of memory leaves {room} for it");
        reader.note(node.at.clone(), Problem::Conflict(text));
    }
}
