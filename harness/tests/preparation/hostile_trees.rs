//! Trees and repositories that were made to do harm, or that came about by accident: each is graded by the files that
//! it has, or refused with a message that names what is wrong with which path.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use git2::{ObjectType, Oid, Repository};
use grader::owner::Owner;
use grader::submission::{Pick, Submission, SubmissionError, Unusable};

use crate::fake::{Fake, write};
use crate::git;
use crate::submission::{ANSWER, SOLVED, answer, find, find_with, solved};

fn branch(fake: &Fake, folder: &Path) -> Result<Submission, SubmissionError> {
    find_with(fake, folder, None, Pick::Branch("answer".to_owned()))
}

/// A tree with these entries, whatever their names: not even Git would make it.
pub fn tree(repository: &Repository, entries: &[(&str, &[u8], Oid)]) -> Oid {
    let mut bytes = Vec::new();
    let mut entries = entries.to_vec();
    // Git looks for names by halves.
    entries.sort_by_key(|(mode, name, _)| [*name, if *mode == "40000" { &b"/"[..] } else { &b""[..] }].concat());
    for (mode, name, id) in entries {
        bytes.extend([mode.as_bytes(), b" ", name, b"\0", id.as_bytes()].concat());
    }
    repository.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
}

/// Makes the branch `answer` a commit of this tree.
pub fn commit_tree(repository: &Repository, tree: Oid) -> Oid {
    let text = format!("tree {tree}\nauthor A <a@b> 0 +0000\ncommitter A <a@b> 0 +0000\n\nWork\n");
    let commit = repository.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap();
    repository.reference("refs/heads/answer", commit, true, "").unwrap();
    commit
}

