//! Which commit of a branch counts where there is a due date.
//!
//! Git keeps no record of when something was pushed, only what committers' clocks said. So the rule that was applied,
//! and what was passed over by it, is part of the answer, and dates that contradict each other are named.

use std::path::Path;

use git2::{Oid, Sort};

use super::pick::Found;
use super::{Pick, SubmissionError};

/// Commits that are looked at; more than any student makes in a term.
const MOST: usize = 100_000;

/// A commit with its committer's date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// Its id.
    pub commit: String,
    /// In seconds since 1970-01-01 UTC.
    pub time: i64,
}

/// The commit that counts, and what there was besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The last commit of the branch, or the tag's.
    pub head: Stamped,
    /// The one that is graded; none where all of them came too late.
    pub chosen: Option<Stamped>,
    /// Commits after the due date, which are not graded.
    pub later: u64,
    /// Seconds that the chosen commit is late by, where a tag chose it.
    pub late: i64,
    /// The first commit of the branch that came too late, where all of them did.
    pub first: Option<Stamped>,
    /// Which rule chose it.
    pub rule: &'static str,
    /// A commit before the chosen one is dated after the due date: somebody's clock was wrong, or set.
    pub backdated: bool,
}

/// Rules as reports name them.
const LAST: &str = "the branch's last commit; there is no due date";
const LAST_IN_TIME: &str =
    "the last commit on the branch's first-parent line whose committer's date is not after the due date";
const TAG: &str = "the tag's commit, whenever it was made";

/// Finds the commit of a repository that counts.
///
/// # Errors
/// When there is no such repository, branch or tag, or it cannot be read.
pub fn candidate(folder: &Path, pick: &Pick, due: Option<i64>) -> Result<Candidate, SubmissionError> {
    let found = Found::at(folder)?;
    match pick {
        Pick::Branch(name) => {
            let (_, head) = found.find_branch(name)?;
            match due {
                Some(due) => in_time(&found, head, due),
                None => {
                    let head = stamped(&found, head)?;
                    Ok(of_one(head, LAST))
                }
            }
        }
        Pick::Revision(name) => {
            let head = stamped(&found, found.find_revision(name)?)?;
            let late = due.map_or(0, |due| (head.time - due).max(0));
            Ok(Candidate { late, ..of_one(head, TAG) })
        }
        Pick::Usual | Pick::WorkTree => Err(SubmissionError::NoWorkTree { repository: found.name }),
    }
}

fn of_one(head: Stamped, rule: &'static str) -> Candidate {
    let chosen = Some(head.clone());
    Candidate { head, chosen, later: 0, late: 0, first: None, rule, backdated: false }
}

fn stamped(found: &Found, id: Oid) -> Result<Stamped, SubmissionError> {
    let commit = found.repository.find_commit(id).map_err(|cause| found.error(cause))?;
    Ok(Stamped { commit: id.to_string(), time: commit.time().seconds() })
}

fn in_time(found: &Found, head: Oid, due: i64) -> Result<Candidate, SubmissionError> {
    let wrong = |cause| found.error(cause);
    let mut walk = found.repository.revwalk().map_err(wrong)?;
    walk.set_sorting(Sort::TOPOLOGICAL).map_err(wrong)?;
    // What was merged in from elsewhere was not on the branch at its own date.
    walk.simplify_first_parent().map_err(wrong)?;
    walk.push(head).map_err(wrong)?;
    let (mut chosen, mut first, mut later, mut backdated) = (None, None, 0, false);
    for id in walk.take(MOST) {
        let commit = stamped(found, id.map_err(wrong)?)?;
        match (&chosen, commit.time > due) {
            (None, true) => {
                later += 1;
                first = Some(commit);
            }
            (None, false) => chosen = Some(commit),
            (Some(_), true) => {
                backdated = true;
                break;
            }
            (Some(_), false) => {}
        }
    }
    if chosen.is_some() {
        first = None;
    }
    let head = stamped(found, head)?;
    Ok(Candidate { head, chosen, later, late: 0, first, rule: LAST_IN_TIME, backdated })
}

#[cfg(test)]
mod tests {
    use git2::{Repository, Signature, Time};
    use tempfile::TempDir;

    use super::*;

    /// A bare repository whose branch `lab` has commits with these dates.
    fn branch(times: &[i64]) -> (TempDir, Vec<String>) {
        let folder = TempDir::new().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        let tree = repository.find_tree(repository.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let mut ids: Vec<Oid> = Vec::new();
        for &time in times {
            let author = Signature::new("A", "a@example.org", &Time::new(0, 0)).unwrap();
            let committer = Signature::new("A", "a@example.org", &Time::new(time, 60)).unwrap();
            let parent = ids.last().map(|id| repository.find_commit(*id).unwrap());
            let parents: Vec<_> = parent.iter().collect();
            ids.push(repository.commit(Some("refs/heads/lab"), &author, &committer, "Work", &tree, &parents).unwrap());
        }
        repository.reference("refs/tags/done", ids[ids.len() - 1], false, "").unwrap();
        (folder, ids.iter().map(ToString::to_string).collect())
    }

    fn chosen(times: &[i64], due: Option<i64>) -> (Option<usize>, u64, bool) {
        let (folder, ids) = branch(times);
        let candidate = candidate(folder.path(), &Pick::Branch("lab".into()), due).unwrap();
        let index = candidate.chosen.map(|chosen| ids.iter().position(|id| *id == chosen.commit).unwrap());
        (index, candidate.later, candidate.backdated)
    }

    #[test]
    fn the_last_commit_that_is_not_too_late_is_the_one_that_counts() {
        assert_eq!(chosen(&[10, 20, 30], Some(25)), (Some(1), 1, false));
        assert_eq!(chosen(&[10, 20, 30], Some(30)), (Some(2), 0, false), "the very second is in time");
        assert_eq!(chosen(&[10, 20, 30], None), (Some(2), 0, false));
        assert_eq!(chosen(&[10, 20, 30], Some(5)), (None, 3, false));
    }

    #[test]
    fn a_commit_that_says_to_be_older_than_its_parent_is_named() {
        assert_eq!(chosen(&[10, 40, 20], Some(25)), (Some(2), 0, true));
    }

    #[test]
    fn a_tag_is_taken_late_or_not_and_its_lateness_is_known() {
        let (folder, ids) = branch(&[10, 100]);
        let candidate = candidate(folder.path(), &Pick::Revision("refs/tags/done".into()), Some(60)).unwrap();
        assert_eq!((candidate.chosen.map(|chosen| chosen.commit), candidate.late), (Some(ids[1].clone()), 40));
    }

    #[test]
    fn what_was_only_committed_too_late_says_when_it_first_came() {
        let (folder, ids) = branch(&[50, 60]);
        let candidate = candidate(folder.path(), &Pick::Branch("lab".into()), Some(40)).unwrap();
        assert_eq!(candidate.first, Some(Stamped { commit: ids[0].clone(), time: 50 }));
    }
}
