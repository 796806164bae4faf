//! The repositories of a class, each fetched once however many students share it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{SubmissionError, mirror};
use crate::cache::Cache;

/// What came of fetching a repository: the folder of its copy, or what the transport said.
type Fetched = Arc<OnceLock<Result<PathBuf, String>>>;

/// Fetches repositories, several at once where several ask.
#[derive(Debug)]
pub struct Mirrors<'a> {
    cache: &'a Cache,
    fetched: Mutex<HashMap<String, Fetched>>,
}

impl<'a> Mirrors<'a> {
    /// With copies in this cache.
    pub fn new(cache: &'a Cache) -> Self {
        Self { cache, fetched: Mutex::default() }
    }

    /// The folder where a repository can be read: its own where it is a path, that of an up-to-date copy where it is a
    /// URL. What could not be fetched is tried again only when [`forgotten`](Self::forget).
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn folder(&self, repository: &str) -> Result<PathBuf, SubmissionError> {
        if !mirror::is_url(repository) {
            return Ok(PathBuf::from(repository));
        }
        let place = Arc::clone(self.lock().entry(repository.to_owned()).or_default());
        // Whoever comes second waits here for the first.
        let fetched = place.get_or_init(|| match mirror::fetch(repository, self.cache) {
            Ok(copy) => Ok(copy.path().to_owned()),
            Err(SubmissionError::Fetch { reason, .. }) => Err(reason),
            Err(error) => Err(crate::runner::chain(&error)),
        });
        let failed = |reason: &String| SubmissionError::Fetch {
            url: mirror::without_password(repository),
            reason: reason.clone(),
        };
        fetched.as_ref().cloned().map_err(failed)
    }

    /// Has a repository fetched again when it is asked for next, where that failed.
    pub fn forget(&self, repository: &str) {
        let mut fetched = self.lock();
        if fetched.get(repository).and_then(|place| place.get()).is_some_and(Result::is_err) {
            fetched.remove(repository);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Fetched>> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
