//! A kernel kind: how one family of kernels is recognised, built and booted.
//!
//! `labs/kernels/<kind>/kernel.yaml`, read once ([`read`]) and never changed. Nothing here knows any kernel by name:
//! another kind is another folder.

mod console;
mod qemu;
mod variant;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::lab::KindId;
use crate::lab::read::ReadError;
use crate::lab::values;
use crate::yaml::{self, Node, Problem, Reader, Value};

pub use console::Console;
pub use qemu::{Qemu, Version};
pub use variant::Variant;

/// The file that makes a folder a kernel kind.
pub const FILE: &str = "kernel.yaml";

/// How one family of kernels is recognised, built and booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub id: KindId,
    /// What people call it.
    pub title: String,
    /// The folder that `kernel.yaml` lies in.
    pub folder: PathBuf,
    /// The course's own tree of this kind, relative to the course's root; without one, the trusted files are those
    /// of a handout.
    pub source: Option<PathBuf>,
    /// Files that a tree of this kind has, relative to its root.
    pub recognise: Vec<PathBuf>,
    /// Names of files and folders that are no part of a tree wherever they lie: what builds leave behind. `*.o` is
    /// every name that ends in `.o`.
    pub ignore: Vec<String>,
    /// Files of the course's own tree that do not lie in its `source`, by their paths in the tree; they lie relative to
    /// `labs/kernels`.
    pub added: BTreeMap<PathBuf, PathBuf>,
    /// Trusted files that are laid over the tree last, by their paths in it; they lie relative to `labs/kernels`.
    pub overlay: BTreeMap<PathBuf, PathBuf>,
    /// How the lines of a session's script reach the kernel.
    pub script: Script,
    /// How it is built.
    pub build: Build,
    /// How it is booted.
    pub qemu: Qemu,
    /// Regular expressions for the lines after which a kernel does nothing more, though it keeps the machine on.
    pub last_words: Vec<String>,
    /// How its shell is spoken to, if it has one.
    pub console: Option<Console>,
    /// What differs from tree to tree.
    pub variants: Vec<Variant>,
}

/// How the lines of a session's script reach the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// In an initrd, with the programs beside it; boot options go into the boot arguments.
    Initrd,
    /// As text, in the storage of this symbol of the kernel's, which is an array of bytes.
    Symbol(String),
}

/// How a kernel is built. Texts may contain the placeholders of [`PLACEHOLDERS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// How the builder's output is read.
    pub messages: Messages,
    /// Program and arguments, run in the tree's root.
    pub command: Vec<String>,
    /// What brings dependencies to this machine, run in the course's own tree when they are missing.
    pub fetch: Option<Vec<String>>,
    /// C compilers that will do, the first that is there is taken; the Rust toolchain where there are none.
    pub compilers: Vec<String>,
    /// The Rust target, where there is one.
    pub target: Option<String>,
    /// Environment variables on top of the few that every build gets.
    pub environment: BTreeMap<String, String>,
    /// Wall time after which a build is ended.
    pub limit: Duration,
    /// Whether every build begins with nothing but the sources.
    pub clean: bool,
    /// The kernel's ELF file, relative to the tree's root.
    pub kernel: String,
    /// The disk image that the machine gets, relative to the tree's root.
    pub disk: Option<String>,
    /// The programs that go into the initrd under their file names, relative to the tree's root.
    pub programs: Vec<String>,
}

/// How a builder's output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// Cargo's JSON messages, with diagnostics as rustc renders them.
    Cargo,
    /// Plain text, as make and C compilers write it: `file:line:column: error: …`.
    Plain,
}

/// What `{…}` in a build's texts can stand for, with what it means.
pub const PLACEHOLDERS: [(&str, &str); 8] = [
    ("compiler", "the C compiler that is there"),
    ("compiler-prefix", "the same without its last part, as in `riscv64-unknown-elf-`"),
    ("features", "the features that the lab names, with commas"),
    ("target", "the build's target"),
    ("tree", "the absolute path of the tree that is built"),
    ("cargo-home", "the absolute path of Cargo's home, where the sources of dependencies lie"),
    ("rust-source", "the absolute path of the standard library's source in the toolchain"),
    ("rust-commit", "the commit that the toolchain was built from"),
];

