use proptest::prelude::*;

use super::*;

/// Number, kind and text of each line.
fn parts(text: &str) -> Vec<(u64, Kind, String)> {
    lines(text.as_bytes()).into_iter().map(|line| (line.number, line.kind, line.text)).collect()
}

fn texts(text: &str) -> Vec<String> {
    lines(text.as_bytes()).into_iter().map(|line| line.text).collect()
}

fn text(number: u64, text: &str) -> (u64, Kind, String) {
    (number, Kind::Text, text.into())
}

fn record(number: u64, text: &str) -> (u64, Kind, String) {
    (number, Kind::Record, text.into())
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    assert_eq!(parts("one\ntwo\r\n\nfour\n"), [text(1, "one"), text(2, "two"), text(3, ""), text(4, "four")]);
    assert_eq!(parts("\n\r\n"), [text(1, ""), text(2, "")]);
    assert_eq!(parts(""), []);
}

#[test]
fn a_last_line_without_an_end_is_kept_and_marked() {
    let lines = lines(b"one\ntwo");
    assert_eq!(lines.iter().map(|line| line.ended).collect::<Vec<_>>(), [true, false]);
    assert_eq!(lines[1].text, "two");
}

#[test]
fn a_record_begins_at_its_mark_even_in_the_middle_of_a_line() {
    assert_eq!(parts("\u{1e}{}\n"), [record(1, "{}")]);
    assert_eq!(parts("$ \u{1e}{}\nnext\n"), [text(1, "$ "), record(1, "{}"), text(2, "next")]);
    assert_eq!(parts("\u{1e}{\"n\":\u{1e}{}\n"), [record(1, "{\"n\":"), record(1, "{}")]);
}

#[test]
fn a_lone_carriage_return_hides_nothing() {
    assert_eq!(parts("10 %\r20 %\r\r\nnext"), [text(1, "10 %"), text(1, "20 %"), text(2, "next")]);
    assert_eq!(parts("\n\rxv6\n\rok"), [text(1, ""), text(2, "xv6"), text(3, "ok")]);
    assert_eq!(parts("not ok 1\r\u{1b}[K\n"), [text(1, "not ok 1")]);
}

#[test]
fn terminal_sequences_are_left_out() {
    assert_eq!(
        texts("\u{1b}[1;31mred\u{1b}[0m \u{1b}]0;title\u{7}a\u{1b}]8;;u\u{1b}\\b\u{1b}(Bc\u{1b}7d\n"),
        ["red abcd"]
    );
    assert_eq!(parts("\u{1b}[0m\u{1e}{}\u{1b}[0m\n"), [record(1, "{}")]);
}

#[test]
fn sequences_that_break_off_take_no_other_text_with_them() {
    assert_eq!(texts("a\u{1b}[31\nb\n"), ["a", "b"]);
    assert_eq!(texts("a\u{1b}]0;kept\nb\u{7}\n"), ["a0;kept", "b␇"]);
    assert_eq!(parts("\u{1b}]\u{1e}{}\n"), [record(1, "{}")]);
    assert_eq!(texts("\u{1b}\u{1b}[1mx\u{1b}"), ["x"]);
    assert_eq!(texts("\u{1b}[1\u{1}x"), ["␁x"]);
    assert_eq!(texts("\u{1b}]text\u{1b}[1mx"), ["textx"]);
}

#[test]
fn console_text_holds_nothing_that_a_terminal_acts_on() {
    assert_eq!(texts("a\0b\tc\u{8}\u{7f}\u{85}\u{202e}d"), ["a␀b\tc␈␡\u{fffd}\u{fffd}d"]);
    assert_eq!(lines(b"caf\xe9 \xc3\xa9")[0].text, "caf\u{fffd} é");
}

#[test]
fn a_record_keeps_its_control_characters_for_its_reader_to_refuse() {
    assert_eq!(texts("\u{1e}{\"n\":\u{1}}\n"), ["{\"n\":\u{1}}"]);
}

#[test]
fn a_line_of_megabytes_is_cut_and_says_by_how_much() {
    let mut bytes = vec![b'x'; 3 << 20];
    bytes.extend(b"\nnext\n");
    let lines = lines(&bytes);
    assert_eq!((lines[0].text.len(), lines[0].dropped), (LINE_LIMIT, (3 << 20) - LINE_LIMIT as u64));
    assert_eq!((lines[1].number, lines[1].text.as_str(), lines[1].dropped), (2, "next", 0));
}

#[test]
fn a_control_string_longer_than_a_line_is_no_part_of_it() {
    let mut bytes = b"a\x1b]".to_vec();
    bytes.extend(vec![b'x'; 2 * LINE_LIMIT]);
    bytes.extend(b"\x07b\n");
    let lines = lines(&bytes);
    assert_eq!((lines[0].text.as_str(), lines[0].dropped), ("ab", 0));
}

/// Bytes rich in what matters to the framer.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\x1e".to_vec()),
        Just(b"\x1b[".to_vec()),
        Just(b"\x1b]".to_vec()),
        Just(b"\x1b\\".to_vec()),
        "[ -~]{0,8}".prop_map(String::into_bytes),
        "\\PC{0,4}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_into_pieces_changes_nothing(bytes in bytes(), cuts in proptest::collection::vec(1..9_usize, 1..20)) {
        let mut pieces = Vec::new();
        let mut framer = Framer::new();
        let mut rest = &bytes[..];
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            framer.push(piece, |line| pieces.push(line));
            rest = after;
        }
        framer.finish(|line| pieces.push(line));
        prop_assert_eq!(pieces, lines(&bytes));
    }

    #[test]
    fn lines_are_numbered_by_line_feeds_and_every_record_mark_begins_one(bytes in bytes()) {
        let lines = lines(&bytes);
        let feeds = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let marks = bytes.iter().filter(|&&byte| byte == MARK as u8).count();
        prop_assert!(lines.is_sorted_by_key(|line| line.number));
        prop_assert!(lines.iter().all(|line| line.number <= feeds + 1));
        prop_assert!((1..=feeds).all(|number| lines.iter().any(|line| line.number == number)));
        prop_assert_eq!(lines.iter().filter(|line| line.kind == Kind::Record).count(), marks);
    }

    #[test]
    fn plain_text_comes_through_whole(texts in proptest::collection::vec("[ -~äß日]{0,20}", 0..20)) {
        let lines: Vec<String> = lines(texts.join("\r\n").as_bytes()).into_iter().map(|line| line.text).collect();
        let mut expected = texts;
        // What follows the last line end is a line only if there is something.
        if expected.last().is_some_and(String::is_empty) {
            expected.pop();
        }
        prop_assert_eq!(lines, expected);
    }

    #[test]
    fn console_text_never_holds_a_control_character(bytes in bytes()) {
        for line in lines(&bytes) {
            let control = line.text.chars().any(|c| c.is_control() && c != '\t');
            prop_assert!(line.kind == Kind::Record || !control, "{:?}", line.text);
        }
    }
}
