use proptest::prelude::*;

use super::*;
use crate::owner::Owner;
use crate::serial::record::Panic;
use crate::session::Stop;

const OFF: Stop = Stop::PoweredOff { status: 0 };
const FAILED: Stop = Stop::PoweredOff { status: 101 };

fn read(serial: impl AsRef<[u8]>, stop: &Stop) -> Reading {
    reader::read(serial.as_ref(), stop, 1000)
}

/// The serial line of a kernel that says these things: records are numbered, other lines stand as they are.
fn serial(lines: &[&str]) -> String {
    let mut n = 0;
    lines.iter().fold(String::new(), |mut serial, line| {
        match line.strip_prefix("r ") {
            Some(fields) => {
                serial += &format!("\u{1e}{{\"n\":{n},\"r\":{fields}}}\n");
                n += 1;
            }
            None => serial += &format!("{line}\n"),
        }
        serial
    })
}

const BOOT: &str =
    "r \"boot\",\"format\":1,\"kernel\":\"reference\",\"harts\":1,\"memory_pages\":100,\"pages\":\"trusted\"";
const START: &str = "r \"start\",\"program\":\"p --seed 1\",\"free_pages\":50";
const END: &str = "r \"end\",\"program\":\"p --seed 1\",\"status\":0,\"free_pages\":50";
const SHUTDOWN: &str = "r \"shutdown\",\"status\":0";
const PANIC: &str = "r \"panic\",\"hart\":0,\"file\":\"a.rs\",\"line\":3,\"message\":\"boom\",\"backtrace\":[]";

fn operations(from: u64, count: usize) -> String {
    let operations = vec!["[\"a\",0,0,40,1,4096]"; count].join(",");
    format!("r \"ops\",\"from\":{from},\"ops\":[{operations}]")
}

fn flaws(reading: &Reading) -> Vec<String> {
    reading.damage.iter().map(Damage::to_string).collect()
}

#[test]
fn a_boot_in_order_is_read_without_damage() {
    let (one, two) = (operations(0, 3), operations(3, 2));
    let lines = [
        "welcome",
        BOOT,
        "r \"pool\",\"pool\":\"arena\",\"allocator\":\"buddy\",\"max_order\":10,\"regions\":[[0,9,0,8]]",
        START,
        &one,
        "KTAP version 1",
        "1..1",
        "hello",
        "ok 1 - works",
        "r \"done\",\"client\":0,\"operations\":3",
        END,
        "r \"start\",\"program\":\"q\",\"free_pages\":50",
        &two,
        "r \"end\",\"program\":\"q\",\"killed\":\"load page fault\",\"free_pages\":49",
        "r \"news\",\"x\":1",
        SHUTDOWN,
    ];
    let reading = read(serial(&lines), &OFF);
    assert_eq!(flaws(&reading), [""; 0]);
    assert_eq!(reading.ending, Ending::PoweredOff);
    assert_eq!(reading.ending.owner(), None);
    assert_eq!(reading.boot.as_ref().unwrap().memory_pages, 100);
    assert_eq!(reading.traced.as_ref().unwrap().pool.regions[0].managed_pages, 8);
    assert_eq!((reading.trace.len(), reading.trace_is_whole()), (5, true));
    let [p, q] = &reading.programs[..] else { panic!() };
    assert_eq!((p.script.as_str(), p.line, p.trace.clone()), ("p --seed 1", 4, 0..3));
    assert_eq!(p.end, Some(ProgramEnd { line: 11, outcome: Outcome::Exited(0), free_pages: 50 }));
    assert_eq!((q.trace.clone(), &q.end.as_ref().unwrap().outcome), (3..5, &Outcome::Killed("load page fault".into())));
    assert_eq!((reading.done[0].line, reading.done[0].program), (10, Some(0)));
    assert_eq!((reading.ktap[0].line, reading.ktap[0].program), (6, Some(0)));
    assert_eq!(reading.ktap[0].what.problems, []);
    let console: Vec<_> = reading.console.iter().map(|line| (line.line, line.program, line.what.as_str())).collect();
    assert_eq!(console, [(1, None, "welcome"), (8, Some(0), "hello")]);
    assert_eq!((reading.others[0].what.kind.as_str(), reading.others[0].program), ("news", None));
}

