use super::*;

const OFF: Stop = Stop::PoweredOff { status: 0 };
const START: u64 = 0x8000_0000;

/// What a boot reports over an arena of 16 pages; each operation without client, hart and instructions.
fn reading(operations: &str, result: &str) -> Reading {
    let record = |n: u64, fields: String| format!("\u{1e}{{\"n\":{n},{fields}}}\n");
    let boot = "\"r\":\"boot\",\"format\":1,\"kernel\":\"k\",\"harts\":1,\"memory_pages\":99,\"pages\":\"trusted\"";
    let pool = format!(
        "\"r\":\"pool\",\"pool\":\"arena\",\"allocator\":\"buddy\",\"max_order\":10,\"regions\":[[{START},16,{START},16]]"
    );
    let text = [
        record(0, boot.to_owned()),
        record(1, pool),
        record(2, format!("\"r\":\"ops\",\"from\":0,\"ops\":[{operations}]")),
        format!("KTAP version 1\n1..1\n{result} 1 reads what it has written\n"),
        record(3, "\"r\":\"shutdown\",\"status\":0".to_owned()),
    ];
    let reading = Reading::of_serial(&text.concat());
    assert_eq!(reading.damage, []);
    reading
}

fn allocate(pages: u64, page: u64) -> String {
    format!("[\"a\",0,0,9,{pages},{}]", START + page * PAGE_SIZE)
}

fn free(pages: u64, page: u64) -> String {
    format!("[\"f\",0,0,9,{pages},{},\"ok\"]", START + page * PAGE_SIZE)
}

/// Three blocks are handed out, the second comes back, and a fourth is in its place.
fn held_in_the_end() -> Reading {
    let operations = [allocate(1, 0), allocate(4, 4), allocate(1, 1), free(4, 4), allocate(2, 6)];
    reading(&operations.join(","), "ok")
}

/// What a kernel has written into blocks with these numbers.
fn written(blocks: &[(u64, u64, u32)]) -> impl Fn(u64) -> io::Result<u64> {
    let blocks = blocks.to_vec();
    move |address| {
        let page = (address - START) / PAGE_SIZE;
        let block = blocks.iter().find(|(first, pages, _)| (*first..first + pages).contains(&page));
        Ok(block.map_or(0, |(.., generation)| stamp::word(address, *generation)))
    }
}

#[test]
fn memory_that_holds_what_was_written_is_not_disputed() {
    let reading = held_in_the_end();
    let found = sample(&reading, &OFF, written(&[(0, 1, 1), (1, 1, 3), (6, 2, 4)])).unwrap();
    let addresses: Vec<u64> = found.iter().map(|page| (page.address - START) / PAGE_SIZE).collect();
    assert_eq!(addresses, [0, 1, 6, 7]);
    assert_eq!(dispute(&reading, &OFF, &found), None);
}

#[test]
fn a_block_that_holds_something_else_is_disputed_with_both_words() {
    let reading = held_in_the_end();
    let cases =
        [[(0, 1, 1), (1, 1, 3), (6, 1, 4)], [(0, 1, 1), (1, 1, 2), (6, 2, 4)], [(0, 1, 1), (6, 2, 4), (9, 1, 3)]];
    for (blocks, page) in cases.into_iter().zip([7, 1, 1]) {
        let found = sample(&reading, &OFF, written(&blocks)).unwrap();
        let dispute = dispute(&reading, &OFF, &found).unwrap();
        assert!(dispute.contains(&format!("held in the end at {:#x}", START + page * PAGE_SIZE)), "{dispute}");
    }
}

#[test]
fn what_the_guest_found_itself_is_judged_by_the_check_that_reads_it() {
    let reading = reading(&allocate(1, 0), "not ok");
    let found = sample(&reading, &OFF, |_| Ok(7)).unwrap();
    assert_eq!((found.len(), dispute(&reading, &OFF, &found)), (1, None));
}

#[test]
fn nothing_is_read_where_the_trace_does_not_say_who_holds_what() {
    let overlapping = [allocate(4, 4), allocate(1, 6)].join(",");
    let not_held = [allocate(1, 0), free(1, 3)].join(",");
    let outside = allocate(2, 15);
    for operations in [overlapping, not_held, outside] {
        assert_eq!(sample(&reading(&operations, "ok"), &OFF, |_| panic!("it is read")).unwrap(), []);
    }
    assert_eq!(sample(&held_in_the_end(), &Stop::OutOfTime, |_| panic!("it is read")).unwrap(), []);
}

#[test]
fn of_many_blocks_some_are_read_from_the_first_to_the_last() {
    let operations: Vec<String> = (0..16).map(|page| allocate(1, page)).collect();
    assert_eq!(sample(&reading(&operations.join(","), "ok"), &OFF, |_| Ok(0)).unwrap().len(), 16);
    let pool = Pool {
        name: "arena".into(),
        max_order: 10,
        origin: 0,
        regions: vec![crate::trace::Region { start: START, pages: 999, managed_start: START, managed_pages: 999 }],
    };
    let operation = |page: u64| Operation {
        client: 0,
        hart: 0,
        instructions: 9,
        what: What::Allocate { pages: 2, answer: Ok(START + 2 * page * PAGE_SIZE) },
    };
    let trace: Vec<Operation> = (0..400).map(operation).collect();
    let mut many = reading(&allocate(1, 0), "ok");
    many.trace = trace;
    many.traced.as_mut().unwrap().pool = pool;
    let found = sample(&many, &OFF, |_| Ok(0)).unwrap();
    assert_eq!((found.len(), found[0].address), (MOST, START));
    assert!(found[MOST - 1].address > START + 700 * PAGE_SIZE);
}

#[test]
fn pages_of_lists_that_were_taken_last_are_held() {
    let pool = held_in_the_end().traced.unwrap().pool;
    let operation =
        |begin, end, what| list_trace::Operation { client: 2, hart: 0, instructions: 9, begin, end, what, locks: None };
    let (one, two, three) = (START, START + PAGE_SIZE, START + 2 * PAGE_SIZE);
    let trace = [
        operation(1, 2, list_trace::What::Allocate(Some(one))),
        operation(3, 6, list_trace::What::Free(one)),
        operation(4, 5, list_trace::What::Allocate(Some(two))),
        operation(7, 8, list_trace::What::Allocate(Some(one))),
        // Two clients at once: which stamps the page bears is not certain.
        operation(9, 10, list_trace::What::Allocate(Some(three))),
        operation(11, 15, list_trace::What::Free(three)),
        operation(12, 14, list_trace::What::Allocate(Some(three))),
    ];
    let held = held_of_lists(&pool, &trace).unwrap();
    let generations: Vec<(u64, u32)> = held.iter().map(|(page, block)| (*page, block.generation)).collect();
    assert_eq!(generations, [(one, 7), (two, 4)]);
    let twice = [trace[0], trace[0]];
    assert_eq!(held_of_lists(&pool, &twice), None);
}
