//! Lines after which a guest does nothing more, though it keeps the machine on: a panic that spins for ever.

use regex::bytes::RegexSet;

/// Looks for last words in output as it comes.
#[derive(Debug)]
pub(super) struct LastWords {
    patterns: RegexSet,
    /// Where the first line begins that was not looked at yet.
    from: usize,
}

/// Bytes of a line that are looked at.
const LONGEST: usize = 4096;

impl LastWords {
    /// The patterns of a kernel kind, each of which was compiled when it was read.
    pub fn new(patterns: &[String]) -> Self {
        let patterns = RegexSet::new(patterns).unwrap_or_else(|_| RegexSet::empty());
        Self { patterns, from: 0 }
    }

    /// The first whole line of the output so far that says that nothing follows, if one does.
    pub fn find(&mut self, output: &[u8]) -> Option<String> {
        if self.patterns.is_empty() {
            return None;
        }
        while let Some(length) = output[self.from..].iter().position(|byte| *byte == b'\n') {
            let line = &output[self.from..self.from + length];
            self.from += length + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = &line[..line.len().min(LONGEST)];
            if self.patterns.is_match(line) {
                return Some(String::from_utf8_lossy(line).into_owned());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_once_it_is_whole_and_however_it_comes() {
        let mut words = LastWords::new(&["^panic: ".to_owned()]);
        let output = b"booting\nno panic: here\npanic: kfree\r\nmore\n";
        for end in 0..output.len() {
            let found = words.find(&output[..end]);
            assert_eq!(found.is_some(), end == output.len() - "more\n".len(), "{end}");
            if let Some(line) = found {
                assert_eq!(line, "panic: kfree");
                return;
            }
        }
    }

    #[test]
    fn without_patterns_nothing_is_the_last_word() {
        assert_eq!(LastWords::new(&[]).find(b"panic: x\n"), None);
    }
}