#[test]
fn a_failing_status_that_the_kernel_announced_is_the_ending() {
    let lines = |status: i64| serial(&[BOOT, &format!("r \"shutdown\",\"status\":{status}")]);
    assert_eq!(read(lines(3), &Stop::PoweredOff { status: 3 }).ending, Ending::GuestStatus { status: 3 });
    // QEMU's exit status has eight bits, and a negative status has more.
    assert_eq!(read(lines(-1), &Stop::PoweredOff { status: 1 }).ending, Ending::GuestStatus { status: -1 });
    assert_eq!(read(lines(300), &Stop::PoweredOff { status: 44 }).ending, Ending::GuestStatus { status: 300 });
}

#[test]
fn a_panic_counts_when_the_machine_stopped_with_a_failing_status() {
    let reading = read(serial(&[BOOT, START, PANIC]), &FAILED);
    assert!(matches!(&reading.ending, Ending::Panicked(Panic { line: 3, .. })), "{:?}", reading.ending);
    assert_eq!(reading.ending.owner(), Some(Owner::Submission));
    assert_eq!(reading.ending.to_string(), "the kernel panicked on hart 0 at a.rs:3: boom");
    assert_eq!(reading.unfinished().count(), 1);
    assert_eq!(reading.damage, []);
}

#[test]
fn a_forged_end_is_no_end() {
    let forged = read(serial(&[BOOT, PANIC]), &OFF);
    assert_eq!(forged.ending, Ending::EndedEarly { status: 0, why: Early::Untrue { kind: "panic".into() } });
    assert_eq!(flaws(&forged), ["line 2: a `panic` record, but the machine was powered off with status 0"]);

    let hung = read(serial(&[BOOT, SHUTDOWN]), &Stop::OutOfTime);
    assert_eq!(hung.ending, Ending::OutOfTime { last: String::new() });
    assert_eq!(flaws(&hung), ["line 2: a `shutdown` record, but the machine went on until its time was up"]);

    let failed = read(serial(&[BOOT, SHUTDOWN]), &FAILED);
    assert_eq!(failed.ending, Ending::EndedEarly { status: 101, why: Early::Untrue { kind: "shutdown".into() } });

    let went_on = read(serial(&[BOOT, SHUTDOWN, START, END, SHUTDOWN]), &OFF);
    assert_eq!(went_on.programs, []);
    assert_eq!(went_on.damage.len(), 3);
    assert_eq!(went_on.damage[0].to_string(), "line 3: a `start` record, though line 2 said that the machine ends");
    assert!(went_on.distrust().is_some());
}

#[test]
fn power_off_without_a_word_is_an_early_end() {
    let reading = read(serial(&[BOOT, START]), &OFF);
    assert_eq!(reading.ending, Ending::EndedEarly { status: 0, why: Early::Unannounced });
    assert_eq!(read("", &OFF).ending, Ending::EndedEarly { status: 0, why: Early::Unannounced });
    let unfinished = read(serial(&[BOOT, START, SHUTDOWN]), &OFF);
    let why = Early::Unfinished { program: "p --seed 1".into() };
    assert_eq!(unfinished.ending, Ending::EndedEarly { status: 0, why });
    assert_eq!(
        unfinished.ending.to_string(),
        "the machine was powered off with status 0, while \"p --seed 1\" was running"
    );
}

#[test]
fn what_ended_from_outside_has_its_owner() {
    for (stop, owner) in [
        (Stop::OutOfTime, Owner::Submission),
        (Stop::Stalled, Owner::Submission),
        (Stop::Flooded, Owner::Submission),
        (Stop::Broken { reason: "killed".into() }, Owner::Harness),
    ] {
        let reading = read(serial(&[BOOT, START]), &stop);
        assert_eq!(reading.ending.owner(), Some(owner), "{stop:?}");
        assert_eq!(reading.damage, []);
    }
}

