//! The grade as JSON, which is its own form: what is written here is read again.

use std::io;
use std::path::{Path, PathBuf};

use super::safe;
use crate::grade::{Grade, SCHEMA};
use crate::write;

/// Why a grade could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such file, or none that can be read.
    #[error("read the grade {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Not a grade, or a damaged one.
    #[error("understand the grade {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        cause: serde_json::Error,
    },
    /// A grade of another version.
    #[error("understand the grade {path}: it says schema {found:?}, and this grader reads {SCHEMA:?}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
}

/// The document, with a line feed at its end.
pub fn to_string(grade: &Grade) -> String {
    let mut text = serde_json::to_string_pretty(grade).unwrap_or_else(|error| {
        // A grade holds strings, numbers and string-keyed maps only, none of which JSON lacks.
        unreachable!("a grade is always JSON: {error}")
    });
    text.push('\n');
    safe::json(&text)
}

/// Writes the document, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write(grade: &Grade, path: &Path) -> io::Result<()> {
    write::atomically(path, to_string(grade).as_bytes())
}

/// Reads a document back.
///
/// # Errors
/// When it cannot be read, is damaged, or has another schema.
pub fn read(path: &Path) -> Result<Grade, ReadError> {
    let text = std::fs::read(path).map_err(|cause| ReadError::Read { path: path.into(), cause })?;
    parse(&text, path)
}

/// Reads a document that came from there.
///
/// # Errors
/// When it is damaged, or has another schema.
pub fn parse(text: &[u8], path: &Path) -> Result<Grade, ReadError> {
    let value: serde_json::Value =
        serde_json::from_slice(text).map_err(|cause| ReadError::Parse { path: path.into(), cause })?;
    let found = value.get("schema").and_then(serde_json::Value::as_str).unwrap_or("none");
    if found != SCHEMA {
        return Err(ReadError::Schema { path: path.into(), found: found.to_owned() });
    }
    serde_json::from_slice(text).map_err(|cause| ReadError::Parse { path: path.into(), cause })
}
