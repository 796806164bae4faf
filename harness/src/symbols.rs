//! Addresses of a kernel to functions, files and lines.

use std::fmt;
use std::path::{Path, PathBuf};

use addr2line::Loader;

use crate::owner::Owner;

/// The line table and the symbols of one ELF file.
pub struct Symbols {
    loader: Loader,
}

/// Where an address lies in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The function, demangled; where the compiler put it into another one, still its own name.
    pub function: Option<String>,
    /// The source file, as the compiler was told to name it.
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
        match Loader::new(path) {
            Ok(loader) => Ok(Self { loader }),
            Err(error) => Err(SymbolsError { path: path.to_owned(), what: error.to_string() }),
        }
    }

    /// Where the instruction at `address` comes from: the innermost function first, then those that it was put into
    /// by the compiler. Empty where nothing is known.
    pub fn places(&self, address: u64) -> Vec<Place> {
        let mut places = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let function = frame.function.as_ref();
                let name = function.and_then(|name| name.demangle().ok()).map(|name| plain(&name));
                let location = frame.location.as_ref();
                let file = location.and_then(|location| location.file).map(|file| relative(file).to_owned());
                places.push(Place { function: name, file, line: location.and_then(|location| location.line) });
            }
        }
        // Line tables alone name no functions; the symbol table does, for the outermost one.
        match places.last_mut() {
            Some(Place { function: function @ None, .. }) => *function = self.symbol(address),
            Some(_) => {}
            None => {
                let function = self.symbol(address);
                places.extend(function.map(|name| Place { function: Some(name), file: None, line: None }));
            }
        }
        places
    }

    /// Where the call is that would return to `address`, the return address itself being the instruction after it,
    /// which may belong to another line or even to another function.
    pub fn call_places(&self, address: u64) -> Vec<Place> {
        self.places(address.saturating_sub(1))
    }

    fn symbol(&self, address: u64) -> Option<String> {
        let name = self.loader.find_symbol(address)?;
        Some(plain(&addr2line::demangle_auto(name.into(), None)))
    }
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
fn plain(name: &str) -> String {
    let is_hash =
        |hash: &str| hash.len() == 17 && hash.starts_with('h') && hash[1..].bytes().all(|b| b.is_ascii_hexdigit());
    match name.rsplit_once("::") {
        Some((path, hash)) if is_hash(hash) => path.to_owned(),
        _ => name.to_owned(),
    }
}

/// Paths that the compiler was told to shorten can begin with what it was told to put there.
fn relative(path: &str) -> &str {
    path.trim_start_matches("./")
}

#[cfg(test)]
mod tests;
