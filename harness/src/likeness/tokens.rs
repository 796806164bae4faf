//! Source as tokens in which what is easily changed is the same: names, numbers, texts; comments and space are nothing.

/// Words that mean something in Rust or C, and stay themselves.
const WORDS: [&str; 44] = [
    "as", "break", "case", "char", "const", "continue", "default", "do", "else", "enum", "extern", "fn", "for", "goto",
    "if", "impl", "in", "int", "let", "long", "loop", "match", "mod", "mut", "pub", "ref", "return", "self", "sizeof",
    "static", "struct", "switch", "trait", "true", "typedef", "union", "unsafe", "unsigned", "use", "void", "volatile",
    "where", "while", "false",
];

const NAME: u32 = 1;
const NUMBER: u32 = 2;
const TEXT: u32 = 3;
const LIFETIME: u32 = 4;
const FIRST_WORD: u32 = 5;
const FIRST_SIGN: u32 = 256;

/// The tokens as numbers.
pub fn tokens(text: &str) -> Vec<u32> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &text[at..];
        at = match byte {
            b'/' if rest.starts_with("//") => at + rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => at + comment(rest),
            b'"' => {
                tokens.push(TEXT);
                at + quoted(rest, b'"')
            }
            b'\'' => {
                let (token, length) = apostrophe(rest);
                tokens.push(token);
                at + length
            }
            byte if byte.is_ascii_whitespace() => at + 1,
            byte if byte.is_ascii_digit() => {
                tokens.push(NUMBER);
                at + word(rest)
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => {
                let length = word(rest);
                let name = &rest[..length];
                let known = WORDS.iter().position(|word| *word == name);
                tokens.push(known.map_or(NAME, |index| FIRST_WORD + index as u32));
                at + length
            }
            sign => {
                tokens.push(FIRST_SIGN + u32::from(sign));
                at + 1
            }
        };
    }
    tokens
}

/// The length of a word: letters, digits, `_`, and all that is not ASCII.
fn word(rest: &str) -> usize {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii();
    rest.find(|character| !is_part(character)).unwrap_or(rest.len())
}

/// The length of a comment that may hold others, as in Rust; to the end of the text where it has no end.
fn comment(rest: &str) -> usize {
    let (bytes, mut depth, mut at) = (rest.as_bytes(), 0usize, 0);
    while at < bytes.len() {
        match &bytes[at..(at + 2).min(bytes.len())] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The length of a quoted text, quotes included.
fn quoted(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character or a lifetime, with its length.
fn apostrophe(rest: &str) -> (u32, usize) {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), _) => (TEXT, quoted(rest, b'\'')),
        (Some(_), Some((at, '\''))) => (TEXT, at + 1),
        _ => (LIFETIME, 1 + word(&rest[1..])),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_numbers_layout_and_comments_are_nothing() {
        let one = "fn first<'a>(x: &'a u8) -> u8 { let y = 'x'; /* a /* b */ */ return *x + 17; } // end";
        let other = "fn zweite<'b>(wert: &'b i64)\n  -> i64 {\nlet q\t= '\\n';return *wert+0x1_u8;}";
        assert_eq!(tokens(one), tokens(other));
        assert_ne!(tokens("a + b"), tokens("a - b"));
        assert_ne!(tokens("if a"), tokens("while a"));
        assert_eq!(tokens(r#"f("a \" // b", 1)"#).len(), 6);
    }

    proptest! {
        #[test]
        fn any_text_has_an_end(text in "\\PC*") {
            tokens(&text);
            tokens(&format!("/*{text}"));
            tokens(&format!("'{text}\"{text}\\"));
        }
    }
}
