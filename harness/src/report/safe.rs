//! Text from a submission, made harmless for the surface that it is shown on.

/// Text without anything that a terminal would obey or that would show other letters than are there: control
/// characters but tab and line feed, and the marks that change the direction of writing, become visible.
pub fn visible(text: &str) -> String {
    // Nearly all text is such, and the reports of a class have millions of characters.
    if text.bytes().all(|byte| matches!(byte, b'\t' | b'\n' | b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars()
        .map(|character| match character {
            '\t' | '\n' => character,
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + character as u32).unwrap_or('\u{fffd}'),
            _ if acts(character) => '\u{fffd}',
            _ => character,
        })
        .collect()
}

/// Characters of a line that are shown; what a guest printed is whole in the transcript.
const LONGEST_LINE: usize = 4096;

/// [`visible`] text on one line, no longer than anybody reads.
pub fn line(text: &str) -> String {
    let is_long = text.len() > LONGEST_LINE;
    let cut = if is_long { text.char_indices().nth(LONGEST_LINE).map(|(at, _)| at) } else { None };
    let shown = visible(&text[..cut.unwrap_or(text.len())]).replace(['\n', '\t'], " ");
    match cut {
        Some(at) => format!("{shown}… {} more bytes", text.len() - at),
        None => shown,
    }
}

/// [`visible`] text on one line of so many characters at the most.
pub fn short(text: &str, most: usize) -> String {
    let mut kept: String = text.chars().take(most).collect();
    if kept.len() < text.len() {
        kept.pop();
        kept.push('…');
    }
    visible(&kept).replace(['\n', '\t'], " ")
}

/// A JSON document that is the same to a reader, and in which no terminal finds anything to obey: what [`visible`]
/// replaces stands in its strings as an escape.
pub fn json(document: &str) -> String {
    // Line feeds and such are between the values, and escaped already within them.
    let acts = |character: char| character >= '\u{7f}' && acts(character);
    let mut safe = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(at) = rest.find(acts) {
        let (before, from) = rest.split_at(at);
        let character = from.chars().next().unwrap_or_default();
        safe.push_str(&format!("{before}\\u{:04x}", u32::from(character)));
        rest = &from[character.len_utf8()..];
    }
    safe.push_str(rest);
    safe
}

/// Whether a terminal or an editor would act on a character rather than show it.
fn acts(character: char) -> bool {
    let turns =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    turns || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// [`visible`] text for XML: besides, what is no XML character at all, and what would end a CDATA section.
pub fn xml(text: &str) -> String {
    visible(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}").replace("]]>", "]]\u{200b}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_escape_is_shown_and_not_obeyed() {
        assert_eq!(visible("a\u{1b}[2Jb\u{9b}c\u{202e}d"), "a␛[2Jb\u{fffd}c\u{fffd}d");
        assert_eq!(line("one\ntwo"), "one two");
        assert_eq!(visible("\u{7f}\u{2028}"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_line_is_cut_where_nobody_reads_on_and_says_so() {
        assert_eq!(line(&"é".repeat(5000)), format!("{}… 1808 more bytes", "é".repeat(4096)));
        assert_eq!(line(&"x".repeat(4096)), "x".repeat(4096));
    }

    #[test]
    fn a_json_document_is_the_same_without_what_a_terminal_obeys() {
        let value = serde_json::json!({ "a": "\u{9b}2J\u{7f}\u{202e}\u{1b}\n\"" });
        let document = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!document.chars().any(|character| acts(character) && character != '\n'), "{document}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&document).unwrap(), value);
    }

    #[test]
    fn nothing_ends_a_cdata_section() {
        assert!(!xml("a]]>b]]>").contains("]]>"));
        assert_eq!(xml("\0"), "␀");
    }
}
