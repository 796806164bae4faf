//! What is graded, of which repository, and what is said where nothing can be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use git2::Repository;
use grader::owner::Owner;
use grader::submission::{Origin, Pick, Request, Search, Submission, SubmissionError, Trusted, Unusable};

use crate::fake::{Fake, write};
use crate::git;

pub const ANSWER: &str = "src/answer.rs";
pub const SOLVED: &str = "pub fn answer() -> u32 { 40 + 2 }\n";

pub fn find_with(
    fake: &Fake,
    from: &Path,
    repository: Option<&str>,
    pick: Pick,
) -> Result<Submission, SubmissionError> {
    let (lab, kinds) = (fake.lab(), fake.course.kinds().unwrap());
    let search = Search {
        from,
        course: &fake.course,
        kinds: &kinds,
        lab: &lab,
        cache: &fake.cache,
        trusted: &Trusted::default(),
        kernel: None,
        handout: None,
    };
    Submission::find(&Request { repository: repository.map(str::to_owned), pick }, &search)
}

pub fn find(fake: &Fake, from: &Path) -> Result<Submission, SubmissionError> {
    find_with(fake, from, None, Pick::Usual)
}

pub fn answer(submission: &Submission) -> String {
    String::from_utf8(submission.files.as_ref().unwrap()[Path::new(ANSWER)].clone()).unwrap()
}

/// A course, and a student's repository with a solution on the lab's branch, `main` checked out.
pub fn solved() -> (Fake, PathBuf, Repository) {
    let fake = Fake::new();
    let folder = fake.path("student");
    let repository = git::student(&folder);
    git::switch(&repository, "answer");
    git::change(&repository, ANSWER, SOLVED);
    git::switch(&repository, "main");
    (fake, folder, repository)
}

#[test]
fn the_lab_s_branch_is_graded_from_anywhere_in_the_repository() {
    let (fake, folder, _) = solved();
    let submission = find(&fake, &folder.join("src/bin")).unwrap();
    assert_eq!(answer(&submission), SOLVED);
    assert!(matches!(&submission.origin, Origin::Commit { name, .. } if name == "answer"));
    assert_eq!(submission.root, Path::new(""));
    assert!(submission.in_vain.is_empty());
    assert!(submission.origin.to_string().starts_with("answer at commit "));
}

#[test]
fn on_the_lab_s_branch_the_working_tree_is_graded_as_it_is_on_disk() {
    let (fake, folder, repository) = solved();
    git::switch(&repository, "answer");
    let clean = find(&fake, &folder).unwrap();
    assert!(matches!(&clean.origin, Origin::WorkTree { dirty: false, branch: Some(branch), .. } if branch == "answer"));
    write(&folder.join(ANSWER), "// uncommitted\n");
    let dirty = find(&fake, &folder).unwrap();
    assert_eq!(answer(&dirty), "// uncommitted\n");
    assert!(matches!(dirty.origin, Origin::WorkTree { dirty: true, .. }));
    assert!(dirty.origin.to_string().ends_with("with uncommitted changes"));
}

#[test]
fn a_working_tree_without_a_commit_is_graded_too() {
    let fake = Fake::new();
    let folder = fake.path("fresh");
    let repository = git::init(&folder);
    write(&folder.join(ANSWER), SOLVED);
    repository.set_head("refs/heads/answer").unwrap();
    let submission = find(&fake, &folder).unwrap();
    assert_eq!(answer(&submission), SOLVED);
    assert!(matches!(submission.origin, Origin::WorkTree { commit: None, dirty: true, .. }));
}

