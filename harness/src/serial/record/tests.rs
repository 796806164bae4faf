use abi::page::PageError;
use proptest::prelude::*;

use super::*;
use crate::trace::{Statistics, What};

fn record(text: &str) -> Record {
    parse(text).unwrap().record
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn operations(text: &str) -> Vec<Operation> {
    match record(&format!("{{\"n\":1,\"r\":\"ops\",\"from\":0,\"ops\":{text}}}")) {
        Record::Operations(operations) => operations.operations,
        other => panic!("{other:?}"),
    }
}

fn operation_error(text: &str) -> String {
    error(&format!("{{\"n\":1,\"r\":\"ops\",\"from\":0,\"ops\":{text}}}"))
}

#[test]
fn operations_of_lists_and_locks_are_read() {
    use crate::list_trace::{Lock, Operation, Taken, Use, What};
    let text = r#"{"n":1,"r":"lists","hart":2,"from":5,"ops":[["a",1,30,4,5,8192],["f",0,20,6,9,8192],["a",1,9,7,8,0],["c",1,9,10,11,3,258]]}"#;
    let operation = |client, instructions, begin, end, what| Operation {
        client,
        hart: 2,
        instructions,
        begin,
        end,
        what,
        locks: None,
    };
    let operations = vec![
        operation(1, 30, 4, 5, What::Allocate(Some(8192))),
        operation(0, 20, 6, 9, What::Free(8192)),
        operation(1, 9, 7, 8, What::Allocate(None)),
        Operation { locks: Some(Taken(1 << 8 | 1 << 1)), ..operation(1, 9, 10, 11, What::Count(3)) },
    ];
    assert_eq!(operations[3].locks.map(|taken| taken.places().collect()), Some(vec![1, 8]));
    assert_eq!(record(text), Record::Lists(ListOperations { hart: 2, from: 5, operations }));
    let harts = vec![Use { acquisitions: 4, contended: 1, instructions: 90 }, Use::default()];
    assert_eq!(
        record(r#"{"n":1,"r":"lock","of":"lists","name":"pages","harts":[[4,1,90],[0,0,0]]}"#),
        Record::Lock(Lock { of: "lists".into(), name: "pages".into(), harts })
    );
    let wrong = error(r#"{"n":1,"r":"lists","hart":0,"from":0,"ops":[["z",0,1,1,2,3]]}"#);
    assert!(wrong.contains("invalid value: character `z`, expected `a`, `f` or `c`"), "{wrong}");
    for ops in [r#"["a",0,1,1,2]"#, r#"["a",0,1,1,2,3,4,5]"#, r#"["a",0,1,1,2,3,-4]"#, r#"["a",0,1,1,2,3,null]"#] {
        error(&format!(r#"{{"n":1,"r":"lists","hart":0,"from":0,"ops":[{ops}]}}"#));
    }
}

#[test]
fn what_the_kernel_writes_of_lists_is_what_is_read() {
    use crate::list_trace::{Operation, Taken, What};
    use abi::lists::{self, Kind};
    let taken = lists::Operation {
        kind: Kind::Allocate as u8,
        client: 3,
        instructions: 40,
        begin: 8,
        end: 11,
        answer: 8192,
        locks: 1 << 63 | 1,
        ..lists::Operation::NONE
    };
    let uncounted = lists::Operation { kind: Kind::Free as u8, locks: lists::UNCOUNTED, ..taken };
    let mut text = String::from("{\"n\":9,");
    lists::write_operations(&mut text, 1, 7, &[taken, uncounted]).unwrap();
    text.push('}');
    let what = What::Allocate(Some(8192));
    let locks = Some(Taken(1 << 63 | 1));
    let first = Operation { client: 3, hart: 1, instructions: 40, begin: 8, end: 11, what, locks };
    let operations = vec![first, Operation { what: What::Free(8192), locks: None, ..first }];
    assert_eq!(record(&text), Record::Lists(ListOperations { hart: 1, from: 7, operations }));
}

#[test]
fn every_kind_of_the_table_is_read() {
    let end = |outcome| Record::End(End { program: "p".into(), outcome, free_pages: 3 });
    let cases = [
        (
            r#"{"n":0,"r":"boot","format":1,"kernel":"reference","harts":4,"memory_pages":32768,"pages":"lab"}"#,
            Record::Boot(Boot {
                format: 1,
                kernel: "reference".into(),
                harts: 4,
                memory_pages: 32768,
                pages: "lab".into(),
            }),
        ),
        (
            r#"{"n":1,"r":"pool","pool":"arena","allocator":"buddy","max_order":10,"regions":[[4096,10,8192,9]]}"#,
            Record::Pool(TracedPool {
                allocator: "buddy".into(),
                pool: Pool {
                    name: "arena".into(),
                    max_order: 10,
                    origin: 0,
                    regions: vec![Region { start: 4096, pages: 10, managed_start: 8192, managed_pages: 9 }],
                },
            }),
        ),
        (
            r#"{"n":2,"r":"start","program":"p","free_pages":3}"#,
            Record::Start(Start { program: "p".into(), free_pages: 3 }),
        ),
        (
            r#"{"n":2,"r":"metric","name":"pair","value":12.5,"unit":"instructions"}"#,
            Record::Metric(Metric { name: "pair".into(), value: 12.5, unit: "instructions".into() }),
        ),
        (r#"{"n":2,"r":"done","client":3,"operations":9}"#, Record::Done(Done { client: 3, operations: 9 })),
        (r#"{"n":2,"r":"end","program":"p","status":-1,"free_pages":3}"#, end(Outcome::Exited(-1))),
        (
            r#"{"n":2,"r":"end","program":"p","killed":"load page fault","free_pages":3}"#,
            end(Outcome::Killed("load page fault".into())),
        ),
        (r#"{"n":2,"r":"shutdown","status":0}"#, Record::Shutdown(Shutdown { status: 0 })),
        (
            r#"{"n":2,"r":"panic","hart":1,"file":"mm/src/x.rs","line":7,"message":"m","backtrace":["0x80001234"]}"#,
            Record::Panic(Panic {
                hart: 1,
                file: "mm/src/x.rs".into(),
                line: 7,
                message: "m".into(),
                backtrace: vec![Address(0x8000_1234)],
            }),
        ),
        (
            r#"{"n":2,"r":"deadline","after":5,"harts":[{"hart":0,"pc":"0xffffffffffffffff","backtrace":[]}]}"#,
            Record::Deadline(Deadline {
                after: 5,
                harts: vec![HartAt { hart: 0, pc: Address(u64::MAX), backtrace: Vec::new() }],
            }),
        ),
        (r#"{"n":2,"r":"lost","operations":17}"#, Record::Lost(Lost { operations: 17 })),
    ];
    for (text, expected) in cases {
        assert_eq!(record(text), expected, "{text}");
    }
}

#[test]
fn what_the_kernel_writes_is_what_is_read() {
    use abi::page::{Kind, Operation as Entry};
    let entry = |kind, pages, address| Entry {
        kind: kind as u8,
        client: 2,
        hart: 1,
        error: 0,
        order: 0,
        reserved: [0; 3],
        instructions: 40,
        pages,
        address,
    };
    let mut entries = vec![
        entry(Kind::Allocate, 4, 0x8040_0000),
        Entry { error: PageError::TooLarge as u8, ..entry(Kind::Allocate, 5000, 0) },
        entry(Kind::Free, 4, 0x8040_0000),
        Entry { error: PageError::Twice as u8, ..entry(Kind::Free, 4, 0x8040_0000) },
        entry(Kind::Statistics, 3, 4),
    ];
    entries.extend((0..=10).map(|blocks| entry(Kind::FreeBlocks, blocks, 0)));
    let mut text = String::from("{\"n\":9,");
    abi::record::write_operations(&mut text, 70, &entries).unwrap();
    text.push('}');
    let read = |what| Operation { client: 2, hart: 1, instructions: 40, what };
    let address = 0x8040_0000;
    assert_eq!(
        parse(&text).unwrap(),
        Numbered {
            n: 9,
            record: Record::Operations(Operations {
                from: 70,
                operations: vec![
                    read(What::Allocate { pages: 4, answer: Ok(address) }),
                    read(What::Allocate { pages: 5000, answer: Err(PageError::TooLarge) }),
                    read(What::Free { address, pages: 4, answer: Ok(()) }),
                    read(What::Free { address, pages: 4, answer: Err(PageError::Twice) }),
                    read(What::Statistics(Statistics {
                        free_pages: 3,
                        managed_pages: 4,
                        free_blocks: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
                    })),
                ]
            })
        }
    );
}

#[test]
fn unknown_kinds_are_kept_and_unknown_fields_ignored() {
    match record(r#"{"n":3,"r":"weather","sky":"blue"}"#) {
        Record::Other { kind, fields } => {
            assert_eq!((kind.as_str(), fields["sky"].as_str()), ("weather", Some("blue")));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(record(r#"{"n":2,"r":"lost","operations":1,"more":[{}]}"#), Record::Lost(Lost { operations: 1 }));
}

#[test]
fn an_allocator_with_fewer_orders_has_no_blocks_of_the_others() {
    let [Operation { what: What::Statistics(statistics), .. }] = operations("[[\"s\",0,0,1,8,8,[0,4]]]")[..] else {
        panic!()
    };
    assert_eq!(statistics.free_blocks, [0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_wrong_record_is_refused_with_field_and_column() {
    for (text, words) in [
        ("", "expected `{` at column 1"),
        ("{\"n\":1", "EOF while parsing an object at column 6"),
        ("[1,\"done\"]", "expected `{` at column 1"),
        ("{\"r\":\"boot\"}", "missing field `n`"),
        ("{\"n\":-1,\"r\":\"done\"}", "invalid value: integer `-1`, expected u64 at column 7"),
        ("{\"n\":1.5,\"r\":\"done\"}", "expected u64"),
        ("{\"n\":1,\"r\":7}", "expected a string"),
        ("{\"n\":1,\"n\":2,\"r\":\"done\"}", "duplicate field `n`"),
        ("{\"n\":1,\"r\":\"done\",\"client\":0}", "missing field `operations`"),
        ("{\"n\":1,\"r\":\"done\",\"client\":256,\"operations\":0}", "expected u8"),
        ("{\"n\":1,\"r\":\"done\",\"client\":0,\"operations\":1e99}", "expected u64"),
        ("{\"n\":1,\"r\":\"metric\",\"name\":\"x\",\"value\":1e999}", "number out of range"),
        ("{\"n\":1,\"r\":\"end\",\"program\":\"p\",\"free_pages\":1}", "missing field `status` or `killed`"),
        ("{\"n\":1,\"r\":\"shutdown\",\"status\":0} x", "trailing characters at column 35"),
        ("{\"n\":1,\"r\":\"start\",\"program\":\"a\u{1}\",\"free_pages\":1}", "control character"),
        (
            "{\"n\":1,\"r\":\"pool\",\"pool\":\"arena\",\"allocator\":\"b\",\"max_order\":1,\"regions\":[[1,2,3]]}",
            "length 3",
        ),
        (
            "{\"n\":1,\"r\":\"pool\",\"pool\":\"arena\",\"allocator\":\"b\",\"max_order\":4000000000,\"regions\":[]}",
            "order above 40",
        ),
        ("{\"n\":1,\"r\":\"panic\",\"hart\":0,\"message\":\"m\",\"backtrace\":[\"0x+1\"]}", "an address such as"),
    ] {
        let error = error(text);
        assert!(error.contains(words), "{text}: {error}");
        assert!(!error.contains("line 1"), "{error}");
    }
}

#[test]
fn a_wrong_operation_is_refused_with_its_place_and_what_is_wrong_with_it() {
    for (text, words) in [
        ("[[\"a\",0,0,1,1,4096],[\"a\",0,0,1,1,\"full\"]]", "operation 1: the answer: invalid value: string \"full\""),
        ("[[\"a\",0,0,1,1,-1]]", "operation 0: the answer: invalid type: integer `-1`, expected an address"),
        ("[[\"a\",0,0,1,1]]", "operation 0: the answer is missing"),
        ("[[\"a\",0,0,1,1,4096,1]]", "operation 0: more elements than `a` has"),
        ("[[\"a\",300,0,1,1,4096]]", "operation 0: the client: invalid value: integer `300`, expected u8"),
        ("[[\"f\",0,0,1,1,\"ok\",4096]]", "operation 0: the address: invalid type: string \"ok\""),
        ("[[\"f\",0,0,1,1,4096,\"fine\"]]", "string \"fine\""),
        ("[[\"s\",0,0,1,1,1,[0,0,0,0,0,0,0,0,0,0,0,0]]]", "invalid length 12"),
        ("[[\"a\",0,0,1,1,\"ok\"]]", "operation 0: invalid value: string \"ok\", expected an address"),
        ("[[\"f\",0,0,1,1,4096,7]]", "operation 0: invalid value: integer `7`, expected a word"),
        ("[[\"x\",0,0,1]]", "character `x`, expected `a`, `f` or `s`"),
        ("[[]]", "operation 0: its letter is missing"),
        ("[7]", "operation 0: invalid type: integer `7`"),
        ("{}", "expected an array of operations"),
    ] {
        let error = operation_error(text);
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn nesting_without_end_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[", "")] {
        let nested = format!("{}0{}", open.repeat(100_000), close.repeat(100_000));
        assert!(parse(&format!("{{\"n\":1,\"r\":\"other\",\"x\":{nested}}}")).is_err());
        assert!(!operation_error(&nested).is_empty());
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_damage_to_a_record_makes_the_reader_panic(at in 0..200_usize, byte in any::<u8>(), cut in 0..200_usize) {
        let mut bytes =
            br#"{"n":4,"r":"ops","from":7,"ops":[["a",0,1,40,1,4096],["f",0,1,40,1,4096,"ok"],["s",0,1,40,3,4,[1,2]]]}"#
                .to_vec();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn every_operation_that_can_be_traced_is_read_back(
        entries in proptest::collection::vec(
            (any::<u8>(), any::<u8>(), any::<u64>(), any::<u64>(), any::<u64>(), 0..=8_u8, any::<bool>()),
            0..64,
        ),
        from in any::<u64>(),
    ) {
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(client, hart, instructions, pages, address, error, allocate)| abi::page::Operation {
                kind: if allocate { abi::page::Kind::Allocate } else { abi::page::Kind::Free } as u8,
                client, hart, error, order: 0, reserved: [0; 3], instructions, pages, address,
            })
            .collect();
        let mut text = String::from("{\"n\":0,");
        abi::record::write_operations(&mut text, from, &entries).unwrap();
        text.push('}');
        let Record::Operations(read) = record(&text) else { panic!() };
        prop_assert_eq!(read.from, from);
        prop_assert_eq!(read.operations.len(), entries.len());
        for (read, entry) in read.operations.iter().zip(&entries) {
            prop_assert_eq!((read.client, read.hart, read.instructions), (entry.client, entry.hart, entry.instructions));
            let refused = PageError::from_code(entry.error);
            let expected = if entry.kind == abi::page::Kind::Allocate as u8 {
                What::Allocate { pages: entry.pages, answer: refused.map_or(Ok(entry.address), Err) }
            } else {
                What::Free { address: entry.address, pages: entry.pages, answer: refused.map_or(Ok(()), Err) }
            };
            prop_assert_eq!(read.what, expected);
        }
    }
}

#[test]
fn operations_of_processes_are_read_and_wrong_ones_named() {
    use abi::space_workload::{Answer, Place};

    let record = |ops: &str| parse(&format!(r#"{{"n":1,"r":"spaces","from":0,"ops":[{ops}]}}"#));
    let Ok(Numbered { record: Record::Spaces(spaces), .. }) = record(r#"["s",1,257,9,2,64],["c",0,0,100,0,0]"#) else {
        panic!("a record of processes");
    };
    let outcome = crate::space_trace::Outcome { answer: Answer::Died, frame: 64 };
    let store = crate::space_trace::What::Store { place: Place::Guard, value: 9, outcome };
    assert_eq!(spaces.operations[0], crate::space_trace::Operation { process: 1, what: store });
    assert_eq!(spaces.operations[1].what, crate::space_trace::What::Count { pages: 100 });
    for wrong in [r#"["s",1,999,9,0,0]"#, r#"["s",1,0,9,3,0]"#, r#"["z",1,0,9,0,0]"#, r#"["s",1,0]"#] {
        assert!(record(wrong).is_err(), "{wrong}");
    }
}
