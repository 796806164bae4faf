//! Transcripts on disk: `<session>.serial` holds the bytes as they came, `<session>.json` all else.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::dialogue::Exchange;
use super::{Boot, Glimpse, Stop, Transcript};
use crate::digest;
use crate::lab::SessionId;
use crate::owner::Owner;
use crate::witness::{Seen, memory};

/// The version of this format; a reader refuses others.
const FORMAT: u32 = 1;

/// The content of `<session>.json`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: u32,
    boot: Boot,
    stop: Stop,
    wall_microseconds: u64,
    processor_microseconds: u64,
    serial: SavedSerial,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exchanges: Vec<Exchange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    found: Vec<memory::Page>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    glimpses: Vec<Vec<Glimpse>>,
}

/// What must be found in `<session>.serial`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SavedSerial {
    bytes: u64,
    sha256: String,
}

/// Why a transcript could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The name cannot be that of a file.
    #[error("name a file after session {session:?}: it may not be empty, begin with a dot or contain a slash")]
    Name {
        /// The session.
        session: String,
    },
    /// The system refused.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The system refused.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The JSON is damaged.
    #[error("read {}, line {line}, column {column}: {what}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// From one.
        line: usize,
        /// From one.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// Another version wrote it.
    #[error("read {}: its format is {found}, this grader reads {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u32,
    },
    /// Bytes are missing or too many.
    #[error("read {}: it ends after byte {found}, and should after byte {expected}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that are there.
        found: u64,
        /// Bytes that were saved.
        expected: u64,
    },
    /// The bytes are others.
    #[error("read {}: its {bytes} bytes are not those that were saved (SHA-256 differs)", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// How many there are.
        bytes: u64,
    },
}

impl StoreError {
    /// Whose fault it is: what cannot be written is ours, what was damaged is for whoever asks to read it.
    pub const fn owner(&self) -> Owner {
        match self {
            Self::Name { .. } | Self::Write { .. } => Owner::Harness,
            Self::Read { .. }
            | Self::Json { .. }
            | Self::Format { .. }
            | Self::Length { .. }
            | Self::Content { .. } => Owner::Caller,
        }
    }
}

/// The JSON Schema of `<session>.json`.
pub fn schema() -> Schema {
    schemars::schema_for!(Saved)
}

/// Saves a transcript in `directory`, over one of the same session that is there.
///
/// Each file is there whole or not at all, and the JSON, which vouches for the bytes, comes last. Paths of the boot
/// are kept relative to `directory` where they lie in it, and by their file names otherwise, so that what is saved
/// names no place of this machine and can be read on another.
///
/// # Errors
/// When a file cannot be written, for example because the disk is full.
pub fn save(directory: &Path, transcript: &Transcript) -> Result<(), StoreError> {
    let Transcript { boot, serial, exchanges, stop, seen, found, glimpses, wall, processor } = transcript;
    let [serial_path, json_path] = paths(directory, &boot.session)?;
    let saved = Saved {
        format: FORMAT,
        boot: Boot {
            qemu: boot.qemu.iter().map(|word| without_place(directory, word)).collect(),
            kernel: relative(directory, &boot.kernel),
            initrd: relative(directory, &boot.initrd),
            ..boot.clone()
        },
        stop: stop.clone(),
        wall_microseconds: microseconds(*wall),
        processor_microseconds: microseconds(*processor),
        serial: SavedSerial { bytes: serial.len() as u64, sha256: digest::of_bytes(serial) },
        exchanges: exchanges.clone(),
        seen: seen.clone(),
        found: found.clone(),
        glimpses: glimpses.clone(),
    };
    let mut json = serde_json::to_vec_pretty(&saved)
        .map_err(|error| StoreError::Write { path: json_path.clone(), cause: error.into() })?;
    json.push(b'\n');
    write(directory, &serial_path, serial)?;
    write(directory, &json_path, &json)
}

/// Loads the transcript of a session from `directory`. Relative paths of its boot are taken from there.
///
/// # Errors
/// When a file is missing or damaged; the error names it and, where that is known, the place in it.
pub fn load(directory: &Path, session: &SessionId) -> Result<Transcript, StoreError> {
    let [serial_path, json_path] = paths(directory, session)?;
    let json = read(&json_path)?;
    let json_error = |error: serde_json::Error| StoreError::Json {
        path: json_path.clone(),
        line: error.line(),
        column: error.column(),
        // The library's own message ends in the place too.
        what: error.to_string().rsplit_once(" at line ").map_or_else(|| error.to_string(), |(what, _)| what.to_owned()),
    };
    // The version first: another one may have other fields.
    let AnyVersion { format } = serde_json::from_slice(&json).map_err(json_error)?;
    if format != FORMAT {
        return Err(StoreError::Format { path: json_path, found: format });
    }
    let saved: Saved = serde_json::from_slice(&json).map_err(json_error)?;
    let serial = read(&serial_path)?;
    let found = serial.len() as u64;
    if found != saved.serial.bytes {
        return Err(StoreError::Length { path: serial_path, found, expected: saved.serial.bytes });
    }
    if digest::of_bytes(&serial) != saved.serial.sha256 {
        return Err(StoreError::Content { path: serial_path, bytes: found });
    }
    let absolute = |path: PathBuf| if path.as_os_str().is_empty() { path } else { directory.join(path) };
    let mut boot = saved.boot;
    boot.kernel = absolute(boot.kernel);
    boot.initrd = absolute(boot.initrd);
    Ok(Transcript {
        boot,
        serial,
        exchanges: saved.exchanges,
        stop: saved.stop,
        seen: saved.seen,
        found: saved.found,
        glimpses: saved.glimpses,
        wall: Duration::from_micros(saved.wall_microseconds),
        processor: Duration::from_micros(saved.processor_microseconds),
    })
}

#[derive(Deserialize)]
struct AnyVersion {
    format: u32,
}

fn paths(directory: &Path, session: &SessionId) -> Result<[PathBuf; 2], StoreError> {
    let SessionId(name) = session;
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(StoreError::Name { session: name.clone() });
    }
    Ok(["serial", "json"].map(|extension| directory.join(format!("{name}.{extension}"))))
}

fn relative(directory: &Path, path: &Path) -> PathBuf {
    match path.strip_prefix(directory) {
        Ok(within) => within.to_owned(),
        Err(_) if path.is_absolute() => path.file_name().map(PathBuf::from).unwrap_or_default(),
        Err(_) => path.to_owned(),
    }
}

/// A word of the command line; paths in it, as in `file=/path,format=raw`, keep their file names.
fn without_place(directory: &Path, word: &str) -> String {
    let part = |part: &str| {
        let (key, value) = part.split_once('=').map_or(("", part), |(key, value)| (&part[..=key.len()], value));
        match value.starts_with('/') {
            true => format!("{key}{}", relative(directory, Path::new(value)).display()),
            false => part.to_owned(),
        }
    };
    word.split(',').map(part).collect::<Vec<_>>().join(",")
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|cause| StoreError::Read { path: path.to_owned(), cause })
}

fn write(directory: &Path, path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let attempt = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".saving-").tempfile_in(directory)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    };
    attempt().map_err(|cause| StoreError::Write { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests;
