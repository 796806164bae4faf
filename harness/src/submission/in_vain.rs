//! Files that a student changed and that are not taken: work that earns nothing and should be named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid};
use serde::{Deserialize, Serialize};

use super::tree::Tree;
use super::{Search, SubmissionError};
use crate::base_tree::BaseTree;
use crate::kind::Kind;
use crate::{files, handout};

/// The most files that are named; the others are counted.
const NAMED: usize = 20;

/// Files of a submission that differ from what the course hands out, and that the lab does not take.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InVain {
    /// The first ones, in order of path.
    pub named: Vec<Untaken>,
    /// How many more there are.
    pub more: usize,
}

/// A file that was changed in vain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Untaken {
    /// Its path in the student's repository.
    pub path: PathBuf,
    /// Whether the course has no such file at all.
    pub added: bool,
}

impl InVain {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

pub(super) fn find(
    tree: &dyn Tree,
    search: &Search<'_>,
    kind: &Kind,
    root: &Path,
    handed_out: &BTreeMap<PathBuf, Vec<Oid>>,
) -> Result<InVain, SubmissionError> {
    // What lies around files that are no part of the course's tree is of another one.
    if kind.recognise.iter().all(|path| kind.added.contains_key(path)) {
        return Ok(InVain::default());
    }
    // Notes and scripts of the student's own beside the kernel's folders are nobody's business.
    let folders: BTreeSet<_> = handed_out.keys().filter_map(|path| first_folder(path)).collect();
    let mut files = Vec::new();
    for folder in &folders {
        files.extend(tree.list(&root.join(folder), &kind.ignore)?);
    }
    for file in handed_out.keys().filter(|path| first_folder(path).is_none()) {
        let path = root.join(file);
        files.extend(tree.id(&path)?.map(|id| (path, id)));
    }
    let taken = search.lab.kernels.get(&kind.id).map(|kernel| &kernel.files);
    let mut untaken = Vec::new();
    for (path, id) in files {
        let Ok(file) = path.strip_prefix(root) else { continue };
        if taken.is_some_and(|taken| taken.iter().any(|taken| taken == file)) {
            continue;
        }
        match handed_out.get(file) {
            // Nobody looks into files that are larger than any that is taken.
            Some(contents) if contents.contains(&id) || id == Oid::ZERO_SHA1 => {}
            contents => untaken.push(Untaken { added: contents.is_none(), path }),
        }
    }
    untaken.sort();
    let more = untaken.len().saturating_sub(NAMED);
    untaken.truncate(NAMED);
    Ok(InVain { named: untaken, more })
}

fn first_folder(path: &Path) -> Option<PathBuf> {
    let mut parts = path.iter();
    let first = parts.next()?;
    parts.next().map(|_| PathBuf::from(first))
}

/// Each file of the course's own tree, with the contents that students can have got it with: the course's own, and the
/// starter of any lab. Contents go by Git's ids, so that a commit's files need not be read to be compared.
pub(super) fn handed_out(
    search: &Search<'_>,
    kind: &Kind,
    base: &BaseTree,
) -> Result<BTreeMap<PathBuf, Vec<Oid>>, SubmissionError> {
    let mut contents: BTreeMap<PathBuf, Vec<Oid>> = base.ids().into_iter().map(|(path, id)| (path, vec![id])).collect();
    if kind.source.is_none() {
        return Ok(contents);
    }
    let mut add = |folder: &Path| -> Result<(), SubmissionError> {
        let read = |path: &Path, cause| SubmissionError::Read { path: path.to_owned(), cause };
        for path in files::list(folder, &kind.ignore).map_err(|cause| read(folder, cause))? {
            let file = folder.join(&path);
            let content = fs::read(&file).map_err(|cause| read(&file, cause))?;
            contents.entry(path).or_default().push(id_of(&content)?);
        }
        Ok(())
    };
    for lab in fs::read_dir(search.course.root.join("labs")).into_iter().flatten().flatten() {
        let handout = lab.path().join("handout");
        if handout.is_dir() {
            add(&handout)?;
        }
    }
    // What a lab's branch has beside the starters.
    if let Some((path, content)) = handout::settings(search.lab, kind, &search.course.root) {
        contents.entry(path).or_default().push(id_of(&content)?);
    }
    Ok(contents)
}

fn id_of(content: &[u8]) -> Result<Oid, SubmissionError> {
    Oid::hash_object(ObjectType::Blob, content)
        .map_err(|cause| SubmissionError::Git { repository: "the course".to_owned(), cause })
}