#[test]
fn branch_revision_and_working_tree_can_be_asked_for() {
    let (fake, folder, repository) = solved();
    let other = git::change(&repository, ANSWER, "// on main\n").to_string();
    write(&folder.join(ANSWER), "// on disk\n");
    let pick = |pick| answer(&find_with(&fake, &folder, None, pick).unwrap());
    assert_eq!(pick(Pick::Branch("main".to_owned())), "// on main\n");
    assert_eq!(pick(Pick::Revision(other[..10].to_owned())), "// on main\n");
    assert_eq!(pick(Pick::Revision("answer~0".to_owned())), SOLVED);
    assert_eq!(pick(Pick::WorkTree), "// on disk\n");
    let path = folder.to_str().unwrap();
    assert_eq!(answer(&find_with(&fake, fake.folder.path(), Some(path), Pick::Usual).unwrap()), SOLVED);
}

#[test]
fn a_detached_head_and_a_linked_working_tree_do_not_confuse_it() {
    let (fake, folder, repository) = solved();
    let head = repository.head().unwrap().peel_to_commit().unwrap().id();
    repository.set_head_detached(head).unwrap();
    assert_eq!(answer(&find(&fake, &folder).unwrap()), SOLVED);

    let linked = fake.path("linked");
    let branch = repository.find_branch("answer", git2::BranchType::Local).unwrap().into_reference();
    repository.worktree("linked", &linked, Some(git2::WorktreeAddOptions::new().reference(Some(&branch)))).unwrap();
    write(&linked.join(ANSWER), "// in the linked tree\n");
    assert_eq!(answer(&find(&fake, &linked).unwrap()), "// in the linked tree\n");
}

#[test]
fn a_remote_tracking_branch_is_found_and_several_that_differ_are_named() {
    let (fake, folder, repository) = solved();
    let solution = repository.revparse_single("answer").unwrap().id();
    repository.find_branch("answer", git2::BranchType::Local).unwrap().delete().unwrap();
    repository.reference("refs/remotes/origin/answer", solution, true, "").unwrap();
    let submission = find(&fake, &folder).unwrap();
    assert!(matches!(&submission.origin, Origin::Commit { name, .. } if name == "origin/answer"));

    repository.reference("refs/remotes/upstream/answer", solution, true, "").unwrap();
    assert_eq!(answer(&find(&fake, &folder).unwrap()), SOLVED, "the same commit twice is no question");

    let main = repository.revparse_single("main").unwrap().id();
    repository.reference("refs/remotes/upstream/answer", main, true, "").unwrap();
    let error = find(&fake, &folder).unwrap_err();
    assert_eq!(error.owner(), Owner::Caller);
    let said = error.to_string();
    assert!(said.contains("origin/answer, upstream/answer") && said.contains("--branch origin/answer"), "{said}");
    let named = find_with(&fake, &folder, None, Pick::Branch("origin/answer".to_owned())).unwrap();
    assert_eq!(answer(&named), SOLVED);
}

#[test]
fn a_missing_branch_is_named_with_similar_ones_and_what_to_type() {
    let fake = Fake::new();
    let repository = git::student(&fake.path("student"));
    git::switch(&repository, "anwser");
    let error = find(&fake, &fake.path("student")).unwrap_err();
    assert_eq!(error.owner(), Owner::Caller);
    let said = error.to_string();
    for part in ["branch `answer`", "similar: anwser", "git switch -c answer", "--worktree"] {
        assert!(said.contains(part), "{said}");
    }
    let empty = fake.path("empty");
    git::init(&empty);
    assert!(find(&fake, &empty).unwrap_err().to_string().contains("nothing is committed yet"));
}

#[test]
fn what_is_no_repository_and_what_no_commit_is_said_plainly() {
    let (fake, folder, _) = solved();
    let nowhere = fake.path("nowhere");
    fs::create_dir(&nowhere).unwrap();
    let error = find(&fake, &nowhere).unwrap_err();
    assert_eq!(error.owner(), Owner::Caller);
    assert!(error.to_string().contains("--repo PATH"), "{error}");
    let error = find_with(&fake, &folder, None, Pick::Revision("v99".to_owned())).unwrap_err();
    assert!(matches!(error, SubmissionError::RevisionMissing { .. }), "{error}");
    assert_eq!(error.owner(), Owner::Caller);
}

