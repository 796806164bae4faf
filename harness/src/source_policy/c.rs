//! Rules for C, on its tokens: without the headers there is no tree.
//!
//! A preprocessor that pastes names together can hide what it will. What is found here is found with its line; what is
//! not, confinement keeps from the machine.

use super::{Found, Rule, is_reserved};

/// Names that mean one thing in C.
const WORDS: [(&str, Rule); 21] = [
    ("asm", Rule::Asm),
    ("__asm", Rule::Asm),
    ("__asm__", Rule::Asm),
    ("naked", Rule::Asm),
    ("__naked__", Rule::Asm),
    ("section", Rule::Link),
    ("__section__", Rule::Link),
    ("alias", Rule::Link),
    ("__alias__", Rule::Link),
    ("ifunc", Rule::Link),
    ("__ifunc__", Rule::Link),
    ("weakref", Rule::Link),
    ("__weakref__", Rule::Link),
    ("symver", Rule::Link),
    ("constructor", Rule::Link),
    ("__constructor__", Rule::Link),
    ("destructor", Rule::Link),
    ("__destructor__", Rule::Link),
    ("cleanup", Rule::Hidden),
    ("__DATE__", Rule::Env),
    ("__TIME__", Rule::Env),
];

/// What locks are made of.
fn is_atomic(word: &str) -> bool {
    let of_compiler = ["__sync_", "__atomic_", "__c11_atomic_", "atomic_"].iter().any(|start| word.starts_with(start));
    of_compiler || ["_Atomic", "stdatomic", "volatile", "__volatile__", "__volatile"].contains(&word)
}

/// The text without comments, with strings and numbers of lines kept, and lines that are continued put together at the
/// place of the first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut rest = text.char_indices().peekable();
    let (mut line, mut number, mut start) = (String::new(), 1, 1);
    let mut quote = None;
    while let Some((_, letter)) = rest.next() {
        let next = rest.peek().map(|(_, next)| *next);
        match (letter, next, quote) {
            ('\\', Some('\n'), _) => {
                rest.next();
                number += 1;
            }
            ('\\', Some(escaped), Some(_)) => {
                line.extend(['\\', escaped]);
                rest.next();
            }
            ('\n', ..) => {
                lines.push((start, std::mem::take(&mut line)));
                number += 1;
                start = number;
                quote = None;
            }
            ('/', Some('/'), None) => {
                while rest.peek().is_some_and(|(_, next)| *next != '\n') {
                    rest.next();
                }
            }
            ('/', Some('*'), None) => {
                rest.next();
                line.push(' ');
                let mut last = ' ';
                for (_, letter) in rest.by_ref() {
                    number += usize::from(letter == '\n');
                    if (last, letter) == ('*', '/') {
                        break;
                    }
                    last = letter;
                }
            }
            ('"' | '\'', _, None) => {
                quote = Some(letter);
                line.push(letter);
            }
            _ => {
                if quote == Some(letter) {
                    quote = None;
                }
                line.push(letter);
            }
        }
    }
    lines.push((start, line));
    lines
}

pub(super) fn look(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let attribute = &mut Attribute::default();
    for (number, line) in logical_lines(text) {
        let shown = || line.trim().to_owned();
        let column = line.len() - line.trim_start().len() + 1;
        let directive = line.trim_start().strip_prefix('#').or_else(|| line.trim_start().strip_prefix("%:"));
        if let Some(directive) = directive {
            if let Some(rule) = directive_breaks(directive.trim_start()) {
                found.push(Found { line: number, column, what: shown(), rule });
            }
            if directive.contains("##") || directive.contains("%:%:") {
                found.push(Found { line: number, column, what: shown(), rule: Rule::Hidden });
            }
        }
        let mut before = 0;
        let mut last = "";
        for (at, word) in words(&line) {
            attribute.pass(&line[before..at]);
            before = at + word.len();
            // `asm volatile` says it of the assembly.
            if is_atomic(word) && !last.contains("asm") {
                found.push(Found { line: number, column: at + 1, what: word.to_owned(), rule: Rule::Atomics });
            }
            last = word;
            if word == "__attribute__" || word == "__attribute" {
                *attribute = Attribute { open: true, depth: 0 };
            }
            if is_reserved(word) {
                found.push(Found { line: number, column: at + 1, what: word.to_owned(), rule: Rule::Reserved });
            }
            let Some((_, rule)) = WORDS.iter().find(|(known, _)| *known == word) else { continue };
            // The others are words that a student may use for things.
            if word.contains("asm") || word.starts_with("__") || attribute.open {
                // The rest of the statement tells one from another.
                let what = line[at..].trim_end().to_owned();
                found.push(Found { line: number, column: at + 1, what, rule: *rule });
            }
        }
        attribute.pass(&line[before..]);
    }
    found
}

/// Whether one stands within `__attribute__((…))` or `[[…]]`, which may go over several lines.
#[derive(Default)]
struct Attribute {
    open: bool,
    depth: u32,
}