#[test]
fn lost_repeated_and_unreadable_records_are_named_with_their_lines() {
    let text = serial(&[BOOT, START, END, SHUTDOWN]);
    let lines: Vec<&str> = text.lines().collect();
    let reading = |lines: &[&str]| flaws(&read(lines.join("\n") + "\n", &OFF));
    assert_eq!(reading(&[lines[0], lines[3]]), ["line 2: records 1 to 2 are missing"]);
    assert_eq!(
        reading(&[lines[0], lines[1], lines[1], lines[2], lines[3]]),
        [
            "line 3: record 1 was there before; record 2 was due",
            "line 3: \"p --seed 1\" begins before the program before it has ended",
        ]
    );
    assert_eq!(
        reading(&[lines[0], lines[1], &lines[2][..20], lines[3]]),
        [
            "line 3: a record's mark, but no record: EOF while parsing a string at column 19",
            "line 4: record 2 is missing",
        ]
    );
    assert_eq!(
        reading(&lines[1..])[..2],
        ["line 1: record 0 is missing", "line 1: the first record is `start`, not `boot`"]
    );
}

#[test]
fn numbers_at_the_edge_of_their_type_are_damage_and_nothing_worse() {
    let text = format!("\u{1e}{{\"n\":{0},\"r\":\"x\"}}\n\u{1e}{{\"n\":{0},\"r\":\"x\"}}\n", u64::MAX);
    let reading = read(text, &OFF);
    assert!(reading.damage.iter().any(|damage| damage.line == 1), "{:?}", reading.damage);
    for damage in &reading.damage {
        assert!(!damage.to_string().is_empty());
    }
    let text = serial(&[BOOT, &operations(u64::MAX, 1)]);
    assert_eq!(
        flaws(&read(text, &OFF)),
        [format!("line 2: the trace goes on with operation {}, but operation 0 was due", u64::MAX)]
    );
}

#[test]
fn a_record_that_the_end_cuts_off_is_damage_that_takes_nothing_away() {
    let text = serial(&[BOOT, START]) + "\u{1e}{\"n\":2,\"r\":\"op";
    let reading = read(text, &Stop::OutOfTime);
    assert_eq!(flaws(&reading), ["line 3: a record that breaks off with the end of the output"]);
    assert_eq!(reading.distrust(), None);
}

#[test]
fn a_line_that_is_too_long_is_named() {
    let long = "x".repeat(1 << 20);
    let reading = read(serial(&[BOOT, &long, SHUTDOWN]), &OFF);
    assert_eq!(reading.damage.len(), 1);
    assert!(reading.damage[0].to_string().starts_with("line 2: the line is too long"));
    assert_eq!((reading.distrust(), &reading.ending), (None, &Ending::PoweredOff));
    let record = read(serial(&[BOOT, &format!("r \"x\",\"y\":\"{long}\"")]), &OFF);
    assert!(record.distrust().is_some());
}

#[test]
fn the_trace_ends_at_its_first_gap() {
    for (second, flaw) in [
        (operations(5, 1), "line 4: the trace goes on with operation 5, but operation 2 was due"),
        (operations(1, 1), "line 4: the trace goes back to operation 1; operation 2 was due"),
        (
            "r \"lost\",\"operations\":9".into(),
            "line 4: the kernel's trace buffer was full, and 9 operations were not traced",
        ),
    ] {
        let reading = read(serial(&[BOOT, START, &operations(0, 2), &second, &operations(2, 4), END, SHUTDOWN]), &OFF);
        assert_eq!(flaws(&reading), [flaw]);
        assert_eq!((reading.trace.len(), reading.trace_is_whole()), (2, false));
        assert_eq!(reading.programs[0].trace, 0..2);
    }
}

#[test]
fn each_hart_numbers_its_operations_of_lists_and_the_first_gap_ends_them_all() {
    let some = |hart: u8, from: u64, count: usize| {
        let operations = vec!["[\"a\",0,40,1,2,4096]"; count].join(",");
        format!("r \"lists\",\"hart\":{hart},\"from\":{from},\"ops\":[{operations}]")
    };
    let whole = [BOOT, START, &some(0, 0, 2), &some(3, 0, 1), &some(0, 2, 1), END, SHUTDOWN];
    let reading = read(serial(&whole), &OFF);
    assert_eq!((flaws(&reading), reading.trace_is_whole()), (vec![], true));
    assert_eq!(reading.lists.iter().map(|operation| operation.hart).collect::<Vec<_>>(), [0, 0, 3, 0]);

    let reading = read(serial(&[BOOT, START, &some(0, 0, 2), &some(3, 2, 1), &some(0, 2, 1), END, SHUTDOWN]), &OFF);
    assert_eq!(flaws(&reading), ["line 4: the trace goes on with operation 2, but operation 0 was due"]);
    assert_eq!((reading.lists.len(), reading.trace_is_whole()), (2, false));
}

