//! Every reader of damaged input, over the fuzzers' corpora and over what is made of them here: nothing panics, and
//! neither memory nor time grows faster than the input.

use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

// The fuzzers' own: what holds under them holds here.
#[path = "../../fuzz/src/properties.rs"]
mod properties;

/// The corpus of a reader.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name} has no corpus");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// How an input is damaged.
#[derive(Debug, Clone)]
pub enum Damage {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, Index),
    Repeat(Index, Index, usize),
}

pub fn damage() -> impl Strategy<Value = Damage> {
    // What means something to one of the readers, and what means something to nobody.
    let words = prop::sample::select(vec![
        "\n",
        "\r\n",
        "\u{1e}",
        "\u{1b}[",
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "-",
        "0",
        "18446744073709551615",
        "-1",
        "1e999",
        "null",
        "1..99999999999",
        "ok ",
        "not ok ",
        "  ",
        "#",
        "KTAP version 1",
        "{\"n\":0,\"r\":\"panic\"}",
        "&a",
        "*a",
        "<<",
        "|",
        "'",
        "\t",
        "a 0 1",
        "f 0",
        "%",
        "\u{feff}",
        "\0",
    ]);
    let bytes =
        prop_oneof![words.prop_map(|word| word.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 1..20),];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        (any::<Index>(), bytes).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Cut(from, to)),
        (any::<Index>(), any::<Index>(), 2..20_usize).prop_map(|(from, to, times)| Damage::Repeat(from, to, times)),
    ]
}

/// The input after the damage; never much larger.
pub fn damaged(mut bytes: Vec<u8>, damage: &[Damage]) -> Vec<u8> {
    const LARGEST: usize = 1 << 16;
    for one in damage {
        let at = |index: &Index| index.index(bytes.len() + 1);
        let between = |from: &Index, to: &Index| at(from).min(at(to))..at(from).max(at(to));
        match one {
            Damage::Flip(index, byte) if !bytes.is_empty() => {
                let at = index.index(bytes.len());
                bytes[at] ^= byte;
            }
            Damage::Flip(..) => {}
            Damage::Insert(index, more) => {
                let at = at(index);
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Cut(from, to) => drop(bytes.drain(between(from, to))),
            Damage::Repeat(from, to, times) => {
                let range = between(from, to);
                let part = bytes[range.clone()].repeat(*times);
                bytes.splice(range, part);
            }
        }
        bytes.truncate(LARGEST);
    }
    bytes
}

#[test]
fn every_reader_copes_with_its_corpus() {
    for (name, property) in properties::ALL {
        corpus(name).iter().for_each(|bytes| property(bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_makes_a_reader_panic(
        choice in any::<Index>(),
        damage in prop::collection::vec(damage(), 1..8),
    ) {
        for (name, property) in properties::ALL {
            let corpus = corpus(name);
            property(&damaged(choice.get(&corpus).clone(), &damage));
        }
    }
}

/// What makes each reader work hardest, so many times over.
fn hard(name: &str, times: usize) -> Vec<Vec<u8>> {
    let repeated = |part: &str| part.repeat(times).into_bytes();
    match name {
        "framer" => vec![repeated("\u{1b}]x"), repeated("\r"), repeated("\u{1e}{"), repeated("long"), repeated("\n")],
        "record" => vec![
            [b"{\"n\":0,\"r\":\"x\",\"a\":".to_vec(), repeated("[")].concat(),
            [b"{\"n\":0,\"r\":\"ops\",\"from\":0,\"ops\":[".to_vec(), repeated("[0,0,0],")].concat(),
            repeated("{\"n\":0,\"r\":\"boot\"}\n"),
        ],
        "ktap" => vec![
            repeated("KTAP version 1\n"),
            [b"KTAP version 1\n".to_vec(), repeated("ok 1\n")].concat(),
            [b"KTAP version 1\n".to_vec(), repeated("# said\n")].concat(),
            [b"KTAP version 1\n".to_vec(), repeated("1..4294967295\n")].concat(),
            [b"KTAP version 1\n".to_vec(), repeated("  KTAP version 1\n  1..2\n  ok 1 x\n")].concat(),
            [b"KTAP version 1\n".to_vec(), repeated("  ")].concat(),
        ],
        "reading" => vec![
            repeated("\n\u{1e}{\"n\":0,\"r\":\"start\",\"program\":\"a\",\"free_pages\":1}"),
            repeated("\n\u{1e}{\"n\":7,\"r\":\"lost\",\"operations\":1}"),
            repeated("\n\u{1e}x"),
            repeated("KTAP version 1\nnot ok 1\n"),
        ],
        "lab" => vec![
            repeated("- "),
            repeated("["),
            repeated("{"),
            repeated("a: &a [*a]\n"),
            repeated("a:\n"),
            repeated("? "),
            repeated("checks:\n"),
            repeated("  \"x\": |\n"),
        ],
        "grade" => vec![repeated("["), repeated("{\"a\":"), repeated("\"\\u0000\" ")],
        _ => vec![repeated("a 0 1\n"), repeated("0\n"), repeated("0 "), repeated("f 0\n")],
    }
}

#[test]
fn neither_memory_nor_work_grows_faster_than_the_input() {
    const TIMES: usize = 200;
    const LONGER: usize = 8;
    for (name, property) in properties::ALL {
        // What is read once is read now.
        property(b"");
        for (short, long) in hard(name, TIMES).iter().zip(&hard(name, LONGER * TIMES)) {
            let counted = |bytes: &[u8]| allocation_counter::measure(|| property(bytes));
            let (base, one, other) = (counted(b""), counted(short), counted(long));
            let text = || String::from_utf8_lossy(&short[..short.len().min(40)]).into_owned();
            // Each byte of input may cost some, and vectors double; the square of it would cost many times that.
            let most = 512 * long.len() as i64 + (1 << 20);
            let grown = other.bytes_max as i64 - base.bytes_max as i64;
            assert!(grown <= most, "{name} {:?}: {grown} bytes at once for {}", text(), long.len());
            let work = |info: &allocation_counter::AllocationInfo| info.bytes_total.saturating_sub(base.bytes_total);
            let most = 3 * LONGER as u64 * (work(&one) + 65_536);
            assert!(work(&other) <= most, "{name} {:?}: {} bytes in all, of {most}", text(), work(&other));
            // What allocates nothing takes time all the same.
            let (quick, slow) = (processor_time(|| property(short)), processor_time(|| property(long)));
            let most = (quick + Duration::from_millis(1)) * 4 * LONGER as u32;
            assert!(slow <= most, "{name} {:?}: {slow:?} for {LONGER} times what takes {quick:?}", text());
        }
    }
}

/// Processor time of this thread, which waits for nothing: the lesser of two.
fn processor_time(work: impl Fn()) -> Duration {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let once = |_| {
        let from = now();
        work();
        now().saturating_sub(from)
    };
    (0..2).map(once).min().unwrap_or_default()
}