/// A repository with a bare solution, and what else a test puts beside it.
fn with_entries(more: impl FnOnce(&Repository) -> Vec<(&'static str, Vec<u8>, Oid)>) -> (Fake, PathBuf, Repository) {
    let (fake, folder, repository) = solved();
    let solution = repository.blob(SOLVED.as_bytes()).unwrap();
    let more = more(&repository);
    let mut source: Vec<(&str, &[u8], Oid)> =
        more.iter().map(|(mode, name, id)| (*mode, name.as_slice(), *id)).collect();
    source.push(("100644", b"answer.rs", solution));
    let source = tree(&repository, &source);
    let root = tree(&repository, &[("40000", b"src", source)]);
    commit_tree(&repository, root);
    (fake, folder, repository)
}

#[test]
fn names_that_lead_elsewhere_lead_nowhere() {
    let names: [&[u8]; 8] =
        [b"..", b"../../../etc/cron.d/job", b"/etc/passwd", b".git", b".", b"a/b", b"git~1", b"answer.rs/../x"];
    let (fake, folder, _) = with_entries(|repository| {
        let blob = repository.blob(b"* * * * * root sh").unwrap();
        names.iter().map(|name| ("100644", name.to_vec(), blob)).collect()
    });
    let submission = branch(&fake, &folder).unwrap();
    assert_eq!(answer(&submission), SOLVED);
    let within = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    assert!(submission.in_vain.named.iter().all(|file| within(&file.path)), "{:?}", submission.in_vain);
}

#[test]
fn a_tree_that_makes_no_sense_is_no_zero() {
    let (fake, folder, _) = with_entries(|repository| {
        let blob = repository.blob(b"").unwrap();
        vec![("100644", Vec::new(), blob)]
    });
    let error = branch(&fake, &folder).unwrap_err();
    assert_eq!(error.owner(), Owner::Harness);
    let said = grader::runner::chain(&error);
    assert!(said.contains("student") && said.contains("failed to parse tree"), "{said}");
}

#[test]
fn names_that_no_terminal_should_see_are_shown_harmless_and_change_nothing() {
    let names: [&[u8]; 7] = [
        b"new\nline.rs",
        b"\xff\xfe.rs",
        b"\x1b[2J.rs",
        b"-rf",
        b"--help",
        b"ANSWER.RS",
        "\u{202e}sr.rewsna".as_bytes(),
    ];
    let (fake, folder, repository) = with_entries(|repository| {
        let blob = repository.blob(b"// mine").unwrap();
        names.iter().map(|name| ("100644", name.to_vec(), blob)).collect()
    });
    let submission = branch(&fake, &folder).unwrap();
    assert_eq!(answer(&submission), SOLVED);
    assert_eq!(submission.in_vain.named.iter().filter(|file| file.added).count(), names.len());
    // The same on disk.
    git::switch(&repository, "main");
    repository.branch("mine", &repository.head().unwrap().peel_to_commit().unwrap(), false).unwrap();
    for name in names {
        fs::write(folder.join("src").join(OsStr::from_bytes(name)), "// mine").unwrap();
    }
    let submission = find_with(&fake, &folder, None, Pick::WorkTree).unwrap();
    assert_eq!(submission.in_vain.named.iter().filter(|file| file.added).count(), names.len());
    let shown: Vec<String> = submission
        .in_vain
        .named
        .iter()
        .map(|file| grader::report::safe::line(&file.path.display().to_string()))
        .collect();
    assert!(shown.iter().all(|name| !name.contains(['\n', '\x1b', '\u{202e}'])), "{shown:?}");
}

#[test]
fn of_names_that_differ_in_case_the_lab_s_own_is_taken() {
    let (fake, folder, _) = with_entries(|repository| {
        let other = repository.blob(b"pub fn answer() -> u32 { 0 }").unwrap();
        vec![("100644", b"Answer.rs".to_vec(), other), ("100644", b"ANSWER.rs".to_vec(), other)]
    });
    assert_eq!(answer(&branch(&fake, &folder).unwrap()), SOLVED);
}

#[test]
fn links_in_circles_devices_pipes_and_repositories_within_are_not_entered() {
    let (fake, folder, repository) = solved();
    git::switch(&repository, "answer");
    symlink("..", folder.join("src/up")).unwrap();
    symlink("circle", folder.join("src/circle")).unwrap();
    symlink("/dev/zero", folder.join("src/zero.rs")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, folder.join("src/pipe.rs"), rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .unwrap();
    Repository::init(folder.join("src/within")).unwrap();
    write(&folder.join("src/within/.git/answer.rs"), "");
    assert_eq!(answer(&find(&fake, &folder).unwrap()), SOLVED);

    fs::remove_file(folder.join(ANSWER)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, folder.join(ANSWER), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let faults = find(&fake, &folder).unwrap().files.unwrap_err();
    assert_eq!((faults[0].path.as_path(), faults[0].why), (Path::new(ANSWER), Unusable::Special));
}

#[test]
fn a_submodule_in_place_of_a_folder_is_named() {
    let (fake, folder, repository) = solved();
    let somewhere = Oid::from_str("1234567890123456789012345678901234567890").unwrap();
    let root = tree(&repository, &[("160000", b"src", somewhere)]);
    commit_tree(&repository, root);
    let faults = branch(&fake, &folder).unwrap().files.unwrap_err();
    assert_eq!((faults[0].path.as_path(), faults[0].why), (Path::new(ANSWER), Unusable::Submodule));
}

#[test]
fn a_few_objects_that_stand_for_millions_of_files_take_no_time() {
    let (fake, folder, repository) = with_entries(|repository| {
        let blob = repository.blob(b"").unwrap();
        let mut folder = tree(repository, &[("100644", b"file.rs", blob)]);
        for _ in 0..12 {
            let names: Vec<[u8; 1]> = (b'a'..=b'p').map(|name| [name]).collect();
            let entries: Vec<(&str, &[u8], Oid)> = names.iter().map(|name| ("40000", &name[..], folder)).collect();
            folder = tree(repository, &entries);
        }
        vec![("40000", b"bomb".to_vec(), folder)]
    });
    let from = Instant::now();
    assert_eq!(answer(&branch(&fake, &folder).unwrap()), SOLVED);
    // Folders in folders, deeper than any stack.
    let solution = repository.blob(SOLVED.as_bytes()).unwrap();
    let mut deep = tree(&repository, &[("100644", b"file.rs", solution)]);
    for _ in 0..20_000 {
        deep = tree(&repository, &[("40000", b"d", deep)]);
    }
    let source = tree(&repository, &[("100644", b"answer.rs", solution), ("40000", b"deep", deep)]);
    let root = tree(&repository, &[("40000", b"src", source)]);
    commit_tree(&repository, root);
    assert_eq!(answer(&branch(&fake, &folder).unwrap()), SOLVED);
    assert!(from.elapsed() < Duration::from_secs(120), "{:?}", from.elapsed());
}

#[test]
fn a_branch_that_is_named_like_a_commit_is_that_branch() {
    let (fake, folder, repository) = solved();
    let solution = repository.find_branch("answer", git2::BranchType::Local).unwrap().get().peel_to_commit().unwrap();
    let handed_out = repository.head().unwrap().peel_to_commit().unwrap();
    let name = handed_out.id().to_string();
    repository.branch(&name, &solution, false).unwrap();
    assert_eq!(answer(&find_with(&fake, &folder, None, Pick::Branch(name.clone())).unwrap()), SOLVED);
    assert_ne!(answer(&find_with(&fake, &folder, None, Pick::Revision(name)).unwrap()), SOLVED);
}

#[test]
fn one_branch_of_ten_thousand_is_found_and_a_missing_one_is_named() {
    let (fake, folder, repository) = solved();
    let commit = repository.head().unwrap().peel_to_commit().unwrap().id();
    let packed: String = (10_000..20_000).map(|number| format!("{commit} refs/heads/b{number}\n")).collect();
    fs::write(folder.join(".git/packed-refs"), format!("# pack-refs with: peeled fully-peeled sorted \n{packed}"))
        .unwrap();
    let from = Instant::now();
    assert_eq!(answer(&find(&fake, &folder).unwrap()), SOLVED);
    let missing = find_with(&fake, &folder, None, Pick::Branch("b1234".to_owned())).unwrap_err();
    assert!(missing.to_string().contains("similar: "), "{missing}");
    assert!(missing.to_string().len() < 1000, "{missing}");
    assert!(from.elapsed() < Duration::from_secs(60), "{:?}", from.elapsed());
}

#[test]
fn a_shallow_clone_is_enough() {
    let (fake, folder, repository) = solved();
    let commit = repository.find_branch("answer", git2::BranchType::Local).unwrap().get().peel_to_commit().unwrap();
    let parent = commit.parent_id(0).unwrap();
    git::switch(&repository, "answer");
    repository.find_branch("main", git2::BranchType::Local).unwrap().delete().unwrap();
    fs::write(folder.join(".git/shallow"), format!("{}\n", commit.id())).unwrap();
    remove_object(&folder, parent);
    assert_eq!(answer(&branch(&fake, &folder).unwrap()), SOLVED);
    assert_eq!(answer(&find(&fake, &folder).unwrap()), SOLVED);
}

fn remove_object(folder: &Path, id: Oid) {
    let id = id.to_string();
    fs::remove_file(folder.join(".git/objects").join(&id[..2]).join(&id[2..])).unwrap();
}

#[test]
fn an_object_that_is_missing_is_named_and_is_no_zero() {
    let refused = |damage: fn(&Repository) -> Oid, named: &str| {
        let (fake, folder, repository) = solved();
        let id = damage(&repository);
        remove_object(&folder, id);
        drop(repository);
        let error = branch(&fake, &folder).unwrap_err();
        assert_eq!(error.owner(), Owner::Harness);
        let said = grader::runner::chain(&error);
        assert!(said.contains(named) && said.contains("clone the repository again"), "{said}");
    };
    refused(|repository| entry(repository, Path::new(ANSWER)), "src/answer.rs");
    refused(|repository| entry(repository, Path::new("src")), "src");
    refused(
        |repository| {
            let branch = repository.find_branch("answer", git2::BranchType::Local).unwrap();
            branch.get().peel_to_tree().unwrap().id()
        },
        "its files",
    );
}

fn entry(repository: &Repository, path: &Path) -> Oid {
    let branch = repository.find_branch("answer", git2::BranchType::Local).unwrap();
    branch.get().peel_to_tree().unwrap().get_path(path).unwrap().id()
}

#[test]
fn a_repository_cannot_claim_another_s_work() {
    let (fake, other, repository) = solved();
    git::switch(&repository, "answer");
    let claims = fake.path("claims");
    let refused = |from: &Path| {
        let error = find(&fake, from).unwrap_err();
        assert!(matches!(error, SubmissionError::Elsewhere { .. }), "{error}");
        assert!(error.to_string().contains("student"), "{error}");
    };
    // The other's files, by a setting.
    let empty = git::init(&claims);
    git::switch_unborn(&empty, "answer");
    empty.config().unwrap().set_str("core.worktree", other.to_str().unwrap()).unwrap();
    refused(&claims);
    // The other's history, by a file and by a link.
    fs::remove_dir_all(&claims).unwrap();
    write(&claims.join(".git"), &format!("gitdir: {}\n", other.join(".git").display()));
    refused(&claims);
    fs::remove_file(claims.join(".git")).unwrap();
    symlink(other.join(".git"), claims.join(".git")).unwrap();
    refused(&claims);
    // What Git itself makes of one history and several folders is one's own.
    let linked = fake.path("linked");
    repository.set_head("refs/heads/main").unwrap();
    repository.worktree("linked", &linked, None).unwrap();
    assert!(find_with(&fake, &linked, None, Pick::Branch("answer".to_owned())).is_ok());
}