#[test]
fn a_boot_and_a_pool_come_once_and_a_program_ends_once() {
    let reading = read(serial(&[BOOT, BOOT, END, START, END, END, SHUTDOWN]), &OFF);
    assert_eq!(
        flaws(&reading),
        [
            "line 2: a second `boot` record; a boot has one",
            "line 3: \"p --seed 1\" ends, which did not run",
            "line 6: \"p --seed 1\" ends, which did not run",
        ]
    );
}

#[test]
fn results_belong_to_the_program_that_printed_them() {
    let lines = [BOOT, START, "KTAP version 1", "1..2", "ok 1 a", END, "ok 2 b", SHUTDOWN];
    let reading = read(serial(&lines), &OFF);
    let [document] = &reading.ktap[..] else { panic!() };
    assert_eq!((document.program, document.what.tests.len(), document.what.problems.len()), (Some(0), 2, 1));
    assert_eq!(document.what.tests[1].status, crate::serial::ktap::Status::Missing);
    assert_eq!(reading.console[0].what, "ok 2 b");
}

#[test]
fn a_record_in_the_middle_of_a_console_line_is_both() {
    let text = format!("{}booting \u{1e}{{\"n\":1,\"r\":\"shutdown\",\"status\":0}}\n", serial(&[BOOT]));
    let reading = read(text, &OFF);
    assert_eq!(reading.ending, Ending::PoweredOff);
    assert_eq!((reading.console[0].line, reading.console[0].what.as_str()), (2, "booting "));
}

proptest! {
    #[test]
    fn no_transcript_makes_the_reader_panic(
        lines in proptest::collection::vec(
            prop_oneof![
                Just(BOOT.to_owned()), Just(START.to_owned()), Just(END.to_owned()), Just(SHUTDOWN.to_owned()),
                Just(PANIC.to_owned()), (0..9_u64, 0..3_usize).prop_map(|(from, count)| operations(from, count)),
                Just("KTAP version 1".to_owned()), "(not )?ok [0-3] [a-z]", "\\PC{0,20}", Just("\u{1e}{\"n\":".to_owned()),
            ],
            0..30,
        ),
        cut in any::<prop::sample::Index>(),
        status in -1..3_i32,
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let text = serial(&lines);
        let cut = cut.index(text.len() + 1);
        let stop = if status < 0 { Stop::OutOfTime } else { Stop::PoweredOff { status } };
        let reading = read(&text.as_bytes()[..cut], &stop);
        // Whatever was printed, only a machine that was powered off with success was powered off in order.
        prop_assert!(reading.ending != Ending::PoweredOff || stop == OFF);
        prop_assert!(reading.programs.iter().all(|program| program.trace.end <= reading.trace.len()));
        prop_assert!(reading.damage.is_sorted_by_key(|damage| damage.line));
    }

    #[test]
    fn a_record_that_goes_missing_is_always_noticed(gone in 0..5_usize) {
        let text = serial(&[BOOT, START, &operations(0, 2), &operations(2, 1), END, SHUTDOWN]);
        let lines: Vec<&str> = text.lines().enumerate().filter(|&(index, _)| index != gone).map(|(_, line)| line).collect();
        prop_assert!(read(lines.join("\n") + "\n", &OFF).distrust().is_some());
    }
}

#[test]
fn a_kernel_that_hangs_is_said_to_hang_after_its_last_line() {
    let reading = read("\nxv6 kernel is booting\n\n", &Stop::OutOfTime);
    assert!(reading.ending.to_string().ends_with("was \"xv6 kernel is booting\""), "{}", reading.ending);
    let silent = read("", &Stop::OutOfTime);
    assert!(silent.ending.to_string().contains("not printed a single line"), "{}", silent.ending);
}
