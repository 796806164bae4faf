//! The repository that a course hands out, where all but the lab's files are taken from for kernels that the course
//! itself has no tree of.

use std::collections::BTreeMap;

use super::tree::Tree as _;
use super::{Origin, Pick, Request, Search, SubmissionError, pick};
use crate::base_tree::{BaseTree, BaseTreeError, From, SourceFile};
use crate::kind::Kind;

/// The variable that names the handout where no option does.
pub const VARIABLE: &str = "GRADER_HANDOUT";

/// The tree that `--handout REPO[@REV]` names; without a revision, that of the lab's branch.
pub(super) fn find(search: &Search<'_>, kind: &Kind) -> Result<BaseTree, SubmissionError> {
    let variable = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty());
    let named = search.handout.map(str::to_owned).or(variable);
    let named = named.ok_or_else(|| BaseTreeError::NoHandout { title: kind.title.clone() })?;
    let wrap = |error| SubmissionError::Base(BaseTreeError::Handout(Box::new(error)));
    let (repository, revision) = split(&named);
    let request = Request {
        repository: Some(repository.to_owned()),
        pick: revision.map_or_else(|| Pick::Branch(search.lab.id.0.clone()), |name| Pick::Revision(name.to_owned())),
    };
    let picked = pick::commit(&request, search).map_err(wrap)?;
    let (Origin::Commit { repository, name, commit }, tree) = picked else {
        return Err(SubmissionError::NoHandout { handout: named });
    };
    let mut files = BTreeMap::new();
    for (path, executable) in tree.list_with_modes(&kind.ignore).map_err(wrap)? {
        let content = tree.read(&path).map_err(wrap)?;
        files.insert(path, SourceFile { content, executable });
    }
    Ok(BaseTree { from: From::Handout { repository, name, commit }, files })
}

/// A repository and a revision; an `@` before the last `/` or `:` belongs to the repository's URL.
fn split(named: &str) -> (&str, Option<&str>) {
    match named.rsplit_once('@') {
        Some((repository, revision)) if !repository.is_empty() && !revision.contains(':') => {
            // `git@host:path` has a colon behind its `@`, `https://user@host/path` a slash before a host's dot.
            let is_host = repository.ends_with("//")
                || repository.contains("://")
                    && !repository[repository.find("://").map_or(0, |at| at + 3)..].contains('/');
            if is_host { (named, None) } else { (repository, Some(revision)) }
        }
        _ => (named, None),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_revision_follows_the_repository_and_not_a_user_s_name() {
        for (named, repository, revision) in [
            ("../xv6n", "../xv6n", None),
            ("../xv6n@origin/lab6-1-bestfit", "../xv6n", Some("origin/lab6-1-bestfit")),
            ("https://example.org/xv6n.git@v2", "https://example.org/xv6n.git", Some("v2")),
            ("https://me@example.org/xv6n.git", "https://me@example.org/xv6n.git", None),
            ("git@example.org:course/xv6n", "git@example.org:course/xv6n", None),
        ] {
            assert_eq!(split(named), (repository, revision), "{named}");
        }
    }
}