impl Attribute {
    /// Goes past what lies between two words.
    fn pass(&mut self, between: &str) {
        if between.contains("[[") {
            *self = Self { open: true, depth: 0 };
        }
        for sign in between.chars() {
            match sign {
                '(' | '[' => self.depth += 1,
                ')' | ']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.open &= self.depth > 0;
                }
                _ => {}
            }
        }
    }
}

/// The identifiers of a line, with where they begin; those in strings are none.
fn words(line: &str) -> Vec<(usize, &str)> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    let mut words = Vec::new();
    let mut letters = line.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '"' || letter == '\'' {
            while let Some((_, inside)) = letters.next() {
                if inside == '\\' {
                    letters.next();
                } else if inside == letter {
                    break;
                }
            }
        } else if is_part(letter) {
            let mut end = at + letter.len_utf8();
            while let Some((next, letter)) = letters.next_if(|(_, letter)| is_part(*letter)) {
                end = next + letter.len_utf8();
            }
            words.push((at, &line[at..end]));
        }
    }
    words
}

/// What a directive, without its `#`, breaks.
fn directive_breaks(directive: &str) -> Option<Rule> {
    let name: String =
        directive.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    let what = directive[name.len()..].trim();
    match name.as_str() {
        "include" | "import" | "include_next" | "embed" => {
            let named = what.strip_prefix('"').and_then(|rest| rest.split_once('"'));
            let named = named.or_else(|| what.strip_prefix('<').and_then(|rest| rest.split_once('>')));
            // A name that a macro makes, or one that leads out of the tree.
            let within =
                named.is_some_and(|(path, _)| !path.starts_with('/') && path.split('/').all(|part| part != ".."));
            (name != "include" || !within).then_some(Rule::Include)
        }
        _ => None,
    }
}

/// Assembly files are the course's to have in a lab; they must not take in others.
pub(super) fn look_at_assembly(text: &str) -> Vec<Found> {
    let mut found = look(text);
    found.retain(|found| found.rule == Rule::Include);
    for (number, line) in text.lines().enumerate() {
        for directive in [".incbin", ".include"] {
            if let Some(at) = line.find(directive) {
                let what = line[at..].trim_end().to_owned();
                found.push(Found { line: number + 1, column: at + 1, what, rule: Rule::Include });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_found(text: &str, rules: &[(usize, Rule)]) {
        let found = look(text);
        assert_eq!(found.iter().map(|found| (found.line, found.rule)).collect::<Vec<_>>(), rules, "{text}: {found:?}");
    }

    #[test]
    fn each_rule_is_kept_wherever_it_is_broken() {
        assert_found("\n#include \"/etc/passwd\"\n", &[(2, Rule::Include)]);
        assert_found("# /* so */ include <../../secret>", &[(1, Rule::Include)]);
        assert_found("#inc\\\nlude \"/etc/passwd\"\n", &[(1, Rule::Include)]);
        assert_found("#define F \"/etc/passwd\"\n#include F\n", &[(2, Rule::Include)]);
        assert_found("void f(void) {\n  __asm__ volatile(\".incbin \\\"x\\\"\");\n}", &[(2, Rule::Asm)]);
        assert_found("int x __attribute__((section(\".text\"))) = 1;", &[(1, Rule::Link)]);
        assert_found("int x __attribute__((\n  section(\".text\"))) = 1;\nint section;", &[(2, Rule::Link)]);
        assert_found("void f(void) __attribute__((alias(\"g\")));", &[(1, Rule::Link)]);
        assert_found("#include \"grader.h\"\nvoid f(void) { GRADER_MARK(2); }", &[(2, Rule::Reserved)]);
        assert_found("#define PASTE(a, b) a##b\n", &[(1, Rule::Hidden)]);
        assert_found("static volatile int busy;", &[(1, Rule::Atomics)]);
        assert_found("#include <stdatomic.h>\n_Atomic int busy;", &[(1, Rule::Atomics), (2, Rule::Atomics)]);
        assert_found("void f(int *x) {\n  while(__sync_lock_test_and_set(x, 1));\n}", &[(2, Rule::Atomics)]);
    }

    #[test]
    fn what_solutions_are_made_of_is_no_breach() {
        assert_found(
            "#include \"types.h\"\n#include <stdint.h>\n// asm(\"nop\")\n/* #include \"/etc/passwd\" */\n",
            &[],
        );
        assert_found("int x __attribute__((\n  section(\".text\"))) = 1;\nint section;", &[(2, Rule::Link)]);
        assert_found(
            "void f(void) __attribute__((noreturn)); int section = 1, alias; char *s = \"asm(\\\"\\\") ##\";",
            &[],
        );
        assert_found("int g(void) { return cleanup(section(3)); }", &[]);
    }

    #[test]
    fn assembly_takes_in_no_other_file() {
        let found = look_at_assembly("start:\n  .incbin \"/etc/passwd\"\n  li a0, 1\n");
        assert_eq!(found.iter().map(|found| (found.line, found.rule)).collect::<Vec<_>>(), [(2, Rule::Include)]);
    }
}
