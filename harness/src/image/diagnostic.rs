//! What a compiler says, as it says it, with the student's own paths.

use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};

/// One message of a compiler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// Its first line.
    pub message: String,
    /// The compiler's code for it, as in `E0308`.
    pub code: Option<String>,
    /// Where it points first.
    pub place: Option<Place>,
    /// What it says of that place, where that is more than its first line.
    #[serde(default)]
    pub label: Option<String>,
    /// The whole message as the compiler renders it, with colours.
    pub rendered: String,
}

/// How bad a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing is built.
    Error,
    /// Something is built.
    Warning,
}

/// A place in a file of the student's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Place {
    /// Relative to the repository's root, with `/`.
    pub file: String,
    /// From one.
    pub line: u32,
    /// From one.
    pub column: u32,
}

impl Diagnostic {
    /// The whole message as the compiler renders it, with colours only if they are wanted. Whatever else a terminal
    /// would obey is gone: source text is quoted in messages.
    pub fn shown(&self, colour: bool) -> String {
        clean(&self.rendered, colour)
    }

    /// The message with paths that begin at the repository's root, where the kernel's root is another folder.
    ///
    /// `has` answers whether a path is in the tree that was built.
    pub(super) fn moved(mut self, root: &Path, has: impl Fn(&Path) -> bool) -> Self {
        static ARROW: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?P<arrow>(?:-->|:::)(?:\x1b\[[0-9;]*m| )*)(?P<path>[^\s:\x1b]+)(?P<place>:\d+)")
                .expect("it is one")
        });
        if root.as_os_str().is_empty() {
            return self;
        }
        if let Some(place) = &mut self.place
            && has(Path::new(&place.file))
        {
            place.file = root.join(&place.file).display().to_string();
        }
        let replace = |found: &Captures<'_>| {
            let path = Path::new(&found["path"]);
            let path = if has(path) { root.join(path) } else { path.to_owned() };
            format!("{}{}{}", &found["arrow"], path.display(), &found["place"])
        };
        self.rendered = ARROW.replace_all(&self.rendered, replace).into_owned();
        self
    }
}

/// Text without control characters but line ends and tabs; colours stay if they are wanted.
pub fn clean(text: &str, colour: bool) -> String {
    static SEQUENCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(\x1b\[[0-9;]*m)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)").expect("it is one")
    });
    let without = SEQUENCE.replace_all(text, |found: &Captures<'_>| match found.get(1) {
        Some(colours) if colour => colours.as_str().replace('\x1b', "\u{0}"),
        _ => String::new(),
    });
    let keep = |character: &char| matches!(character, '\n' | '\t' | '\0') || !character.is_control();
    without.chars().filter(keep).map(|character| if character == '\0' { '\x1b' } else { character }).collect()
}

/// A line of Cargo's JSON messages, as far as it matters.
#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    message: Option<RustcMessage>,
}

#[derive(Deserialize)]
struct RustcMessage {
    level: String,
    message: String,
    code: Option<Code>,
    spans: Vec<Span>,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: u32,
    column_start: u32,
    is_primary: bool,
    label: Option<String>,
}

/// Reads a line of Cargo's messages; `None` for what is no diagnostic, and for those that only count others.
pub(super) fn from_cargo(line: &[u8]) -> Option<Diagnostic> {
    let message: CargoMessage = serde_json::from_slice(line).ok()?;
    let message = message.message.filter(|_| message.reason == "compiler-message")?;
    let level = match message.level.as_str() {
        level if level.starts_with("error") => Level::Error,
        "warning" => Level::Warning,
        _ => return None,
    };
    let counts = message.message.starts_with("aborting due to") || message.message.ends_with("emitted");
    if message.spans.is_empty() && counts {
        return None;
    }
    let primary = message.spans.iter().find(|span| span.is_primary);
    let label = primary.and_then(|span| span.label.clone());
    let place = primary.map(|span| Place {
        file: span.file_name.trim_start_matches("./").to_owned(),
        line: span.line_start,
        column: span.column_start,
    });
    let rendered = message.rendered.unwrap_or_else(|| message.message.clone());
    Some(Diagnostic {
        level,
        message: message.message,
        code: message.code.map(|code| code.code),
        place,
        label,
        rendered,
    })
}

