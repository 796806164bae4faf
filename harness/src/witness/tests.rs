use super::*;
use crate::session::Stop;

const OFF: Stop = Stop::PoweredOff { status: 0 };

const RECORDS: &str = concat!(
    "\u{1e}{\"n\":0,\"r\":\"boot\",\"format\":1,\"kernel\":\"k\",\"harts\":1,\"memory_pages\":9,\"pages\":\"trusted\"}\n",
    "\u{1e}{\"n\":1,\"r\":\"ops\",\"from\":0,\"ops\":[[\"a\",0,0,40,1,4096],[\"f\",0,0,50,1,4096,\"ok\"]]}\n",
    "KTAP version 1\n1..1\nok 1 reads what it has written\n",
    "\u{1e}{\"n\":2,\"r\":\"shutdown\",\"status\":0}\n",
);

fn reading() -> Reading {
    Reading::of_serial(RECORDS)
}

/// What is seen of a boot that reports what happened.
fn honest() -> Seen {
    let mut counts = vec![0; 16];
    for (kind, count) in
        [(mark::SENT, RECORDS.len() as u64), (mark::POWERED_OFF, 1), (mark::RECORD, 3), (mark::PASSED, 1)]
    {
        counts[kind as usize] = count;
    }
    let marks = (0..6).chain([Meter::Pages.begin(), Meter::Pages.end(), Meter::Pages.noted()]).collect();
    let noted = |instructions| Noted { hart: 0, meter: 0, instructions };
    Seen { instructions: 1000, foreign: None, marks, counts, noted: vec![noted(40), noted(50)] }
}

fn dispute(seen: &Seen) -> String {
    seen.disputes(&reading(), &OFF, RECORDS.len() as u64).unwrap_or_default()
}

fn with(change: impl FnOnce(&mut Seen)) -> Seen {
    let mut seen = honest();
    change(&mut seen);
    seen
}

#[test]
fn a_boot_that_reports_what_happened_is_not_disputed() {
    assert_eq!(dispute(&honest()), "");
}

#[test]
fn whatever_is_reported_and_was_not_done_is_disputed_with_both_numbers() {
    type Change = fn(&mut Seen);
    let cases: [(Change, &str); 8] = [
        (|seen| seen.counts[0] -= 1, "bytes came over the serial line"),
        (|seen| seen.counts[1] = 0, "powered off, and not by the kernel's own code"),
        (|seen| seen.counts[2] = 2, "3 records were printed, and trusted code printed 2"),
        (|seen| seen.counts[3] = 0, "1 checks passed, and the test programs saw 0"),
        (|seen| seen.counts[4] = 1, "0 checks failed, and the test programs saw 1"),
        (|seen| seen.counts[5] = 7, "memory was found damaged 7 times"),
        (|seen| seen.noted.truncate(1), "the trace has 2 operations, and trusted code noted 1"),
        (
            |seen| seen.foreign = Some(Foreign { count: 1, address: 0x10, physical: 0x20, changed: true }),
            "code of the kernel at 0x20 was written over",
        ),
    ];
    for (change, sentence) in cases {
        let text = dispute(&with(change));
        assert!(text.contains(sentence), "{sentence:?} is not in {text:?}");
    }
}

#[test]
fn what_trusted_code_has_no_mark_for_is_not_disputed() {
    let silent = with(|seen| {
        seen.marks = vec![mark::RECORD];
        seen.counts[0] = 0;
        seen.counts[1] = 0;
        seen.noted.clear();
    });
    assert_eq!(dispute(&with(|seen| seen.marks = silent.marks.clone())), "");
    assert_eq!(dispute(&silent), "");
}

#[test]
fn of_a_machine_that_was_stopped_only_its_code_is_judged() {
    let cut = with(|seen| seen.counts[2] = 0);
    assert_eq!(cut.disputes(&reading(), &Stop::OutOfTime, 5), None);
    let foreign = with(|seen| seen.foreign = Some(Foreign { count: 1, address: 1, physical: 2, changed: false }));
    assert!(foreign.disputes(&reading(), &Stop::OutOfTime, 5).is_some());
}

#[test]
fn figures_are_of_what_was_counted_outside_and_of_as_many_operations() {
    let slower = with(|seen| seen.noted[1].instructions = 5000);
    let recounted = slower.recount(&reading()).unwrap();
    assert_eq!(recounted.trace.iter().map(|operation| operation.instructions).collect::<Vec<_>>(), [40, 5000]);
    assert_eq!(with(|seen| seen.noted.truncate(1)).recount(&reading()), None);
}
