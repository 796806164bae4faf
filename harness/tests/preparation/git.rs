//! Repositories as students have them, made on the spot.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, RepositoryInitOptions, Signature, Time};

use crate::fake::{files, write};

/// A student's repository: the course's tree of the kernel at its root, on branch `main`.
pub fn student(folder: &Path) -> Repository {
    let repository = init(folder);
    for (path, content) in files() {
        if let Some(path) = path.strip_prefix("tiny-kernel/") {
            write(&folder.join(path), content);
        }
    }
    commit(&repository, "Hand out");
    repository
}

pub fn init(folder: &Path) -> Repository {
    Repository::init_opts(folder, RepositoryInitOptions::new().initial_head("main").mkpath(true)).unwrap()
}

/// Commits everything that is on disk.
pub fn commit(repository: &Repository, message: &str) -> Oid {
    let mut index = repository.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    index.update_all(["*"], None).unwrap();
    index.write().unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let who = Signature::new("A Student", "student@example.org", &Time::new(0, 0)).unwrap();
    let parent = repository.head().ok().map(|head| head.peel_to_commit().unwrap());
    let parents: Vec<_> = parent.iter().collect();
    repository.commit(Some("HEAD"), &who, &who, message, &tree, &parents).unwrap()
}

/// Makes a branch at the current commit, and checks it out.
pub fn switch(repository: &Repository, name: &str) {
    let head = repository.head().unwrap().peel_to_commit().unwrap();
    if repository.find_branch(name, git2::BranchType::Local).is_err() {
        repository.branch(name, &head, false).unwrap();
    }
    repository.set_head(&format!("refs/heads/{name}")).unwrap();
    // libgit2 writes through a link that is in a file's way, wherever it leads.
    for entry in repository.index().unwrap().iter() {
        let path = repository.workdir().unwrap().join(OsStr::from_bytes(&entry.path));
        if path.is_symlink() {
            fs::remove_file(path).unwrap();
        }
    }
    repository.checkout_head(Some(git2::build::CheckoutBuilder::new().force())).unwrap();
}

/// Writes and commits one file.
pub fn change(repository: &Repository, path: &str, content: &str) -> Oid {
    let root: PathBuf = repository.workdir().unwrap().to_owned();
    write(&root.join(path), content);
    commit(repository, "Work")
}

/// Checks out a branch that has no commit yet.
pub fn switch_unborn(repository: &Repository, name: &str) {
    repository.set_head(&format!("refs/heads/{name}")).unwrap();
}
