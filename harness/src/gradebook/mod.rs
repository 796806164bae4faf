//! The grades of a class in an SQLite file, written so that a kill at any moment loses nothing that was finished.
//!
//! The schema is in `v1.sql` and what later versions add to it, which is also its documentation. A version is a file
//! and a line in [`MIGRATIONS`]; a gradebook of any earlier one is brought up to date when it is opened.

mod canonical;
mod read;
mod rows;
mod write;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::owner::Owner;

pub use canonical::{canonical, forget_times};
pub use read::{CheckRow, PastRun};
pub use rows::{Found, Graded, LabRow, Row, RowGrade, Run, RunKind, State, StudentRow, Terms, stamp};
pub use write::{Pair, Update};

/// The file in the folder of a batch.
pub const FILE: &str = "gradebook.db";

/// What brings a gradebook from each version to the next, from an empty file on.
const MIGRATIONS: [&str; 2] = [include_str!("v1.sql"), include_str!("v2.sql")];

/// Says that an SQLite file is a gradebook: "grad" in ASCII.
const APPLICATION: i32 = 0x6772_6164;

/// How long to wait for somebody else's write.
const PATIENCE: Duration = Duration::from_secs(30);

/// The gradebook of a class.
#[derive(Debug)]
pub struct Gradebook {
    connection: Connection,
    path: PathBuf,
}

/// Why a gradebook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GradebookError {
    /// There is no such file.
    #[error("open the gradebook {}: there is no such file; `grader batch --out DIR` makes DIR/{FILE}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is an SQLite file of something else, or none at all.
    #[error("open the gradebook {}: it is none", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer grader made it.
    #[error("open the gradebook {}: it has version {found}, and this grader reads up to {}; use the newer one", path.display(), MIGRATIONS.len())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// It has no such run.
    #[error("find run {run} in the gradebook {}; it has {known}", path.display())]
    NoRun {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        run: String,
        /// The runs that there are.
        known: String,
    },
    /// What stands in it is no grade.
    #[error("understand the gradebook {}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// SQLite could not do it: the disk is full, the file is damaged or cannot be written.
    #[error("use the gradebook {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        cause: rusqlite::Error,
    },
}

impl GradebookError {
    /// Whose fault it is.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Sqlite { .. } => Owner::Harness,
            _ => Owner::Caller,
        }
    }
}

impl Gradebook {
    /// Opens a gradebook, and makes one where there is none.
    ///
    /// # Errors
    /// When it is no gradebook, of a newer version, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, GradebookError> {
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens a gradebook that is there.
    ///
    /// # Errors
    /// When it is not there, no gradebook, or of a newer version.
    pub fn open(path: &Path) -> Result<Self, GradebookError> {
        if !path.is_file() {
            return Err(GradebookError::Missing { path: path.to_owned() });
        }
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn with(path: &Path, flags: OpenFlags) -> Result<Self, GradebookError> {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
        let mut gradebook = Self { connection: connection.map_err(|cause| wrap(path, cause))?, path: path.to_owned() };
        // SQLite does not wait for others itself when a file is new and its journal is chosen.
        let from = Instant::now();
        while let Err(cause) = gradebook.prepare() {
            let is_busy = cause.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy);
            if !is_busy || from.elapsed() > PATIENCE {
                return Err(wrap(path, cause));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        gradebook.migrate()?;
        Ok(gradebook)
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(PATIENCE)?;
        // Readers do not wait for the writer, and what is committed survives a loss of power, too.
        self.connection.pragma_update(None, "journal_mode", "wal")?;
        self.connection.pragma_update(None, "synchronous", "full")?;
        self.connection.pragma_update(None, "foreign_keys", true)
    }

    /// Brings the file to the newest version, whole or not at all.
    fn migrate(&mut self) -> Result<(), GradebookError> {
        let path = self.path.clone();
        let migrate = |connection: &mut Connection| -> rusqlite::Result<Result<(), GradebookError>> {
            let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let (application, version) = (number("application_id")?, number("user_version")?);
            let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if application != i64::from(APPLICATION) && tables > 0 {
                return Ok(Err(GradebookError::Foreign { path: path.clone() }));
            }
            let done = usize::try_from(version).unwrap_or(usize::MAX);
            if done > MIGRATIONS.len() {
                return Ok(Err(GradebookError::TooNew { path: path.clone(), found: version }));
            }
            if done == MIGRATIONS.len() {
                return Ok(Ok(()));
            }
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Somebody else may have done it while we waited for our turn.
            let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
                transaction.execute_batch(migration)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
            transaction.commit()?;
            Ok(Ok(()))
        };
        migrate(&mut self.connection).map_err(|cause| wrap(&self.path, cause))?
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, cause: rusqlite::Error) -> GradebookError {
        wrap(&self.path, cause)
    }
}

fn wrap(path: &Path, cause: rusqlite::Error) -> GradebookError {
    match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => GradebookError::Foreign { path: path.to_owned() },
        _ => GradebookError::Sqlite { path: path.to_owned(), cause },
    }
}

#[cfg(test)]
mod tests;
