//! Looks for what a student handed in: fetches the repository, and chooses the commit that counts.

use std::time::Duration;

use crate::gradebook::Found;
use crate::owner::Owner;
use crate::roster::{Assignment, Wanted};
use crate::runner::chain;
use crate::submission::mirrors::Mirrors;
use crate::submission::timely::{self, Candidate};
use crate::submission::{Pick, SubmissionError, mirror};

/// What came of looking for a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// This is to be graded.
    Found(Found),
    /// Nothing was handed in that could be graded, and why.
    Missing(String),
    /// It could not be looked for, by no fault of the student, though it was tried so many times.
    Failed(String, u32),
}

/// How many times something that fails by our fault is tried.
pub const TRIES: u32 = 3;

/// Between two tries to fetch: a server that is overloaded gets time.
const PAUSE: Duration = Duration::from_secs(2);

/// What of a repository is asked for.
pub fn pick(wanted: &Wanted) -> Pick {
    match wanted {
        Wanted::Branch(name) => Pick::Branch(name.clone()),
        Wanted::Tag(name) => Pick::Revision(format!("refs/tags/{name}")),
    }
}

/// Looks for a submission.
pub fn look(assignment: &Assignment, mirrors: &Mirrors<'_>) -> Looked {
    let mut tries = 1;
    loop {
        let error = match once(assignment, mirrors) {
            Ok(looked) => return looked,
            Err(error) => error,
        };
        let reason = said(&error);
        match error.owner() {
            // Nothing of a student's makes us fail; what is asked for and not there was not handed in.
            Owner::Caller | Owner::Submission => return Looked::Missing(reason),
            Owner::Harness if tries == TRIES => return Looked::Failed(reason, tries),
            Owner::Harness => {
                tries += 1;
                if mirror::is_url(&assignment.repository) {
                    std::thread::sleep(PAUSE);
                    mirrors.forget(&assignment.repository);
                }
            }
        }
    }
}

/// What is wrong, for whoever grades: what a student is told to type helps nobody here.
fn said(error: &SubmissionError) -> String {
    match error {
        SubmissionError::BranchMissing { unborn: true, repository, .. } => {
            format!("nothing is committed yet in {repository}")
        }
        SubmissionError::BranchMissing { name, repository, similar, .. } => {
            let similar = if similar.is_empty() { String::new() } else { format!("; similar: {}", similar.join(", ")) };
            format!("there is no branch `{name}` in {repository}{similar}")
        }
        SubmissionError::RevisionMissing { revision, repository, .. } => {
            let name = revision.strip_prefix("refs/tags/").unwrap_or(revision);
            format!("there is no tag `{name}` in {repository}")
        }
        SubmissionError::NotARepository { path } => format!("there is no Git repository at {}", path.display()),
        error => format!("failed to {}", chain(error)),
    }
}

fn once(assignment: &Assignment, mirrors: &Mirrors<'_>) -> Result<Looked, SubmissionError> {
    let folder = mirrors.folder(&assignment.repository)?;
    let due = assignment.due.as_ref();
    let candidate = timely::candidate(&folder, &pick(&assignment.wanted), due.map(|due| due.seconds()))?;
    let rule = match due {
        Some(due) => format!("{}; due {due}", candidate.rule),
        None => candidate.rule.to_owned(),
    };
    let Candidate { head, chosen, later, late, first, backdated, .. } = candidate;
    let Some(chosen) = chosen else {
        let after = first.zip(due).map(|(first, due)| lateness(first.time - due.seconds())).unwrap_or_default();
        let due = due.map(ToString::to_string).unwrap_or_default();
        return Ok(Looked::Missing(format!(
            "nothing was committed on {} until {due}; the first commit came {after} later",
            assignment.wanted
        )));
    };
    let note = if backdated {
        "a commit before it is dated after the due date: somebody's clock was wrong, or was set".to_owned()
    } else {
        String::new()
    };
    Ok(Looked::Found(Found {
        commit: chosen.commit,
        commit_time: chosen.time,
        head: head.commit,
        head_time: head.time,
        later,
        late,
        rule,
        note,
    }))
}

/// A span of time as people say it: its two largest units.
pub fn lateness(seconds: i64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds.max(0);
    let mut parts = Vec::new();
    for (size, name) in units {
        if rest >= size {
            parts.push(format!("{} {name}", rest / size));
            rest %= size;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_said_in_two_units() {
        assert_eq!(lateness(93_784), "1 d 2 h");
        assert_eq!(lateness(61), "1 min 1 s");
        assert_eq!(lateness(0), "0 s");
    }

    #[test]
    fn what_is_not_there_is_missing_and_what_cannot_be_fetched_is_our_fault() {
        let folder = tempfile::tempdir().unwrap();
        let cache = crate::cache::Cache::at(folder.path().join("cache")).unwrap();
        let mirrors = Mirrors::new(&cache);
        let look = |repository: String| {
            let wanted = Wanted::Branch("lab".to_owned());
            look(&Assignment { repository, wanted, due: None }, &mirrors)
        };
        let bare = folder.path().join("bare.git");
        git2::Repository::init_bare(&bare).unwrap();
        let Looked::Missing(reason) = look(bare.display().to_string()) else { panic!("it is not there") };
        assert!(reason.contains("nothing is committed"), "{reason}");
        let Looked::Missing(reason) = look(folder.path().join("nowhere").display().to_string()) else { panic!() };
        assert!(reason.contains("nowhere"), "{reason}");
        let Looked::Failed(reason, tries) = look("file:///nowhere/at/all.git".to_owned()) else { panic!() };
        assert!(reason.contains("file:///nowhere/at/all.git") && tries == TRIES, "{reason}");
    }
}
