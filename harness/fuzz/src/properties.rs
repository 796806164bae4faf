//! What every reader of damaged input must do, whatever the bytes: it comes to an end, panics nowhere, and loses
//! nothing.
//!
//! Each property takes bytes as they may come and panics where it does not hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use grader::course::Course;
use grader::kind::Kind;
use grader::lab::read::{self as lab_file, Judges, Known};
use grader::lab::{Clock, Deadline, KindId, SessionId};
use grader::report::json;
use grader::serial::framer::{self, Framer, LINE_LIMIT};
use grader::serial::ktap::Parser;
use grader::serial::reading::Reading;
use grader::serial::record;
use grader::session::{Boot, Stop, Transcript};
use grader::subject::{SUBJECTS, heap};
use grader::{oracle, report};

/// Takes bytes, and panics where it does not hold of them.
pub type Property = fn(&[u8]);

/// All properties, by the names of their corpora.
pub const ALL: [(&str, Property); 7] = [
    ("framer", framer),
    ("record", record),
    ("ktap", ktap),
    ("reading", reading),
    ("lab", lab),
    ("grade", grade),
    ("rep", rep),
];

/// Lines are the same however the bytes come, no longer than they may be, and have nothing that a terminal obeys.
pub fn framer(bytes: &[u8]) {
    let whole = framer::lines(bytes);
    let mut pieces = Vec::new();
    let mut framer = Framer::new();
    // Cut where the bytes themselves say, so that a fuzzer finds the places.
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + usize::from(rest[0] & 7)));
        framer.push(piece, |line| pieces.push(line));
        rest = after;
    }
    framer.finish(|line| pieces.push(line));
    assert_eq!(whole, pieces);
    let mut number = 0;
    for line in &whole {
        // A byte that is no UTF-8 takes three as the character that stands for it.
        assert!(line.text.len() <= 3 * LINE_LIMIT);
        assert!(line.number >= number, "lines go on");
        number = line.number;
        let text = line.kind == framer::Kind::Text;
        assert!(!text || !line.text.chars().any(|c| c.is_control() && c != '\t'), "{:?}", line.text);
    }
}

/// A record is read or refused with a reason.
pub fn record(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.split('\n') {
        if let Err(refused) = record::parse(line) {
            assert!(!refused.0.is_empty());
        }
    }
}

/// Results never outnumber what was printed and planned, and every problem has a line.
pub fn ktap(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parser = Parser::default();
    let mut lines = 0;
    for line in text.split('\n') {
        lines += 1;
        parser.line(lines, line);
    }
    let documents = parser.finish();
    let leaves: usize = documents.iter().map(|document| document.leaves().len()).sum();
    // A plan may be cut short by a limit of its own, and never makes more than that of nothing.
    assert!(leaves as u64 <= 2 * lines + 10_000, "{leaves} results of {lines} lines");
    let places = documents.iter().flat_map(|document| &document.problems).map(|problem| problem.line);
    assert!(places.into_iter().all(|line| line <= lines));
}

/// A whole transcript is read, whatever it says and however the machine stopped.
pub fn reading(bytes: &[u8]) {
    let (stop, serial) = match bytes {
        [] => (Stop::PoweredOff { status: 0 }, bytes),
        [first, serial @ ..] => (stop(*first), serial),
    };
    let transcript = transcript(serial, stop);
    let read = Reading::of(&transcript);
    assert!(read.damage.iter().all(|damage| !damage.to_string().is_empty()));
    assert!(!read.ending.to_string().is_empty());
    // What the terminal shows of it.
    let shown = report::safe::visible(&read.ending.to_string());
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
}

fn stop(byte: u8) -> Stop {
    match byte % 6 {
        0 | 1 => Stop::PoweredOff { status: i32::from(byte / 6) },
        2 => Stop::OutOfTime,
        3 => Stop::Stalled,
        4 => Stop::Flooded,
        _ => Stop::Broken { reason: "QEMU is gone".to_owned() },
    }
}

/// Bytes of a serial line as the transcript of a boot.
pub fn transcript(serial: &[u8], stop: Stop) -> Transcript {
    let boot = Boot {
        session: SessionId("fuzz".to_owned()),
        qemu: vec!["qemu-system-riscv64".to_owned()],
        kernel: PathBuf::from("kernel"),
        initrd: PathBuf::from("initrd"),
        disk: None,
        arguments: String::new(),
        harts: 4,
        memory: 128,
        clock: Clock::Virtual,
        deadline: Deadline::Guest(1_000_000_000),
        output_limit: 2 << 20,
        last_words: Vec::new(),
        dialogue: None,
        witness: None,
        sampled: false,
    };
    Transcript {
        boot,
        serial: serial.to_vec(),
        exchanges: Vec::new(),
        stop,
        seen: None,
        found: Vec::new(),
        glimpses: Vec::new(),
        wall: Duration::ZERO,
        processor: Duration::ZERO,
    }
}

/// A lab's file is read, or refused with places in it.
pub fn lab(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    static KINDS: OnceLock<BTreeMap<KindId, Kind>> = OnceLock::new();
    let course = Course { root: root(), found: grader::course::Found::Option };
    let kinds = KINDS.get_or_init(|| course.kinds().expect("the course's own kinds are sound"));
    let judges = Judges { oracles: oracle::NAMES, subjects: &SUBJECTS };
    let known = Known { course: &course.root, kinds, judges };
    let folder = course.root.join("labs/lab6-2-buddy");
    match lab_file::read_text(source.to_owned(), &folder, &known) {
        Ok(lab) => assert!(!lab.checks.is_empty() && !lab.sessions.is_empty()),
        Err(defects) => {
            assert!(!defects.defects.is_empty());
            assert!(defects.defects.iter().all(|defect| defect.at.end <= source.len().max(1)), "{defects}");
        }
    }
}

/// The course's folder, above each of the crates that this is compiled in.
fn root() -> PathBuf {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.find(|folder| folder.join("labs").is_dir()).expect("both lie in a course").to_owned()
}

/// A grade is read to what writes the same grade again, or refused.
pub fn grade(bytes: &[u8]) {
    let Ok(grade) = json::parse(bytes, Path::new("grade.json")) else { return };
    let again = json::parse(json::to_string(&grade).as_bytes(), Path::new("again.json"));
    assert_eq!(again.expect("what was written is read"), grade);
    for format in report::FORMATS.iter().filter(|format| format.name != "classroom50") {
        (format.render)(&grade).unwrap_or_else(|error| panic!("{}: {error}", format.name));
    }
}

/// A trace of allocations is read to its end, or refused with the line.
pub fn rep(bytes: &[u8]) {
    if let Err(refused) = heap::check_trace(&String::from_utf8_lossy(bytes)) {
        assert!(!refused.is_empty());
    }
}
