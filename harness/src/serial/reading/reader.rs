//! Goes through a transcript line by line and puts together what belongs together.

use std::collections::BTreeMap;

use abi::object::Event;

use super::ending::{self, Ending, Last};
use super::{Damage, Flaw, Placed, Program, ProgramEnd, Reading, Unknown};
use crate::buffer_trace;
use crate::list_trace;
use crate::serial::framer::{Framer, Kind, Line};
use crate::serial::ktap;
use crate::serial::record::{self, Record};
use crate::session::Stop;
use crate::space_trace;
use crate::trace::Operation;

pub(super) fn read(serial: &[u8], stop: &Stop, output_limit: u64) -> Reading {
    let mut reader = Reader::default();
    let mut framer = Framer::new();
    framer.push(serial, |line| reader.line(line));
    framer.finish(|line| reader.line(line));
    reader.finish(stop, output_limit)
}

#[derive(Default)]
struct Reader {
    boot: Option<record::Boot>,
    traced: Option<record::TracedPool>,
    trace: Vec<Operation>,
    /// Set once operations are missing, since none that come later can be judged.
    trace_broken: bool,
    lists: Vec<list_trace::Operation>,
    /// Operations of lists that each hart has reported.
    listed: BTreeMap<u8, u64>,
    locks: Vec<list_trace::Lock>,
    buffers: Vec<buffer_trace::Operation>,
    /// Operations of a buffer cache that each client has reported.
    buffered: BTreeMap<u8, u64>,
    spaces: Vec<space_trace::Operation>,
    objects: Vec<(u8, Event)>,
    /// Events that each hart has reported.
    reported: BTreeMap<u8, u64>,
    programs: Vec<Program>,
    /// Whether the last of them is running.
    running: bool,
    done: Vec<Placed<record::Done>>,
    heap: Vec<Placed<record::Heap>>,
    metrics: Vec<Placed<record::Metric>>,
    ktap: Vec<Placed<ktap::Document>>,
    parser: ktap::Parser,
    others: Vec<Placed<Unknown>>,
    console: Vec<Placed<String>>,
    damage: Vec<Damage>,
    /// The running number that is due.
    due: u64,
    records: u64,
    any_record: bool,
    last: Option<(u64, Last)>,
}

impl Reader {
    fn line(&mut self, line: Line) {
        let Line { number, kind, text, dropped, ended } = line;
        match kind {
            Kind::Text => {
                if dropped > 0 {
                    self.flaw(number, Flaw::TooLong { dropped, record: false });
                }
                if !self.parser.line(number, &text) {
                    let console = self.place(number, text);
                    self.console.push(console);
                }
            }
            Kind::Record if dropped > 0 => self.flaw(number, Flaw::TooLong { dropped, record: true }),
            Kind::Record => match record::parse(&text) {
                Ok(record::Numbered { n, record }) => self.record(number, n, record),
                Err(_) if !ended => self.flaw(number, Flaw::CutOff),
                Err(error) => self.flaw(number, Flaw::Unreadable { why: error.to_string() }),
            },
        }
    }

