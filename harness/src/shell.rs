//! Words as a shell takes them, for the commands that reports name.

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@=+,".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("lab6-2-buddy"), "lab6-2-buddy");
        assert_eq!(quoted("a b's"), r"'a b'\''s'");
        assert_eq!(quoted("$(rm x)"), "'$(rm x)'");
    }
}