/// Replaces the placeholders in a text; `values` answers for each name.
pub fn fill(text: &str, values: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').and_then(|(name, after)| Some((values(name)?, after))) {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// Reads `kernel.yaml` in a folder of the course.
///
/// # Errors
/// All defects of the file at once, or what the system says when it cannot be read.
pub fn read(folder: &Path, course: &Path) -> Result<Kind, ReadError> {
    let path = folder.join(FILE);
    let kind = yaml::read_file(&path, |_, tree, reader| read_kind(tree, reader, folder, course));
    Ok(kind.map_err(|cause| ReadError::Io { path, cause })??)
}

fn read_kind(tree: &Node, reader: &mut Reader<'_>, folder: &Path, course: &Path) -> Option<Kind> {
    let mut fields = reader.fields(tree, "a kernel kind")?;
    let id_node = fields.required(reader, "id", "the name of the kind and of its folder");
    let id = id_node.and_then(|node| reader.name(node, "a kernel kind"));
    if let (Some(node), Some(id)) = (id_node, &id) {
        let folder = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if id != folder {
            let text = format!("the kind is called `{id}`, and its folder `{folder}`: they must have the same name");
            reader.note(node.at.clone(), Problem::Conflict(text));
        }
    }
    let title = fields.required(reader, "title", "what people call the kind");
    let title = title.and_then(|node| reader.text(node, "a title"));
    let source_node = fields.optional("source");
    let source = source_node.map(|node| reader.path(node, "the course"));
    let recognise_node = fields.required(reader, "recognise", "files that every tree of the kind has");
    let ignore = fields.optional("ignore").map_or(Some(Vec::new()), |node| {
        let items = reader.one_or_more(node, "a list of names")?;
        Some(items.iter().filter_map(|item| reader.text(item, "a name").map(str::to_owned)).collect())
    });
    let added = read_files(fields.optional("added"), reader, course);
    let overlay = read_files(fields.optional("overlay"), reader, course);
    let script = fields.optional("script").map_or(Some(Script::Initrd), |node| {
        reader.parsed(node, "how scripts reach the kernel: `initrd`, or `symbol NAME`", script)
    });
    let build = fields.required(reader, "build", "how the kernel is built");
    let build = build.and_then(|node| read_build(node, reader));
    let qemu = fields.required(reader, "qemu", "how the kernel is booted");
    let qemu = qemu.and_then(|node| qemu::read(node, reader));
    let last_words = fields.optional("last-words").map_or(Some(Vec::new()), |node| {
        let items = reader.one_or_more(node, "a list of regular expressions")?;
        Some(items.iter().filter_map(|item| Some(reader.pattern(item)?.as_str().to_owned())).collect())
    });
    let console = fields.optional("console").map(|node| console::read(node, reader));
    let variants = fields.optional("variants").map_or(Some(Vec::new()), |node| variant::read(node, reader));
    reader.finish(fields);

    let source = match source {
        None => None,
        Some(source) => Some(source?),
    };
    if let (Some(node), Some(source)) = (source_node, &source)
        && !course.join(source).is_dir()
    {
        let problem = Problem::PathMissing { path: source.display().to_string(), within: "the course".to_owned() };
        reader.note(node.at.clone(), problem);
        return None;
    }
    let items = reader.one_or_more(recognise_node?, "a list of at least one path")?;
    let is_added = |item: &Node| matches!(&item.value, Value::Text(path) if added.contains_key(Path::new(path)));
    let recognise = items.iter().filter_map(|item| match &source {
        Some(source) if !is_added(item) => {
            reader.existing_file(item, &course.join(source), &source.display().to_string())
        }
        _ => reader.path(item, "a tree of the kind"),
    });
    let recognise = recognise.collect();
    Some(Kind {
        id: KindId(id?),
        title: title?.to_owned(),
        folder: folder.to_owned(),
        source,
        recognise,
        ignore: ignore?,
        added,
        overlay,
        script: script?,
        build: build?,
        qemu: qemu?,
        last_words: last_words?,
        console: match console {
            None => None,
            Some(console) => Some(console?),
        },
        variants: variants?,
    })
}

/// Files by their paths in the tree; they lie relative to `labs/kernels`.
fn read_files(node: Option<&Node>, reader: &mut Reader<'_>, course: &Path) -> BTreeMap<PathBuf, PathBuf> {
    let entries = node.map_or_else(Vec::new, |node| reader.names(node, "file of the tree"));
    let read = |(path, key, from): (String, &Node, &Node)| {
        let path = is_inside(&path).then(|| PathBuf::from(&path));
        let path = path.or_else(|| reader.wrong_value(key, "a path in the kind's tree"));
        Some((path?, reader.existing_file(from, &course.join("labs/kernels"), "labs/kernels")?))
    };
    entries.into_iter().filter_map(read).collect()
}

fn read_build(node: &Node, reader: &mut Reader<'_>) -> Option<Build> {
    const COMMAND: &str = "a list of a program and its arguments";
    let mut fields = reader.fields(node, "the build of a kernel kind")?;
    let messages = fields
        .optional("messages")
        .map_or(Some("plain"), |node| reader.known(node, "form of messages", &["cargo", "plain"]));
    let command = fields.required(reader, "command", COMMAND);
    let command = command.and_then(|node| read_texts(node, reader, COMMAND));
    let fetch = fields.optional("fetch").map(|node| read_texts(node, reader, COMMAND));
    let compilers = fields.optional("compilers").map_or(Some(Vec::new()), |node| {
        let items = reader.one_or_more(node, "a list of C compilers")?;
        Some(items.iter().filter_map(|item| reader.name(item, "a compiler")).collect())
    });
    let target = fields.optional("target").map(|node| reader.name(node, "a Rust target"));
    let environment = fields.optional("environment").map_or_else(BTreeMap::new, |node| {
        let entries = reader.names(node, "environment variable");
        entries.into_iter().filter_map(|(name, _, value)| Some((name, read_text(value, reader)?))).collect()
    });
    let limit = fields.optional("limit").map_or(Some(300_000_000_000), |node| {
        reader.parsed(node, "a length of time, as in `300s`", values::nanoseconds)
    });
    let clean = fields.optional("clean").map_or(Some(false), |node| match node.value {
        Value::Bool(clean) => Some(clean),
        _ => reader.wrong_type(node, "`true` or `false`"),
    });
    let disk = fields.optional("disk").map(|node| read_output(node, reader));
    let kernel = fields.required(reader, "kernel", "the path of the kernel's ELF file");
    let kernel = kernel.and_then(|node| read_output(node, reader));
    let programs = fields.optional("programs").map_or(Some(Vec::new()), |node| {
        let items = reader.list(node, "a list of paths")?;
        Some(items.iter().filter_map(|item| read_output(item, reader)).collect())
    });
    reader.finish(fields);
    Some(Build {
        messages: if messages? == "cargo" { Messages::Cargo } else { Messages::Plain },
        command: command?,
        compilers: compilers?,
        fetch: match fetch {
            None => None,
            Some(fetch) => Some(fetch?),
        },
        target: match target {
            None => None,
            Some(target) => Some(target?),
        },
        environment,
        limit: Duration::from_nanos(limit?),
        clean: clean?,
        disk: match disk {
            None => None,
            Some(disk) => Some(disk?),
        },
        kernel: kernel?,
        programs: programs?,
    })
}

/// How scripts reach a kernel, as its kind writes it.
fn script(word: &str) -> Option<Script> {
    if word == "initrd" {
        return Some(Script::Initrd);
    }
    let name = word.strip_prefix("symbol ")?.trim();
    let plain = |character: char| character.is_ascii_alphanumeric() || "_.$".contains(character);
    (!name.is_empty() && name.chars().all(plain)).then(|| Script::Symbol(name.to_owned()))
}

/// Whether a path leads to something within its tree.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn read_texts(node: &Node, reader: &mut Reader<'_>, expected: &str) -> Option<Vec<String>> {
    match &node.value {
        Value::List(items) if !items.is_empty() => {
            Some(items.iter().filter_map(|item| read_text(item, reader)).collect())
        }
        Value::List(_) => reader.wrong_value(node, expected),
        _ => reader.wrong_type(node, expected),
    }
}

/// A text whose placeholders are all known.
fn read_text(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.word(node, "a text")?;
    let known = PLACEHOLDERS.map(|(name, _)| name);
    let mut unknown = None;
    for part in text.split('{').skip(1) {
        if let Some((name, _)) = part.split_once('}')
            && !known.contains(&name)
        {
            unknown = Some(name.to_owned());
        }
    }
    match unknown {
        Some(name) => {
            reader.unknown(node.at.clone(), "placeholder", &name, &known);
            None
        }
        None => Some(text),
    }
}

fn read_output(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    reader.path(node, "the kind's tree")?;
    read_text(node, reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_other_braces_stay() {
        let values = |name: &str| (name == "target").then(|| "riscv".to_owned());
        assert_eq!(fill("target/{target}/x{y}{", values), "target/riscv/x{y}{");
    }
}
