//! What submissions are laid into and compared with, read once however many there are.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use git2::Oid;

use super::{Search, SubmissionError, handout, in_vain};
use crate::base_tree::BaseTree;
use crate::kind::Kind;
use crate::lab::{KindId, LabId};

/// The trusted trees of a course, by lab and kernel kind. Whoever grades several submissions with one of these sees the
/// course as it was at the first of them.
#[derive(Debug, Default)]
pub struct Trusted {
    known: Mutex<HashMap<(LabId, KindId), Arc<Known>>>,
}

/// What is known of a kind in a lab.
#[derive(Debug)]
pub(super) struct Known {
    /// What submissions are laid into.
    pub base: Arc<BaseTree>,
    /// Contents that nobody has changed, by path.
    pub handed_out: BTreeMap<PathBuf, Vec<Oid>>,
}

impl Trusted {
    pub(super) fn of(&self, search: &Search<'_>, kind: &Kind) -> Result<Arc<Known>, SubmissionError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (search.lab.id.clone(), kind.id.clone());
        if let Some(known) = known.get(&place) {
            return Ok(Arc::clone(known));
        }
        let base = match BaseTree::of_course(search.course, kind)? {
            Some(base) => base,
            None => handout::find(search, kind)?,
        };
        let handed_out = in_vain::handed_out(search, kind, &base)?;
        let new = Arc::new(Known { base: Arc::new(base), handed_out });
        known.insert(place, Arc::clone(&new));
        Ok(new)
    }
}