/// Reads a line of a C compiler's or of make's output.
pub(super) fn from_plain(line: &str) -> Option<Diagnostic> {
    static GCC: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?P<file>[^\s:]+):(?P<line>\d+):(?:(?P<column>\d+):)? (?:fatal |Fatal )?(?P<level>[Ee]rror|[Ww]arning): (?P<text>.*)$")
            .expect("it is one")
    });
    static LINKER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?:^|[/:\s])(?P<file>[^\s:/]+\.[chS]):(?:\d+|(?:\d+:)?\([^)]*\)):\s+(?P<text>(?:undefined reference to|multiple definition of) .*)$")
            .expect("it is one")
    });
    let text = clean(line, false);
    if let Some(found) = LINKER.captures(&text) {
        // Where it stands is not always said, and without its folder.
        return Some(Diagnostic {
            level: Level::Error,
            message: found["text"].to_owned(),
            code: None,
            place: None,
            label: None,
            rendered: line.to_owned() + "\n",
        });
    }
    let found = GCC.captures(&text)?;
    let level = if found["level"].eq_ignore_ascii_case("error") { Level::Error } else { Level::Warning };
    if found["file"].starts_with('/') && found["file"].ends_with(".s") {
        // What the compiler wrote for the assembler, under a name that is another every time.
        let rendered = format!("assembly: {}: {}\n", &found["level"], &found["text"]);
        return Some(Diagnostic {
            level,
            message: found["text"].to_owned(),
            code: None,
            place: None,
            label: None,
            rendered,
        });
    }
    Some(Diagnostic {
        level,
        message: found["text"].to_owned(),
        code: None,
        place: Some(Place {
            file: found["file"].trim_start_matches("./").to_owned(),
            line: found["line"].parse().ok()?,
            column: found.name("column").and_then(|column| column.as_str().parse().ok()).unwrap_or(1),
        }),
        label: None,
        rendered: line.to_owned() + "\n",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_if_wanted_and_nothing_else_that_a_terminal_obeys() {
        let text = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2Jend\r\n\x08";
        assert_eq!(clean(text, true), "\x1b[31mred\x1b[0m end\n");
        assert_eq!(clean(text, false), "red end\n");
    }

    #[test]
    fn paths_begin_at_the_repository_s_root_with_and_without_colours() {
        let diagnostic = Diagnostic {
            level: Level::Error,
            message: String::new(),
            code: None,
            place: Some(Place { file: "mm/a.rs".to_owned(), line: 3, column: 5 }),
            label: None,
            rendered: " --> mm/a.rs:3:5\n \x1b[94m--> \x1b[0mmm/a.rs:3:5\n ::: /rustc/x/b.rs:1:1\n".to_owned(),
        };
        let moved = diagnostic.moved(Path::new("reference-kernel"), |path| path == Path::new("mm/a.rs"));
        assert_eq!(moved.place.unwrap().file, "reference-kernel/mm/a.rs");
        assert_eq!(
            moved.rendered,
            " --> reference-kernel/mm/a.rs:3:5\n \x1b[94m--> \x1b[0mreference-kernel/mm/a.rs:3:5\n ::: /rustc/x/b.rs:1:1\n"
        );
    }

    #[test]
    fn a_c_compiler_s_line_is_read_with_its_place() {
        let read = from_plain("./kernel/kalloc.c:12:5: error: expected ';'").unwrap();
        assert_eq!(read.place.unwrap(), Place { file: "kernel/kalloc.c".to_owned(), line: 12, column: 5 });
        assert_eq!(from_plain("make: *** [Makefile:3: all] Error 1"), None);
        let assembler = from_plain("/tmp/ccFzO1sH.s:296: Error: file not found: secret").unwrap();
        assert_eq!((assembler.level, assembler.place), (Level::Error, None));
        assert_eq!(assembler.rendered, "assembly: Error: file not found: secret\n");
        for line in [
            "/tmp/x/umalloc_test.c:40: undefined reference to `umalloc'",
            "ld: kernel/ktest.o: kernel/ktest.c:(.text+0x1c): undefined reference to `kallocn'",
            // Binutils 2.42 says both.
            "ld: /tmp/x/kernel/pages.c:338:(.text+0xcdc): undefined reference to `kfreen'",
        ] {
            let read = from_plain(line).unwrap_or_else(|| panic!("{line}"));
            assert!(read.level == Level::Error && read.message.starts_with("undefined reference"), "{read:?}");
        }
    }
}
