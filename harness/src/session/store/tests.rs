use tempfile::TempDir;

use super::*;
use crate::lab::{Clock, Deadline};
use crate::session::dialogue::{Command, Dialogue, Phrase};
use crate::witness::{Foreign, Noted, memory};

fn transcript(directory: &Path) -> Transcript {
    Transcript {
        boot: Boot {
            session: SessionId("shared@7us".into()),
            qemu: ["/opt/bin/qemu-system-riscv64", "-machine", "virt", "file=/opt/cache/fs.img,snapshot=on"]
                .map(String::from)
                .into(),
            kernel: directory.join("images/kernel"),
            initrd: "/elsewhere/cache/initrd".into(),
            disk: None,
            arguments: "pages=lab tick=7000".into(),
            harts: 4,
            memory: 128,
            clock: Clock::Virtual,
            deadline: Deadline::Guest(5_000_000_000),
            output_limit: 1 << 20,
            last_words: Vec::new(),
            dialogue: Some(Dialogue {
                prompt: "> $".into(),
                join: "; ".into(),
                ask: "echo {mark}  end".into(),
                answer: "{mark} end".into(),
                key: "k".into(),
                ready: 1,
                commands: vec![Command { name: "test".into(), typed: "test -q".into(), limit: 2 }],
                phrases: vec![Phrase::draw("test1 OK", "k")],
            }),
            witness: None,
            sampled: false,
        },
        serial: (0..=255).cycle().take(5000).collect(),
        exchanges: vec![Exchange { command: 0, mark: 1, others: vec![0], from: 10, to: Some(20) }],
        stop: Stop::Broken { reason: "QEMU was killed by signal 9".into() },
        found: vec![memory::Page { address: 0x8000_0000, words: vec![u64::MAX, 0] }],
        seen: Some(Seen {
            instructions: 1_325_800,
            foreign: Some(Foreign { count: 2, address: 0x8000_0000, physical: 0x8000_0000, changed: true }),
            marks: vec![0, 16],
            counts: vec![5000, 0, 3],
            noted: vec![Noted { hart: 0, meter: 0, instructions: 48 }; 3],
        }),
        glimpses: vec![vec![Glimpse { hart: 1, pc: 0x8000_0010, callers: vec![0x8000_0020] }]],
        wall: Duration::from_micros(1_234_567),
        processor: Duration::from_millis(80),
    }
}

fn saved() -> (TempDir, SessionId) {
    let directory = tempfile::tempdir().unwrap();
    let transcript = transcript(directory.path());
    save(directory.path(), &transcript).unwrap();
    (directory, transcript.boot.session)
}

#[test]
fn what_was_saved_is_loaded_on_another_machine_too() {
    let (directory, session) = saved();
    let before = transcript(directory.path());
    let moved = tempfile::tempdir().unwrap();
    let elsewhere = moved.path().join("run");
    fs::rename(directory.path(), &elsewhere).unwrap();
    let after = load(&elsewhere, &session).unwrap();
    assert_eq!(after.boot.kernel, elsewhere.join("images/kernel"));
    assert_eq!(after.boot.initrd, elsewhere.join("initrd"));
    assert_eq!(after.boot.qemu[0], "qemu-system-riscv64");
    let paths = |boot: Boot| Boot { kernel: PathBuf::new(), initrd: PathBuf::new(), qemu: Vec::new(), ..boot };
    assert_eq!(
        Transcript { boot: paths(after.boot), ..after },
        Transcript { boot: paths(before.boot.clone()), ..before }
    );
}

#[test]
fn no_place_of_this_machine_is_saved() {
    let (directory, _) = saved();
    let json = fs::read_to_string(directory.path().join("shared@7us.json")).unwrap();
    let name = directory.path().to_str().unwrap();
    assert!(![name, "/elsewhere", "/opt"].iter().any(|place| json.contains(place)), "{json}");
}

#[test]
fn saving_again_leaves_one_transcript_and_nothing_half_written() {
    let (directory, session) = saved();
    let second = Transcript { serial: b"second".to_vec(), ..transcript(directory.path()) };
    save(directory.path(), &second).unwrap();
    assert_eq!(load(directory.path(), &session).unwrap().serial, b"second");
    let mut names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["shared@7us.json", "shared@7us.serial"]);
}

#[test]
fn damage_is_named_with_its_file_and_place() {
    type Harm = fn(&mut Vec<u8>);
    let cases: [(&str, Harm, &str); 6] = [
        ("serial", |bytes| bytes.truncate(77), "it ends after byte 77, and should after byte 5000"),
        ("serial", |bytes| bytes.extend(b"more"), "it ends after byte 5004, and should after byte 5000"),
        ("serial", |bytes| bytes[9] ^= 1, "its 5000 bytes are not those that were saved"),
        ("json", |bytes| bytes.truncate(40), "line 4, column 11: EOF while parsing a string"),
        ("json", Vec::clear, "line 1, column 0: EOF while parsing"),
        ("json", |bytes| *bytes = b"{\"format\":2,\"news\":1}".to_vec(), "its format is 2, this grader reads 1"),
    ];
    for (extension, harm, words) in cases {
        let (directory, session) = saved();
        let path = directory.path().join(format!("shared@7us.{extension}"));
        let mut bytes = fs::read(&path).unwrap();
        harm(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = load(directory.path(), &session).unwrap_err();
        assert_eq!(error.owner(), Owner::Caller);
        let error = error.to_string();
        assert!(error.contains(words) && error.contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let (directory, session) = saved();
    for extension in ["serial", "json"] {
        let path = directory.path().join(format!("shared@7us.{extension}"));
        fs::remove_file(&path).unwrap();
        assert!(load(directory.path(), &session).unwrap_err().to_string().contains(path.to_str().unwrap()));
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_is_our_fault_and_named() {
    let missing = Path::new("/nowhere/run");
    let error = save(missing, &transcript(missing)).unwrap_err();
    assert_eq!(error.owner(), Owner::Harness);
    assert!(error.to_string().contains("/nowhere/run/shared@7us.serial"), "{error}");
}

#[test]
fn no_session_name_leads_out_of_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["", ".", "../x", "a/b", "/etc/x", ".hidden"] {
        let mut transcript = transcript(directory.path());
        transcript.boot.session = SessionId(name.into());
        assert!(matches!(save(directory.path(), &transcript), Err(StoreError::Name { .. })), "{name}");
        assert!(matches!(load(directory.path(), &transcript.boot.session), Err(StoreError::Name { .. })), "{name}");
    }
}