    fn record(&mut self, line: u64, n: u64, record: Record) {
        match n.cmp(&self.due) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.flaw(line, Flaw::Missing { first: self.due, count: n - self.due }),
            std::cmp::Ordering::Less => self.flaw(line, Flaw::Repeated { number: n, due: self.due }),
        }
        self.due = self.due.max(n.saturating_add(1));
        self.records += 1;
        if let Some((end, _)) = self.last {
            self.flaw(line, Flaw::AfterTheEnd { kind: kind(&record).to_owned(), end });
            return;
        }
        if !std::mem::replace(&mut self.any_record, true) && !matches!(record, Record::Boot(_)) {
            self.flaw(line, Flaw::NoBoot { kind: kind(&record).to_owned() });
        }
        match record {
            Record::Boot(boot) => match self.boot {
                None => self.boot = Some(boot),
                Some(_) => self.flaw(line, Flaw::Again { kind: "boot".into() }),
            },
            Record::Pool(pool) => match self.traced {
                None => self.traced = Some(pool),
                Some(_) => self.flaw(line, Flaw::Again { kind: "pool".into() }),
            },
            Record::Start(start) => self.start(line, start),
            Record::End(end) => self.end(line, end),
            Record::Operations(operations) => self.operations(line, operations),
            Record::Lost(record::Lost { operations }) => {
                self.trace_broken = true;
                self.flaw(line, Flaw::TraceLost { operations });
            }
            Record::Heap(heap) => {
                let heap = self.place(line, heap);
                self.heap.push(heap);
            }
            Record::Lists(operations) => self.list_operations(line, operations),
            Record::Buffers(record::BufferOperations { client, from, operations }) => {
                let due = *self.buffered.entry(client).or_default();
                if self.follows(line, due, from) {
                    self.buffered.insert(client, due + operations.len() as u64);
                    self.buffers.extend(operations);
                }
            }
            Record::Spaces(record::SpaceOperations { from, operations }) => {
                if self.follows(line, self.spaces.len() as u64, from) {
                    self.spaces.extend(operations);
                }
            }
            Record::Lock(lock) => self.locks.push(lock),
            Record::Objects(objects) => self.objects(line, objects),
            Record::Metric(metric) => {
                let metric = self.place(line, metric);
                self.metrics.push(metric);
            }
            Record::Done(done) => {
                let done = self.place(line, done);
                self.done.push(done);
            }
            Record::Other { kind, fields } => {
                let other = self.place(line, Unknown { kind, fields });
                self.others.push(other);
            }
            Record::Shutdown(shutdown) => self.last = Some((line, Last::Shutdown(shutdown))),
            Record::Panic(panic) => self.last = Some((line, Last::Panic(panic))),
            Record::Deadline(deadline) => self.last = Some((line, Last::Deadline(deadline))),
        }
    }

    fn start(&mut self, line: u64, start: record::Start) {
        self.end_documents();
        let record::Start { program, free_pages } = start;
        if self.running {
            self.flaw(line, Flaw::StartWithoutEnd { program: program.clone() });
        }
        let trace = self.trace.len()..self.trace.len();
        self.programs.push(Program { line, script: program, free_pages, end: None, trace });
        self.running = true;
    }

    fn end(&mut self, line: u64, end: record::End) {
        self.end_documents();
        let record::End { program, outcome, free_pages } = end;
        match self.programs.last_mut() {
            Some(last) if self.running && last.script == program => {
                last.end = Some(ProgramEnd { line, outcome, free_pages });
                self.running = false;
            }
            _ => self.flaw(line, Flaw::EndWithoutStart { program }),
        }
    }

    /// Whether operations that say that they begin with number `from` are those that are due.
    fn follows(&mut self, line: u64, due: u64, from: u64) -> bool {
        if self.trace_broken {
            return false;
        }
        match from.cmp(&due) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Greater => self.flaw(line, Flaw::TraceGap { due, from }),
            std::cmp::Ordering::Less => self.flaw(line, Flaw::TraceRepeated { due, from }),
        }
        self.trace_broken = true;
        false
    }

    fn operations(&mut self, line: u64, operations: record::Operations) {
        let record::Operations { from, operations } = operations;
        if self.follows(line, self.trace.len() as u64, from) {
            self.trace.extend(operations);
            if let Some(program) = self.programs.last_mut().filter(|_| self.running) {
                program.trace.end = self.trace.len();
            }
        }
    }

    fn list_operations(&mut self, line: u64, operations: record::ListOperations) {
        let record::ListOperations { hart, from, operations } = operations;
        let due = *self.listed.entry(hart).or_default();
        if self.follows(line, due, from) {
            self.listed.insert(hart, due + operations.len() as u64);
            self.lists.extend(operations);
        }
    }

    fn objects(&mut self, line: u64, objects: record::Objects) {
        let record::Objects { hart, from, events } = objects;
        let due = *self.reported.entry(hart).or_default();
        if self.follows(line, due, from) {
            self.reported.insert(hart, due + events.len() as u64);
            self.objects.extend(events.into_iter().map(|event| (hart, event.into())));
        }
    }

    /// Closes the guest's results at the border between two programs.
    fn end_documents(&mut self) {
        for document in std::mem::take(&mut self.parser).finish() {
            let document = self.place(document.line, document);
            self.ktap.push(document);
        }
    }

    fn finish(mut self, stop: &Stop, output_limit: u64) -> Reading {
        self.end_documents();
        let unfinished =
            self.programs.iter().find(|program| program.end.is_none()).map(|program| program.script.clone());
        let (line, last) = self.last.take().map_or((0, None), |(line, last)| (line, Some(last)));
        let kind = last.as_ref().map_or("", Last::kind);
        let (mut ending, untrue) = ending::decide(stop, last, unfinished.as_deref(), output_limit);
        if let Some(stopped) = untrue {
            self.flaw(line, Flaw::Untrue { kind: kind.to_owned(), stopped });
        }
        if let Ending::OutOfTime { last } | Ending::Overdue { last, .. } = &mut ending {
            let printed = self.console.iter().rev().map(|line| line.what.trim());
            *last = printed
                .map(|line| line.chars().take(200).collect::<String>())
                .find(|line| !line.is_empty())
                .unwrap_or_default();
        }
        self.damage.sort_by_key(|damage| damage.line);
        let Self {
            boot,
            traced,
            trace,
            lists,
            locks,
            buffers,
            spaces,
            objects,
            programs,
            done,
            heap,
            metrics,
            ktap,
            others,
            console,
            damage,
            records,
            ..
        } = self;
        Reading {
            ending,
            boot,
            traced,
            trace,
            lists,
            locks,
            buffers,
            spaces,
            objects,
            programs,
            done,
            heap,
            metrics,
            ktap,
            others,
            console,
            sections: Vec::new(),
            damage,
            records,
            glimpses: Vec::new(),
            seen: None,
            dispute: None,
        }
    }

    fn place<T>(&self, line: u64, what: T) -> Placed<T> {
        let program = if self.running { self.programs.len().checked_sub(1) } else { None };
        Placed { line, program, what }
    }

    fn flaw(&mut self, line: u64, flaw: Flaw) {
        self.damage.push(Damage { line, flaw });
    }
}

fn kind(record: &Record) -> &str {
    match record {
        Record::Boot(_) => "boot",
        Record::Pool(_) => "pool",
        Record::Start(_) => "start",
        Record::Operations(_) => "ops",
        Record::Heap(_) => "heap",
        Record::Lists(_) => "lists",
        Record::Buffers(_) => "buffers",
        Record::Spaces(_) => "spaces",
        Record::Lock(_) => "lock",
        Record::Objects(_) => "objects",
        Record::Metric(_) => "metric",
        Record::Done(_) => "done",
        Record::End(_) => "end",
        Record::Shutdown(_) => "shutdown",
        Record::Panic(_) => "panic",
        Record::Deadline(_) => "deadline",
        Record::Lost(_) => "lost",
        Record::Other { kind, .. } => kind,
    }
}