#[test]
fn a_bare_repository_has_branches_but_no_working_tree() {
    let (fake, folder, _) = solved();
    let bare = fake.path("bare.git");
    git2::build::RepoBuilder::new().bare(true).clone(folder.to_str().unwrap(), &bare).unwrap();
    let bare = bare.to_str().unwrap();
    let submission = find_with(&fake, fake.folder.path(), Some(bare), Pick::Branch("origin/answer".to_owned()));
    assert_eq!(answer(&submission.unwrap()), SOLVED);
    let error = find_with(&fake, fake.folder.path(), Some(bare), Pick::WorkTree).unwrap_err();
    assert!(matches!(error, SubmissionError::NoWorkTree { .. }), "{error}");
}

#[test]
fn a_url_is_fetched_again_for_every_grading() {
    let (fake, folder, repository) = solved();
    let url = format!("file://{}", folder.display());
    let grade = || answer(&find_with(&fake, fake.folder.path(), Some(&url), Pick::Usual).unwrap());
    assert_eq!(grade(), SOLVED);
    git::switch(&repository, "answer");
    git::change(&repository, ANSWER, "// pushed\n");
    assert_eq!(grade(), "// pushed\n");

    let wrong = format!("file://{}", fake.path("nowhere").display());
    let error = find_with(&fake, fake.folder.path(), Some(&wrong), Pick::Usual).unwrap_err();
    assert_eq!(error.owner(), Owner::Harness, "{error}");
}

#[test]
fn in_the_course_s_own_repository_the_reference_is_graded() {
    let fake = Fake::new();
    let root = fake.course.root.clone();
    assert_eq!(find(&fake, &root).unwrap().origin, Origin::Reference, "without version control");
    let repository = git::init(&root);
    git::commit(&repository, "Course");
    assert_eq!(find(&fake, &root.join("labs")).unwrap().origin, Origin::Reference);
    let error = find_with(&fake, &root, None, Pick::Branch("answer".to_owned())).unwrap_err();
    assert!(matches!(error, SubmissionError::BranchMissing { .. }), "{error}");

    git::switch(&repository, "answer");
    write(&root.join("tiny-kernel").join(ANSWER), "// in the course\n");
    let submission = find(&fake, &root).unwrap();
    assert_eq!(answer(&submission), "// in the course\n");
    assert_eq!(submission.path_in_repository(Path::new(ANSWER)), Path::new("tiny-kernel").join(ANSWER));
}

#[track_caller]
fn unusable(prepare: impl FnOnce(&Path), why: Unusable) {
    let (fake, folder, repository) = solved();
    git::switch(&repository, "answer");
    fs::remove_file(folder.join(ANSWER)).unwrap();
    prepare(&folder);
    let faults = |submission: Submission| submission.files.unwrap_err();
    let on_disk = faults(find(&fake, &folder).unwrap());
    assert_eq!((on_disk.len(), on_disk[0].why), (1, why));
    assert_eq!(on_disk[0].path, Path::new(ANSWER));
    git::commit(&repository, "Spoil");
    git::switch(&repository, "main");
    let committed = faults(find(&fake, &folder).unwrap());
    assert_eq!(committed, on_disk, "the commit and the working tree differ");
    assert!(committed[0].to_string().starts_with("src/answer.rs "));
}

#[test]
fn a_file_that_is_missing_or_no_plain_text_is_the_submission_s_fault() {
    unusable(|_| {}, Unusable::Missing);
    unusable(|folder| symlink("main.rs", folder.join(ANSWER)).unwrap(), Unusable::Link);
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::write(&outside, "nobody writes here").unwrap();
    unusable(|folder| symlink(&outside, folder.join(ANSWER)).unwrap(), Unusable::Link);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "nobody writes here");
    unusable(|folder| write(&folder.join("src/answer.rs/mod.rs"), ""), Unusable::Folder);
    unusable(|folder| write(&folder.join(ANSWER), &"x".repeat((1 << 20) + 1)), Unusable::TooLarge((1 << 20) + 1));
    unusable(|folder| fs::write(folder.join(ANSWER), b"fn \xff").unwrap(), Unusable::NotUtf8(3));
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n";
    unusable(|folder| write(&folder.join(ANSWER), pointer), Unusable::LfsPointer);
}

