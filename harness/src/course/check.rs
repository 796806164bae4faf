//! Everything that is wrong with a course, for its authors.

use std::collections::BTreeMap;

use super::{Course, CourseError, folders_with};
use crate::kind::{self, Kind};
use crate::lab::KindId;
use crate::lab::read::{self as lab_file, Judges, Known};
use crate::lab::{mutant, solution};

impl Course {
    /// Reads every kernel kind, lab, mutant and solution, looks for every starter, and answers all that is wrong.
    ///
    /// # Errors
    /// When the course's folders cannot be read.
    pub fn check(&self, judges: Judges<'_>) -> Result<Vec<CourseError>, CourseError> {
        let mut wrong = Vec::new();
        let mut kinds = BTreeMap::new();
        for folder in folders_with(&self.root.join("labs/kernels"), kind::FILE)? {
            match kind::read(&folder, &self.root) {
                Ok(kind) => {
                    kinds.insert(kind.id.clone(), kind);
                }
                Err(error) => wrong.push(CourseError::File(error)),
            }
        }
        let known = Known { course: &self.root, kinds: &kinds, judges };
        for id in self.lab_ids()? {
            let lab = match lab_file::read(&self.lab_folder(&id), &known) {
                Ok(lab) => lab,
                Err(error) => {
                    wrong.push(CourseError::File(error));
                    continue;
                }
            };
            // Kinds without a tree of the course's own have their starters in the handout.
            let own = |id: &&KindId| kinds.get(*id).is_some_and(|kind: &Kind| kind.source.is_some());
            for path in lab.kernels.keys().filter(own).flat_map(|id| &lab.kernels[id].files) {
                let starter = lab.folder.join("handout").join(path);
                if !starter.is_file() {
                    wrong.push(CourseError::NoStarter { lab: id.clone(), path: starter });
                }
            }
            // Mutants are of the lab's first kind that has a reference.
            let Some(kind) = lab.kernels.keys().find(own).and_then(|id| kinds.get(id)) else { continue };
            let mutants = mutant::files(&lab).into_iter();
            let read = mutants.filter_map(|path| mutant::read(&path, &lab, kind, &self.root).err());
            wrong.extend(read.map(CourseError::File));
            let solutions = solution::files(&lab).into_iter();
            wrong.extend(solutions.filter_map(|path| solution::read(&path, &lab, kind).err()).map(CourseError::File));
        }
        Ok(wrong)
    }
}
