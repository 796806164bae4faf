//! Text from a submission, made harmless for the surface that it is shown on.

/// Text without anything that a terminal would obey or that would show other letters than are there: control
/// characters but tab and line feed, and the marks that change the direction of writing, become visible.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' | '\n' => character,
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + character as u32).unwrap_or('\u{fffd}'),
            '\u{7f}'..='\u{9f}' => '\u{fffd}',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' => '\u{fffd}',
            _ => character,
        })
        .collect()
}

/// [`visible`] text on one line.
pub fn line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
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
    }

    #[test]
    fn nothing_ends_a_cdata_section() {
        assert!(!xml("a]]>b]]>").contains("]]>"));
        assert_eq!(xml("\0"), "␀");
    }
}
