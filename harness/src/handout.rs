//! The repository that students start from: the kernel's tree with every lab's solution replaced by its starter, on
//! `main` and on one branch a lab, which has that lab's text and grades itself when it is pushed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git2::{FileMode, Index, IndexEntry, IndexTime, Oid, Repository, RepositoryInitOptions, Signature, Time};

use crate::base_tree::{BaseTreeError, SourceFile, read_folder};
use crate::course::Course;
use crate::kind::Kind;
use crate::lab::{Lab, LabId};
use crate::owner::Owner;

/// What a lab's text is called in the repository.
pub const TEXT: &str = "LAB.md";

/// The workflow that grades a branch.
pub const WORKFLOW: &str = ".github/workflows/grade.yml";

/// Cargo's settings, in which a branch says what its kernel is built with.
const SETTINGS: &str = ".cargo/config.toml";

/// When all commits were made: the same input must give the same commits. 2026-01-01 00:00:00 UTC.
const WHEN: i64 = 1_767_225_600;

/// Why there is no handout.
#[derive(Debug, thiserror::Error)]
pub enum HandoutError {
    /// A file of the course cannot be read.
    #[error("read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A file of the course cannot be read.
    #[error(transparent)]
    Course(#[from] BaseTreeError),
    /// The course has no tree of the kind.
    #[error("hand out a {title}: the course has no tree of its own of that kind")]
    NoTree {
        /// What people call the kind.
        title: String,
    },
    /// The folder is not empty, and what is in it may be dear to somebody.
    #[error("write the handout to {path}: it is not empty")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The repository cannot be written.
    #[error("write the handout to {path}")]
    Git {
        /// The folder.
        path: PathBuf,
        /// What libgit2 says.
        #[source]
        cause: git2::Error,
    },
}

impl HandoutError {
    /// Whose fault it is.
    pub fn owner(&self) -> Owner {
        match self {
            Self::NotEmpty { .. } | Self::NoTree { .. } => Owner::Caller,
            Self::Course(_) | Self::Read { .. } | Self::Git { .. } => Owner::Harness,
        }
    }
}

/// The files of a branch, by path.
pub type Files = BTreeMap<PathBuf, SourceFile>;

/// The files of `main`: the kernel's own tree, with the starter of every lab laid in.
///
/// # Errors
/// When a file of the course cannot be read.
pub fn main_files<'a>(
    course: &Course,
    kind: &Kind,
    labs: impl IntoIterator<Item = &'a Lab>,
) -> Result<Files, HandoutError> {
    let mut all = match &kind.source {
        Some(source) => read_folder(&course.root.join(source), &kind.ignore)?,
        None => return Err(HandoutError::NoTree { title: kind.title.clone() }),
    };
    for (lab, kernel) in labs.into_iter().filter_map(|lab| Some((lab, lab.kernels.get(&kind.id)?))) {
        let mut starters = read_folder(&lab.folder.join("handout"), &kind.ignore)?;
        // Those of another kind may lie beside them.
        starters.retain(|path, _| kernel.files.contains(path));
        all.extend(starters);
    }
    Ok(all)
}

/// The files that a lab's branch has beside those of `main`, or with another content.
///
/// # Errors
/// When the lab's text cannot be read.
pub fn branch_files(course: &Course, kind: &Kind, lab: &Lab, grader: &str) -> Result<Files, HandoutError> {
    let plain = |content: Vec<u8>| SourceFile { content, executable: false };
    let text = lab.folder.join("handout.md");
    let text = fs::read(&text).map_err(|cause| HandoutError::Read { path: text, cause })?;
    let mut files = Files::from([
        (PathBuf::from(TEXT), plain(text)),
        (PathBuf::from(WORKFLOW), plain(workflow(&lab.id, grader).into_bytes())),
    ]);
    files.extend(settings(lab, kind, &course.root).map(|(path, content)| (path, plain(content))));
    Ok(files)
}

