//! What a submission's files must not contain: ways to reach beyond them when they are compiled, and beyond the
//! allocator when they run.
//!
//! A second lock on a door that confinement keeps shut, with a message that names the line. What the course's own copy
//! of the same file has is allowed there: students need not remove what they were handed.

mod c;
mod rust;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// Something that a lab forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Assembly, inline or not.
    Asm,
    /// Other files, made a part of this one.
    Include,
    /// Variables of the environment of the build.
    Env,
    /// Modules in files elsewhere.
    Path,
    /// Things of other crates or languages that are known by name alone.
    Extern,
    /// Names and places of things in the kernel's file.
    Link,
    /// Functions that the whole kernel has one of.
    Global,
    /// Names put together by macros, which would hide any of the others.
    Hidden,
    /// Names that begin with `grader_`.
    Reserved,
    /// Variables that locks are made of, atomic or volatile, where a lab counts how often locks are taken.
    Atomics,
}

/// What the names begin with, in either case, that are the course's own: among them the marks that trusted code has for
/// whoever watches it.
const RESERVED: &str = "grader_";

fn is_reserved(name: &str) -> bool {
    name.get(..RESERVED.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED))
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Asm,
        Self::Include,
        Self::Env,
        Self::Path,
        Self::Extern,
        Self::Link,
        Self::Global,
        Self::Hidden,
        Self::Reserved,
        Self::Atomics,
    ];

    /// Its name, as `allow` in lab.yaml and messages have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asm => "asm",
            Self::Include => "include",
            Self::Env => "env",
            Self::Path => "path",
            Self::Extern => "extern",
            Self::Link => "link",
            Self::Global => "global",
            Self::Hidden => "hidden",
            Self::Reserved => "reserved",
            Self::Atomics => "atomics",
        }
    }

    /// Why it is one.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Asm => "a solution is written in the kernel's language, and no line of it goes past the compiler",
            Self::Include => "a solution is the files that the lab names, and nothing of the machine that builds it",
            Self::Env => "a solution does not depend on the machine that builds it",
            Self::Path => "a solution is the files that the lab names, where the lab has them",
            Self::Extern => "a solution uses what its modules give it, not what else is in the kernel's file",
            Self::Link => "where things lie in the kernel's file is the course's to say",
            Self::Global => "the kernel has one already",
            Self::Hidden => "what a macro puts together cannot be checked for the other rules",
            Self::Atomics => "the lab counts how often locks are taken, and one that is made of these is not counted",
            Self::Reserved => "names that begin so are what the course's own code speaks to the grader with",
        }
    }
}

/// A place where a file breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The file.
    pub file: PathBuf,
    /// The line, from one.
    pub line: usize,
    /// The column, from one.
    pub column: usize,
    /// What is there, as in `asm!`.
    pub what: String,
    /// What forbids it.
    pub rule: Rule,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, what, rule } = self;
        write!(
            f,
            "{}:{line}:{column}: `{what}` is forbidden in this lab (rule `{}`): {}",
            file.display(),
            rule.name(),
            rule.why()
        )
    }
}

/// A breach in a file that is not named yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    line: usize,
    column: usize,
    what: String,
    rule: Rule,
}

/// Where these files break rules, but for those that are allowed; `handed_out` gives the course's copy of a file.
///
/// Files that cannot be parsed are for the compiler to complain about: what it takes for code is looked at all the
/// same.
pub fn check<'a>(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    handed_out: impl Fn(&Path) -> Option<&'a [u8]>,
    allowed: &BTreeSet<Rule>,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (file, content) in files {
        // The same as often as the course's copy has it.
        let mut known: Vec<(Rule, String)> = handed_out(file)
            .map_or_else(Vec::new, |content| look(file, content))
            .into_iter()
            .map(|found| (found.rule, found.what))
            .collect();
        for found in look(file, content) {
            let Found { line, column, what, rule } = found;
            if let Some(at) = known.iter().position(|(known, text)| *known == rule && *text == what) {
                known.swap_remove(at);
            } else if !allowed.contains(&rule) {
                breaches.push(Breach { file: file.clone(), line, column, what, rule });
            }
        }
    }
    breaches
}

fn look(file: &Path, content: &[u8]) -> Vec<Found> {
    let text = String::from_utf8_lossy(content);
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => rust::look(&text),
        Some("c" | "h") => c::look(&text),
        Some("S" | "s") => c::look_at_assembly(&text),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(file: &str, content: &str, handed_out: &str) -> Vec<String> {
        let files = BTreeMap::from([(PathBuf::from(file), content.as_bytes().to_vec())]);
        let found = check(&files, |_| Some(handed_out.as_bytes()), &BTreeSet::new());
        found
            .iter()
            .map(|breach| format!("{}:{} {} {}", breach.line, breach.column, breach.rule.name(), breach.what))
            .collect()
    }

    #[test]
    fn a_breach_is_named_with_file_line_and_rule() {
        let files = BTreeMap::from([(PathBuf::from("mm/a.rs"), b"fn f() {\n    asm!(\"nop\");\n}\n".to_vec())]);
        let found = check(&files, |_| None, &BTreeSet::new());
        let text = found[0].to_string();
        assert!(text.starts_with("mm/a.rs:2:5: `asm!` is forbidden in this lab (rule `asm`)"), "{text}");
        assert_eq!(check(&files, |_| None, &BTreeSet::from([Rule::Asm])), []);
    }

    #[test]
    fn what_was_handed_out_may_stay_and_not_grow() {
        let handed_out = "static inline void stop(void) { asm volatile(\"wfi\"); }\n";
        assert_eq!(breaches("riscv.h", handed_out, handed_out), [""; 0]);
        let more = format!("{handed_out}void g(void) {{ asm volatile(\".incbin \\\"/etc/passwd\\\"\"); }}\n");
        assert_eq!(
            breaches("riscv.h", &more, handed_out),
            ["2:16 asm asm volatile(\".incbin \\\"/etc/passwd\\\"\"); }"]
        );
    }

    #[test]
    fn every_starter_and_every_right_solution_of_the_course_keeps_the_rules() {
        let labs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../labs");
        let mut files = BTreeMap::new();
        for lab in std::fs::read_dir(labs).unwrap().flatten() {
            for folder in ["handout", "solutions"].map(|folder| lab.path().join(folder)) {
                for file in crate::files::list(&folder, &[]).unwrap_or_default() {
                    let path = folder.join(file);
                    files.insert(path.clone(), std::fs::read(path).unwrap());
                }
            }
        }
        assert!(files.len() > 10, "{files:?}");
        let mut found = check(&files, |_| None, &BTreeSet::new());
        // Its lab allows them.
        let slab = |breach: &Breach| breach.file.iter().any(|part| part == "lab6-5-slab");
        found.retain(|breach| breach.rule != Rule::Atomics || !slab(breach));
        assert_eq!(found, []);
    }
}
