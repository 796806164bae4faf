//! Addresses of a kernel to functions, files and lines.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use addr2line::Loader;
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, SegmentFlags, SymbolKind};

use crate::owner::Owner;

/// The line table and the functions of one ELF file.
pub struct Symbols {
    loader: Loader,
    /// By address.
    functions: Vec<Function>,
}

/// A function that was compiled as such, rather than into others.
struct Function {
    address: u64,
    size: u64,
    /// Demangled, with the path of its modules, which line tables leave out.
    name: String,
}

/// Where an address lies in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The function: with its path if it was compiled as such, with its bare name if it was compiled into another.
    pub function: Option<String>,
    /// The source file, as the compiler was told to name it: for a kernel of ours, relative to its root.
    pub file: Option<String>,
    /// The line in it, from one.
    pub line: Option<u32>,
}

/// The file has no symbols that can be read.
#[derive(Debug, thiserror::Error)]
#[error("read the symbols of {}: {what}", path.display())]
pub struct SymbolsError {
    path: PathBuf,
    what: String,
}

impl SymbolsError {
    /// An image that was built and booted has an ELF file.
    pub const OWNER: Owner = Owner::Harness;
}

impl Symbols {
    /// Opens an ELF file.
    ///
    /// # Errors
    /// When it is missing or is none.
    pub fn open(path: &Path) -> Result<Self, SymbolsError> {
        let error = |what: String| SymbolsError { path: path.to_owned(), what };
        let content = std::fs::read(path).map_err(|cause| error(cause.to_string()))?;
        let functions = functions(&content).map_err(|cause| error(cause.to_string()))?;
        let loader = Loader::new(path).map_err(|cause| error(cause.to_string()))?;
        Ok(Self { loader, functions })
    }

    /// Where the instruction at `address` comes from: the innermost function first, then those that it was compiled
    /// into. Empty where nothing is known.
    pub fn places(&self, address: u64) -> Vec<Place> {
        let mut places = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.as_ref().and_then(|name| name.demangle().ok());
                let location = frame.location.as_ref();
                places.push(Place {
                    function: name.map(|name| plain(&name).to_owned()),
                    file: location.and_then(|location| location.file).map(|file| short(file).to_owned()),
                    line: location.and_then(|location| location.line).filter(|&line| line != 0),
                });
            }
        }
        if let Some(function) = self.function(address) {
            if places.is_empty() {
                places.push(Place { function: None, file: None, line: None });
            }
            places.last_mut().expect("one was pushed").function = Some(function.name.clone());
        }
        places
    }

    /// Where the call is that would return to `address`, the return address itself being the instruction after it,
    /// which may belong to another line or even to another function.
    pub fn call_places(&self, address: u64) -> Vec<Place> {
        self.places(address.saturating_sub(1))
    }

    fn function(&self, address: u64) -> Option<&Function> {
        let after = self.functions.partition_point(|function| function.address <= address);
        let function = &self.functions[after.checked_sub(1)?];
        (address - function.address < function.size).then_some(function)
    }
}

/// The addresses that a file has code at.
///
/// # Errors
/// When it is missing or is no ELF file.
pub fn code(path: &Path) -> Result<Vec<Range<u64>>, SymbolsError> {
    let error = |what: String| SymbolsError { path: path.to_owned(), what };
    let content = std::fs::read(path).map_err(|cause| error(cause.to_string()))?;
    let file = object::File::parse(&*content).map_err(|cause| error(cause.to_string()))?;
    let code = file.segments().filter(
        |segment| matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.contains(object::elf::PF_X)),
    );
    Ok(code.map(|segment| segment.address()..segment.address() + segment.size()).collect())
}

fn functions(content: &[u8]) -> object::Result<Vec<Function>> {
    let file = object::File::parse(content)?;
    // Local labels, of which RISC-V has many, are no functions.
    let symbols = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
    let mut functions: Vec<Function> = symbols
        .filter_map(|symbol| {
            let name = addr2line::demangle_auto(symbol.name().ok()?.into(), None);
            Some(Function { address: symbol.address(), size: symbol.size(), name: plain(&name).to_owned() })
        })
        .collect();
    functions.sort_by_key(|function| function.address);
    Ok(functions)
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbols").finish_non_exhaustive()
    }
}

impl fmt::Display for Place {
    /// `function at file:line`, or what is known of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.as_deref().unwrap_or("an unknown function"))?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " at {file}:{line}"),
            (Some(file), None) => write!(f, " at {file}"),
            (None, _) => Ok(()),
        }
    }
}

/// A demangled name without the hash that older mangling ends in, which differs from build to build.
fn plain(name: &str) -> &str {
    let is_hash =
        |end: &str| end.len() == 17 && end.starts_with('h') && end[1..].bytes().all(|b| b.is_ascii_hexdigit());
    match name.rsplit_once("::") {
        Some((path, hash)) if is_hash(hash) => path,
        _ => name,
    }
}

/// A path without what differs from machine to machine, or from toolchain to toolchain: `./`, and `/rustc/<commit>/`
/// before the standard library's files.
fn short(path: &str) -> &str {
    match path.strip_prefix("/rustc/").and_then(|path| path.split_once('/')) {
        Some((_, library)) => library,
        None => path.trim_start_matches("./"),
    }
}

#[cfg(test)]
mod tests;