/// Cargo's settings as a lab's branch has them, if its kernel is built in a way of its own.
pub fn settings(lab: &Lab, kind: &Kind, course: &Path) -> Option<(PathBuf, Vec<u8>)> {
    let kernel = lab.kernels.get(&kind.id).filter(|kernel| !kernel.features.is_empty())?;
    let mut settings = fs::read(course.join(kind.source.as_deref()?).join(SETTINGS)).unwrap_or_default();
    let features = kernel.features.join(",");
    let added = format!("\n[env]\n# What `cargo run` builds the kernel with.\nKERNEL_FEATURES = \"{features}\"\n");
    settings.extend(added.into_bytes());
    Some((PathBuf::from(SETTINGS), settings))
}

/// Makes the repository in an empty folder; answers each branch with its commit.
///
/// # Errors
/// When the folder is not empty, a file of the course cannot be read, or the repository cannot be written.
pub fn write(
    course: &Course,
    kind: &Kind,
    labs: &[Lab],
    wanted: impl Fn(&LabId) -> bool,
    grader: &str,
    folder: &Path,
) -> Result<Vec<(String, Oid)>, HandoutError> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(HandoutError::NotEmpty { path: folder.to_owned() });
    }
    let main = main_files(course, kind, labs)?;
    let git = |cause| HandoutError::Git { path: folder.to_owned(), cause };
    let mut options = RepositoryInitOptions::new();
    options.initial_head("main");
    let repository = Repository::init_opts(folder, &options).map_err(git)?;
    let base = commit(&repository, "main", &main, "Start here", None).map_err(git)?;
    let mut branches = vec![("main".to_owned(), base)];
    for lab in labs.iter().filter(|lab| wanted(&lab.id)) {
        if !lab.kernels.contains_key(&kind.id) {
            continue;
        }
        let mut files = main.clone();
        files.extend(branch_files(course, kind, lab, grader)?);
        let message = format!("Begin {}: {}", lab.id, lab.title);
        let made = commit(&repository, &lab.id.0, &files, &message, Some(base)).map_err(git)?;
        branches.push((lab.id.0.clone(), made));
    }
    let mut checkout = git2::build::CheckoutBuilder::new();
    repository.checkout_head(Some(checkout.force())).map_err(git)?;
    Ok(branches)
}

fn commit(
    repository: &Repository,
    branch: &str,
    files: &Files,
    message: &str,
    parent: Option<Oid>,
) -> Result<Oid, git2::Error> {
    let mut index = Index::new()?;
    for (path, file) in files {
        index.add(&IndexEntry {
            ctime: IndexTime::new(0, 0),
            mtime: IndexTime::new(0, 0),
            dev: 0,
            ino: 0,
            mode: if file.executable { FileMode::BlobExecutable } else { FileMode::Blob }.into(),
            uid: 0,
            gid: 0,
            file_size: 0,
            id: repository.blob(&file.content)?,
            flags: 0,
            flags_extended: 0,
            path: path.as_os_str().as_encoded_bytes().to_vec(),
        })?;
    }
    let tree = repository.find_tree(index.write_tree_to(repository)?)?;
    let course = Signature::new("Course", "course@example.org", &Time::new(WHEN, 0))?;
    let parent = parent.map(|parent| repository.find_commit(parent)).transpose()?;
    let parents: Vec<_> = parent.iter().collect();
    repository.commit(Some(&format!("refs/heads/{branch}")), &course, &course, message, &tree, &parents)
}

/// What GitHub runs when the branch is pushed. `grader` is the course's repository, which a variable of the
/// organisation or repository may override.
fn workflow(lab: &LabId, grader: &str) -> String {
    let default = if grader.is_empty() { String::new() } else { format!(" || '{grader}'") };
    format!(
        r#"# Grades this branch whenever it is pushed.
name: grade
on:
  push:
    branches: [{lab}]
permissions:
  contents: read
jobs:
  grade:
    runs-on: ubuntu-24.04
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v6
        with:
          path: submission
          persist-credentials: false
      - name: Fetch the course
        env:
          COURSE: ${{{{ vars.GRADER_REPOSITORY{default} }}}}
        run: |
          if [ -z "$COURSE" ]; then
            echo "::error::set the variable GRADER_REPOSITORY to the URL of the course's repository"
            exit 3
          fi
          git clone --depth 1 -- "$COURSE" course
      - name: Grade
        uses: ./course/ci/action
        with:
          lab: {lab}
          repository: submission
"#
    )
}