#[test]
fn a_file_behind_a_linked_folder_is_not_followed() {
    let (fake, folder, repository) = solved();
    git::switch(&repository, "answer");
    fs::rename(folder.join("src"), folder.join("elsewhere")).unwrap();
    symlink("elsewhere", folder.join("src")).unwrap();
    let faults = find(&fake, &folder).unwrap().files.unwrap_err();
    assert_eq!(faults[0].why, Unusable::Link);
    git::commit(&repository, "Link");
    let committed = find_with(&fake, &folder, None, Pick::Branch("answer".to_owned())).unwrap();
    assert_eq!(committed.files.unwrap_err()[0].why, Unusable::Link);
}

#[test]
fn a_kernel_in_a_folder_named_as_in_the_course_is_recognised() {
    let fake = Fake::new();
    let folder = fake.path("student");
    let repository = git::init(&folder);
    for (path, content) in crate::fake::files() {
        if path.starts_with("tiny-kernel/") {
            write(&folder.join(path), content);
        }
    }
    git::commit(&repository, "Hand out");
    git::switch(&repository, "answer");
    git::change(&repository, "tiny-kernel/src/answer.rs", SOLVED);
    let submission = find(&fake, &folder).unwrap();
    assert_eq!((answer(&submission).as_str(), submission.root.as_path()), (SOLVED, Path::new("tiny-kernel")));
}

#[test]
fn files_that_were_changed_in_vain_are_named() {
    let (fake, folder, repository) = solved();
    git::switch(&repository, "answer");
    write(&folder.join("src/main.rs"), "fn main() {}\n");
    write(&folder.join("src/helper.rs"), "// added\n");
    write(&folder.join("notes.txt"), "my own business\n");
    write(&folder.join(".gitignore"), "*.log\n");
    write(&folder.join("src/debug.log"), "ignored by Git\n");
    let named = |submission: Submission| -> Vec<(String, bool)> {
        let named = submission.in_vain.named.into_iter();
        named.map(|file| (file.path.display().to_string(), file.added)).collect()
    };
    let expected = [("src/helper.rs".to_owned(), true), ("src/main.rs".to_owned(), false)];
    assert_eq!(named(find(&fake, &folder).unwrap()), expected, "in the working tree");
    git::commit(&repository, "In vain");
    git::switch(&repository, "main");
    assert_eq!(named(find(&fake, &folder).unwrap()), expected, "in the commit");
}

#[test]
fn many_files_changed_in_vain_are_counted() {
    let (fake, folder, repository) = solved();
    git::switch(&repository, "answer");
    for number in 0..30 {
        write(&folder.join(format!("src/more/file{number}.rs")), "");
    }
    let in_vain = find(&fake, &folder).unwrap().in_vain;
    assert_eq!((in_vain.named.len(), in_vain.more), (20, 10));
}

#[test]
fn a_repository_of_another_user_is_refused_with_the_command_that_trusts_it() {
    let (fake, folder, _) = solved();
    // Only root can give a repository away.
    if std::os::unix::fs::chown(&folder, Some(65_534), None).is_err() {
        return;
    }
    std::os::unix::fs::chown(folder.join(".git"), Some(65_534), None).unwrap();
    let error = find(&fake, &folder.join("src")).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, SubmissionError::ForeignOwner { .. }), "{said}");
    let command = format!("git config --global --add safe.directory '{}'", folder.display());
    assert!(said.contains(&command), "{said}");
}
