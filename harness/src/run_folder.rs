//! The folder that keeps a run: grade, transcripts, traces in plain text, build log; all that judging again takes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::excerpt::Places;
use crate::grade::Grade;
use crate::grading::{Booted, Boots};
use crate::lab::SessionId;
use crate::report::json;
use crate::serial::reading::Reading;
use crate::session::store;
use crate::subject::{self, Weighing};
use crate::write;

/// Why a run could not be kept or read again.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// A file or folder cannot be written.
    #[error("keep the run in {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A transcript cannot be saved or loaded.
    #[error(transparent)]
    Transcript(#[from] store::StoreError),
    /// The grade cannot be read.
    #[error(transparent)]
    Grade(#[from] json::ReadError),
    /// The names of addresses cannot be read.
    #[error("read {}", path.display())]
    Places {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        cause: io::Error,
    },
}

/// Which boots of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// The submission's.
    First,
    /// Those of the submission's that were done a second time.
    Second,
    /// The reference's.
    Reference,
}

impl Shelf {
    /// The folder of its transcripts.
    const fn name(self) -> &'static str {
        match self {
            Self::First => "sessions",
            Self::Second => "second",
            Self::Reference => "reference",
        }
    }
}

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
    /// It is of a batch: boots that are there are taken for what they are, and nothing is written that can be made of
    /// what is there.
    of_batch: bool,
}

impl RunFolder {
    /// The run in this folder, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), of_batch: false }
    }

    /// The draft of a run in a batch, which goes on where a grader was killed at it. The folder must be named after all
    /// that decides what is in it.
    pub fn draft(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), of_batch: true }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Makes the folder and takes out of it what an earlier run left, but for the boots of a draft.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn begin(&self) -> Result<(), RunFolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| RunFolderError::Write { path, cause }
        };
        fs::create_dir_all(&self.root).map_err(failed(&self.root))?;
        let left: &[&str] =
            if self.of_batch { &["second"] } else { &["sessions", "second", "reference", "traces", "consoles"] };
        for left in left {
            let path = self.root.join(left);
            match fs::remove_dir_all(&path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(&path)(cause)),
                _ => {}
            }
        }
        let grade = self.grade();
        match fs::remove_file(&grade) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed(&grade)(cause)),
            _ => Ok(()),
        }
    }

    /// The grade document.
    pub fn grade(&self) -> PathBuf {
        self.root.join("grade.json")
    }

    fn sessions(&self, shelf: Shelf) -> PathBuf {
        self.root.join(shelf.name())
    }

    /// Keeps what the builder said.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_build_log(&self, log: &str) -> Result<(), RunFolderError> {
        self.write(&self.root.join("build.log"), log.as_bytes())
    }

    /// Keeps a boot's transcript and the names of its addresses.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_boot(&self, booted: &Booted, shelf: Shelf) -> Result<(), RunFolderError> {
        let Booted::Ran { transcript, places, .. } = booted else { return Ok(()) };
        let folder = self.sessions(shelf);
        fs::create_dir_all(&folder).map_err(|cause| RunFolderError::Write { path: folder.clone(), cause })?;
        // First, so that where a transcript is, all that belongs to it is.
        let path = places_file(&folder, &transcript.boot.session);
        if places.is_empty() {
            let _ = fs::remove_file(path);
        } else {
            self.write(&path, &serde_json::to_vec_pretty(places).unwrap_or_default())?;
        }
        Ok(store::save(&folder, transcript)?)
    }

    /// A boot that a grader saved in this draft before it was killed.
    pub fn kept_boot(&self, id: &SessionId, shelf: Shelf) -> Option<Booted> {
        // What is damaged is as good as not there.
        if self.of_batch { self.load_boot(id, shelf).ok().flatten() } else { None }
    }

    /// Keeps a boot's trace as text, one operation a line with the number that findings name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_trace(&self, id: &SessionId, script: &[String], reading: &Reading) -> Result<(), RunFolderError> {
        if self.of_batch {
            return Ok(());
        }
        let texts: Vec<String> = subject::trace_texts(&Weighing { script, reading, oracles: &[] }).collect();
        if texts.is_empty() {
            return Ok(());
        }
        self.write(&self.root.join("traces").join(format!("{id}.txt")), texts.join("\n").as_bytes())
    }

    /// Keeps what each command printed that was typed at a boot's console.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_console(&self, id: &SessionId, reading: &Reading) -> Result<(), RunFolderError> {
        if reading.sections.is_empty() || self.of_batch {
            return Ok(());
        }
        let mut text = String::new();
        for section in &reading.sections {
            let unless = if section.ended { "" } else { " (did not end)" };
            text.push_str(&format!("== {}{unless}\n", section.typed));
            section.lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        }
        text.push_str(&format!("== {}\n", reading.ending));
        self.write(&self.root.join("consoles").join(format!("{id}.txt")), text.as_bytes())
    }

    /// Keeps the grade, which makes the run complete.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_grade(&self, grade: &Grade) -> Result<(), RunFolderError> {
        json::write(grade, &self.grade()).map_err(|cause| RunFolderError::Write { path: self.grade(), cause })
    }

    /// Reads the grade again.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn load_grade(&self) -> Result<Grade, RunFolderError> {
        Ok(json::read(&self.grade())?)
    }

    /// Reads a boot again; `None` when it was never kept.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn load_boot(&self, id: &SessionId, shelf: Shelf) -> Result<Option<Booted>, RunFolderError> {
        let folder = self.sessions(shelf);
        if !folder.join(format!("{id}.json")).exists() {
            return Ok(None);
        }
        let transcript = store::load(&folder, id)?;
        let path = places_file(&folder, id);
        let places: Places = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|cause| RunFolderError::Places { path, cause: io::Error::other(cause) })?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Places::new(),
            Err(cause) => return Err(RunFolderError::Places { path, cause }),
        };
        let reading = Box::new(Reading::of(&transcript));
        Ok(Some(Booted::Ran { transcript: Box::new(transcript), reading, places }))
    }

    /// Reads all boots of these names again.
    ///
    /// # Errors
    /// When one is damaged.
    pub fn load_boots<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a SessionId>,
        shelf: Shelf,
    ) -> Result<Boots, RunFolderError> {
        let load = |id: &SessionId| Some(self.load_boot(id, shelf).transpose()?.map(|booted| (id.clone(), booted)));
        ids.into_iter().filter_map(load).collect()
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), RunFolderError> {
        write::atomically(path, content).map_err(|cause| RunFolderError::Write { path: path.to_owned(), cause })
    }
}

fn places_file(folder: &Path, id: &SessionId) -> PathBuf {
    folder.join(format!("{id}.places.json"))
}
